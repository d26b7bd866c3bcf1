"""Kernels at finite width: the terms of order 1/width that NNGP and NTK omit.

deepinit run kernel_corrections --preset smoke       two or three minutes on two cores
deepinit run kernel_corrections --preset default     depth 64, about a quarter of an hour
deepinit run kernel_corrections --preset full        widths to 1024, for an accelerator

ReLU, tanh and erf at their critical gains, GELU in its ordered phase. Slopes of means and variances
in 1/width, growth with depth, range of first order, exact laws of ReLU at one input, covariances,
real digits.
"""

from deepinit.runs.experiment import Experiment

from . import cases, checks, figures, tables

EXPERIMENT = Experiment(
    name="kernel_corrections",
    title="Kernels at finite width: what NNGP and NTK leave out",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    checks=checks.checks,
    minutes={"smoke": 3, "default": 15},
    question="How far are kernels at finite width from those at infinite width, and does theory of "
    "order 1/width predict it?",
    citation="""@article{hanin2020finite,
  title   = {Finite Depth and Width Corrections to the Neural Tangent Kernel},
  author  = {Hanin, Boris and Nica, Mihai},
  journal = {International Conference on Learning Representations},
  year    = {2020},
  note    = {arXiv:1909.05989},
}

@book{roberts2022principles,
  title     = {The Principles of Deep Learning Theory},
  author    = {Roberts, Daniel A. and Yaida, Sho and Hanin, Boris},
  publisher = {Cambridge University Press},
  year      = {2022},
  note      = {arXiv:2106.10165},
}""",
)
