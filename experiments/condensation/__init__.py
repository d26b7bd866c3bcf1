"""Initial condensation of input weights: Zhou, Zhou, Luo, Zhang & Xu 2022 (arXiv 2105.11686).

deepinit run condensation --preset smoke     a few minutes on two cores
deepinit run condensation --preset paper     more networks, targets, layers; a residual network
deepinit run condensation --preset full      many networks, a fine phase diagram at large widths
"""

from deepinit.runs.experiment import Experiment

from . import cases, config, figures, tables

EXPERIMENT = Experiment(
    name="condensation",
    title="Initial condensation of input weights",
    presets=config.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    minutes={"smoke": 3},
    question="Into which directions do input weights condense early in training, how many are "
    "there, and when do weights not condense?",
    citation="""@inproceedings{zhou2022condensation,
  title     = {Towards Understanding the Condensation of Neural Networks at Initial Training},
  author    = {Zhou, Hanxu and Zhou, Qixuan and Luo, Tao and Zhang, Yaoyu and Xu, Zhi-Qin John},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2022},
  note      = {arXiv:2105.11686},
}""",
)
