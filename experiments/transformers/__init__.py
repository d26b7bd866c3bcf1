"""Tokens with depth at initialization: cosines, gradients, rank collapse, heads.

deepinit run transformers --preset smoke     a few minutes on two cores
deepinit run transformers --preset full      width 512, 48 blocks, more heads

Rank collapse of attention without residuals: Dong et al. 2021 (arXiv 2103.03404). Residual scale
1/sqrt(depth): Noci et al. 2022 (arXiv 2206.03126). Pre- and post-norm: Xiong et al. 2020 (arXiv
2002.04745). Variance of the token cosine over networks against heads: derived in `analysis`.
"""

from deepinit.runs.experiment import Experiment

from . import cases, checks, figures, tables

EXPERIMENT = Experiment(
    name="transformers",
    title="Tokens and gradients of transformers at initialization",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    checks=checks.checks,
    minutes={"smoke": 3},
    question="How similar do the tokens of a sequence become with depth, what happens to "
    "gradients, and how much does this vary from network to network?",
    citation="""@inproceedings{dong2021attention,
  title     = {Attention is Not All You Need: Pure Attention Loses Rank Doubly Exponentially with
               Depth},
  author    = {Dong, Yihe and Cordonnier, Jean-Baptiste and Loukas, Andreas},
  booktitle = {International Conference on Machine Learning},
  year      = {2021},
  note      = {arXiv:2103.03404},
}
@inproceedings{noci2022signal,
  title     = {Signal Propagation in Transformers: Theoretical Perspectives and the Role of Rank
               Collapse},
  author    = {Noci, Lorenzo and Anagnostidis, Sotiris and Biggio, Luca and Orvieto, Antonio and
               Singh, Sidak Pal and Lucchi, Aurelien},
  booktitle = {Advances in Neural Information Processing Systems},
  year      = {2022},
  note      = {arXiv:2206.03126},
}""",
)
