"""A run of seconds, for tests of the engine and of the command."""

import dataclasses

import deepinit as di
from deepinit.runs.experiment import Case, Experiment
from deepinit.runs.report import figure_item


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    width: int = 8
    """Width of every layer."""
    depth: int = 2
    """Number of layers."""
    num_seeds: int = 400
    """Number of networks."""
    checked: tuple[str, ...] = ()
    """Theories that must agree."""
    law: str = "normal"
    """normal or uniform."""
    linear_map: str = "auto"
    """auto, explicit or conditional."""
    angle: float = 1.0
    """Angle between the two inputs."""


def cases(config):
    law = {"normal": None, "uniform": di.uniform(2.0)}[config.law]
    spec = di.MLP(widths=(config.width,) * config.depth, weight_law=law)
    return (
        Case(
            "tiny",
            spec,
            di.quantities.log_sin2_angle,
            di.inputs.pair(angle=config.angle),
            config.num_seeds,
            ("second_order",),
            checked=config.checked,
            sample_layers=(2,),
            linear_map=config.linear_map,
        ),
    )


def figures(config, results):
    drawing = di.plots.layers(results["tiny"].dataset, component=0)
    return [figure_item("Layers", "Measured and predicted.", drawing)]


EXPERIMENT = Experiment(
    name="tiny",
    title="A tiny experiment",
    presets={"quick": Config(), "long": Config(num_seeds=4000)},
    cases=cases,
    figures=figures,
    citation="@misc{none}",
    question="Does a run end as it should?",
)
