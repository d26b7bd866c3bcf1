"""Cases of unequal cost, for tests of workers that share them."""

import dataclasses

import deepinit as di
from deepinit.runs.experiment import Case, Experiment


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    num_seeds: int = 400
    """Networks of every case."""
    depth: int = 8
    """Layers."""
    widths: tuple[int, ...] = (16, 64, 128)
    """A case for every width."""


def cases(config):
    return tuple(
        Case(
            f"w{width}",
            di.MLP((width,) * config.depth),
            di.quantities.log_sin2_angle,
            di.inputs.pair(1.0),
            config.num_seeds,
            ("second_order",),
            linear_map="explicit",
        )
        for width in config.widths
    )


EXPERIMENT = Experiment(
    name="unequal",
    title="Cases of unequal cost",
    presets={"quick": Config()},
    cases=cases,
    figures=lambda config, results: [],
    citation="@misc{none}",
    question="Do workers share unequal cases?",
)
