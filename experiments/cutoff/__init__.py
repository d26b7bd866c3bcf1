"""Deep limits and the cut-off in depth: Avelin & Karlsson 2022 (arXiv 2104.10727).

deepinit run cutoff --preset smoke     two or three minutes on two cores
deepinit run cutoff --preset paper     a million paths a curve, widths 1 to 128
deepinit run cutoff --preset trainability   tanh networks trained by SGD and Adam, by depth
deepinit run cutoff --preset full      widths 1 to 512, two roundings, more paths

The chain x_t = Q(phi(W_t x_{t-1})) has values in multiples of rho. S(t) = P(x_t != 0) is its total
variation distance from the point mass at 0. Not stated in the paper: values are truncated (not
rounded), paths start at (1, ..., 1), the third curve has normal weights. This reproduces its curves
to 0.001.
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, tables

EXPERIMENT = Experiment(
    name="cutoff",
    title="Deep limits and the cut-off in depth",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    minutes={"smoke": 3},
    question="At which depth does a network in finite precision lose its signal, and how sharply?",
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
