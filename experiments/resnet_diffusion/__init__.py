"""Residual networks as diffusions: Peluchetti & Favaro 2020, 2021 (arXiv 1905.11065, 2007.03253).

deepinit run resnet_diffusion --preset smoke     three minutes on two cores
deepinit run resnet_diffusion --preset paper     D = L = 500, 10 000 draws: about an hour, 10 GB
deepinit run resnet_diffusion --preset full      more of everything: for an accelerator

Blocks x + phi(W x + b), weights of variance sigma_w^2 / (D L), biases of variance sigma_b^2 / L,
inputs z copied to all D coordinates, no embedding or readout. Networks are compared with both
limits, with infinite width at their depth (which must agree), and with infinite depth at their
width, from which a tanh network differs by a bias of order 1 / L.
"""

from deepinit.runs.experiment import Experiment

from . import cases, config, figures, tables

EXPERIMENT = Experiment(
    name="resnet_diffusion",
    title="Residual networks of infinite depth and width",
    presets=config.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    minutes={"smoke": 3, "paper": 60},
    meanings={"double_limit": "Limit of infinite depth, then of infinite width."},
    question="What is the limit of a residual network of infinite depth and width, and how far "
    "is a finite network from it?",
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
