"""Scores at initialization and which networks train: the registered study, and its theory checked.

deepinit run trainability_study                 gradients of six registered MLPs, a minute on two
                                                cores; tables and figures of the committed study
deepinit run trainability_study --preset full   all 90 MLPs

The study itself is `python -m deepinit.diagnosis.study run --out DIR`: it trains every network at
five rates, repairs those that fail and trains them again. Which blocks it computes depends on
earlier ones (failing networks, families with few), so it is no list of cases.
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, tables

EXPERIMENT = Experiment(
    name="trainability_study",
    title="Scores at initialization and which networks train",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    question="Do scores of random networks tell, before training, which networks will train, why "
    "not, and which change helps?",
    citation="""@article{hanin2018start,
  title   = {How to Start Training: The Effect of Initialization and Architecture},
  author  = {Hanin, Boris and Rolnick, David},
  journal = {Advances in Neural Information Processing Systems},
  volume  = {31},
  year    = {2018},
  note    = {arXiv:1803.01719},
}""",
)
