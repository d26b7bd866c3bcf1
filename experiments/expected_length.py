"""Expected length of curves through random ReLU networks: Hanin, Jeong & Rolnick 2022 (arXiv 2102.10492), measured exactly.

deepinit run experiments/expected_length.py --preset smoke     about a minute on two cores
deepinit run experiments/expected_length.py --preset paper     depth 50, more widths, variances, volumes, laws
deepinit run experiments/expected_length.py --preset full      more networks, wider ones, deeper ones
"""

from expected_length_cases import PRESETS, cases
from expected_length_figures import figures
from expected_length_words import remarks

from deepinit.experiment import Experiment

EXPERIMENT = Experiment(
    name="expected_length",
    title="Expected length of curves through random networks",
    presets=PRESETS,
    cases=cases,
    figures=figures,
    question="Does a random network of finite width lengthen or shorten the curves that pass through it, and by how much?",
    remarks=remarks,
    citation="""@inproceedings{hanin2022deep,
  title     = {Deep {ReLU} Networks Preserve Expected Length},
  author    = {Hanin, Boris and Jeong, Ryan and Rolnick, David},
  booktitle = {International Conference on Learning Representations},
  year      = {2022},
  note      = {arXiv:2102.10492},
}""",
)
