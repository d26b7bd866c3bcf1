"""Length of curves in random ReLU networks: Hanin, Jeong & Rolnick 2022 (arXiv 2102.10492).

deepinit run expected_length --preset smoke     about a minute on two cores
deepinit run expected_length --preset paper     depth 50, more widths, variances, volumes, laws
deepinit run expected_length --preset full      more networks, wider ones, deeper ones
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, tables

EXPERIMENT = Experiment(
    name="expected_length",
    title="Expected length of curves through random networks",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    minutes={"smoke": 1},
    question="Does a random network of finite width lengthen or shorten curves, and by how much?",
    tables=tables.tables,
    citation="""@inproceedings{hanin2022deep,
  title     = {Deep {ReLU} Networks Preserve Expected Length},
  author    = {Hanin, Boris and Jeong, Ryan and Rolnick, David},
  booktitle = {International Conference on Learning Representations},
  year      = {2022},
  note      = {arXiv:2102.10492},
}""",
)
