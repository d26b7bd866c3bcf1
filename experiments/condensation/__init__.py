"""Initial condensation of input weights: Zhou, Zhou, Luo, Zhang & Xu 2022 (arXiv 2105.11686), measured and predicted.

deepinit run condensation --preset smoke     a few minutes on two cores
deepinit run condensation --preset paper     more networks, targets and layers, a residual network of flax on images
deepinit run condensation --preset full      many networks, the phase diagram on a fine grid and at large widths
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, remarks

EXPERIMENT = Experiment(
    name="condensation",
    title="Initial condensation of input weights",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    remarks=remarks.remarks,
    question="In which directions do the input weights of neurons gather in the first moments of training, how many "
    "directions are there, and when does none of this happen?",
    citation="""@inproceedings{zhou2022condensation,
  title     = {Towards Understanding the Condensation of Neural Networks at Initial Training},
  author    = {Zhou, Hanxu and Zhou, Qixuan and Luo, Tao and Zhang, Yaoyu and Xu, Zhi-Qin John},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2022},
  note      = {arXiv:2105.11686},
}""",
)
