"""A run of seconds, for the tests of the engine and of the command."""

import dataclasses

import deepinit as di
from deepinit.runs.experiment import Case, Experiment


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    width: int = 8
    """Of every layer."""
    depth: int = 2
    """Layers."""
    num_seeds: int = 400
    """Networks."""
    checked: tuple[str, ...] = ()
    """Predictions that must hold."""
    law: str = "normal"
    """normal or uniform."""
    linear_map: str = "auto"
    """auto, explicit or conditional."""
    angle: float = 1.0
    """Between the two inputs."""


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
    from deepinit.runs.report import figure_item

    return [
        figure_item(
            "Layers", "Measured and predicted.", di.plots.layers(results["tiny"].dataset, pair=0)
        )
    ]


EXPERIMENT = Experiment(
    name="tiny",
    title="A tiny experiment",
    presets={"quick": Config(), "long": Config(num_seeds=4000)},
    cases=cases,
    figures=figures,
    citation="@misc{none}",
    question="Does a run end as it should?",
)
