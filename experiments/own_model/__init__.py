"""Your own models at initialization: size, cosine, gradient of every layer, tangent kernel.

deepinit run own_model                  three examples: a flax transformer, an nnx MLP, an equinox
                                        convolutional network; some minutes on two cores

For your own, copy this folder, edit `models.py` (functions that make a model, and inputs), and run
the copy: deepinit run path/to/copy.
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, tables

EXPERIMENT = Experiment(
    name="own_model",
    title="Own models at initialization",
    presets=cases.PRESETS,
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    question="How do size, cosine of two inputs and gradient change from layer to layer of a model "
    "of one's own, and how much do they vary over random draws?",
    citation="""@article{motwani1995randomized,
  title   = {Randomized Algorithms},
  author  = {Motwani, Rajeev and Raghavan, Prabhakar},
  year    = {1995},
  note    = {principle of deferred decisions: weight matrices are drawn only as far as they act},
}""",
)
