"""One sentence on what this experiment measures.

deepinit run path/to/my_experiment --preset smoke     seconds
deepinit run path/to/my_experiment --preset full      minutes
deepinit run path/to/my_experiment --help             options of the command
deepinit run path/to/my_experiment --config.help      options of `Config`
"""

from deepinit.runs.experiment import Experiment

from . import cases, figures, tables

EXPERIMENT = Experiment(
    name="my_experiment",
    title="Norms in random networks",
    question="How far does the size of a signal wander with depth?",
    presets=cases.PRESETS,  # the first one is the default
    cases=cases.cases,
    figures=figures.figures,
    tables=tables.tables,
    citation="",  # BibTeX of the paper that it reproduces
)
