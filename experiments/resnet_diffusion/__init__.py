"""Residual networks as diffusions: Peluchetti & Favaro 2020, 2021 (arXiv 1905.11065, 2007.03253), reproduced, with exact laws beside.

deepinit run resnet_diffusion --preset smoke     three minutes on two cores
deepinit run resnet_diffusion --preset paper     D = L = 500, 10 000 draws; kernels for D = L up to 850: about an hour, 10 GB on disk
deepinit run resnet_diffusion --preset full      more of everything: for an accelerator

Blocks x + phi(W x + b), weights of variance sigma_w^2 / (D L), biases of variance sigma_b^2 / L, inputs z copied to all D coordinates,
no layers before or after. The paper compares networks with the limit of infinite depth and width; here every network is compared with infinite width at its own
depth as well, from which it must not differ, and with infinite depth at its own width, from which a tanh network differs by its bias of order 1 / L.
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, remarks

EXPERIMENT = Experiment(
    name="resnet_diffusion",
    title="Residual networks of infinite depth and width",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    remarks=remarks.remarks,
    question="What is left of a residual network when its depth and its width go to infinity, and how far from that is a finite one?",
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
