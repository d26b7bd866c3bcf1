"""Small angles and poor training: the training experiment of Jakub & Nica 2024 (arXiv 2302.09712).

deepinit run trainability --preset smoke     three architectures, a minute on two cores
deepinit run trainability --preset paper     the six architectures of the public notebooks
deepinit run trainability --preset full      18 architectures, 10 runs each

As in the notebooks: ReLU without biases, truncated He initialization, softmax over ten digits, Adam
at rate 0.001, batches of 100, 600 steps. They see each of 60 000 MNIST images once; here batches
are drawn from 4000 images, and 1000 others test.
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, tables

EXPERIMENT = Experiment(
    name="trainability",
    title="Small angles and poor training",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    minutes={"smoke": 1},
    question="Does the angle predicted at initialization tell which networks will train?",
    citation="""@article{jakub2024depth,
  title   = {Depth Degeneracy in Neural Networks: Vanishing Angles in Fully Connected ReLU Networks
             on Initialization},
  author  = {Jakub, Cameron and Nica, Mihai},
  journal = {Journal of Machine Learning Research},
  volume  = {25},
  number  = {239},
  pages   = {1--45},
  year    = {2024},
  note    = {arXiv:2302.09712},
}""",
)
