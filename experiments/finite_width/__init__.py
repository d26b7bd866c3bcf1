"""Means at finite width of composed networks: measured with control variates, and order 1/width.

deepinit run finite_width --preset smoke     2 minutes on two cores, most of them compilation
deepinit run finite_width --preset full      widths 32 to 1024, a quarter of an hour or more
"""

from deepinit.runs.experiment import Experiment

from . import cases, checks, figures, tables

EXPERIMENT = Experiment(
    name="finite_width",
    title="What finite width changes in the networks people use",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    checks=checks.checks,
    minutes={"smoke": 2, "default": 14},
    question="How far are means at finite width from infinite width in transformers, gated, "
    "normalized and convolutional networks, and does order 1/width predict it?",
    citation="""@book{roberts2022principles,
  title     = {The Principles of Deep Learning Theory},
  author    = {Roberts, Daniel A. and Yaida, Sho and Hanin, Boris},
  publisher = {Cambridge University Press},
  year      = {2022},
  note      = {arXiv:2106.10165},
}""",
)
