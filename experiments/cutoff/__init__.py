"""Deep limits and the cut-off in depth: Avelin & Karlsson 2022 (arXiv 2104.10727), reproduced, sharpened and predicted.

deepinit run cutoff --preset smoke     two or three minutes on two cores
deepinit run cutoff --preset paper     the paper's three curves with a million paths each, widths 1 to 128
deepinit run cutoff --preset trainability   tanh networks trained by SGD and Adam, by depth
deepinit run cutoff --preset full      widths 1 to 512, two roundings, more paths

The chain x_t = Q(phi(W_t x_{t-1})) keeps values to multiples of rho; S(t) = P(x_t != 0) is its distance in total variation from the
point mass at 0. The paper does not say that values are truncated (not rounded), that paths start at (1, ..., 1), or that its
third curve has normal weights; these choices reproduce its curves to a thousandth.
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, remarks

EXPERIMENT = Experiment(
    name="cutoff",
    title="Deep limits and the cut-off in depth",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    remarks=remarks.remarks,
    question="At which depth does a network in finite precision lose its signal, how sharply, and what decides it?",
    citation="""@article{avelin2022deep,
  title   = {Deep Limits and a Cut-Off Phenomenon for Neural Networks},
  author  = {Avelin, Benny and Karlsson, Anders},
  journal = {Journal of Machine Learning Research},
  volume  = {23},
  number  = {191},
  pages   = {1--29},
  year    = {2022},
  note    = {arXiv:2104.10727},
}""",
)
