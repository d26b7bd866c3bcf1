"""A run of seconds with control variates."""

import dataclasses

import deepinit as di
from deepinit.runs.experiment import Case, Experiment


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    width: int = 128
    """Width of every layer."""
    num_seeds: int = 120
    """Number of networks."""
    control: str = "theory"
    """none, theory or auto."""


def cases(config):
    spec, point = di.MLP((config.width,) * 2), di.inputs.points([[1.0, -0.5, 2.0]])
    both = {"num_seeds": config.num_seeds, "theories": ("exact",), "checked": ("exact",)}
    return (
        Case("kernel", spec, di.quantities.nngp, point, control=config.control, **both),
        Case("plain", spec, di.quantities.nngp, point, **both, sample_layers=(2,)),
    )


EXPERIMENT = Experiment(
    name="controlled",
    title="A controlled experiment",
    presets={"quick": Config()},
    cases=cases,
    figures=lambda config, results: [],
    citation="@misc{none}",
    question="Does a run with control variates end as it should?",
)
