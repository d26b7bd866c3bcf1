"""Vanishing angles in random ReLU networks: Jakub & Nica 2024 (arXiv 2302.09712).

deepinit run vanishing_angles --preset smoke     under a minute on two cores
deepinit run vanishing_angles --preset paper     Figure 1: width 256, angle 0.1, 5000 networks
deepinit run vanishing_angles --preset full      widths 16 to 4096, several angles and activations
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, slopes, tables

EXPERIMENT = Experiment(
    name="vanishing_angles",
    title="Vanishing angles in random networks at finite width",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    checks=slopes.checks,
    minutes={"smoke": 1},
    question="How does the angle between two inputs shrink with depth in networks of finite width, "
    "and which theory predicts it?",
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
