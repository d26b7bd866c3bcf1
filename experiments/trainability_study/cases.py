"""Config, presets and cases: gradients of registered MLPs."""

import dataclasses
from typing import Any

import deepinit as di
from deepinit.core import validate
from deepinit.runs.experiment import Case


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    networks: tuple[str, ...] = ("mlp-000", "mlp-032", "mlp-035", "mlp-062", "mlp-066", "mlp-083")
    """Registered MLPs; none for all."""
    num_seeds: int = 300
    """Draws of every network."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {"smoke": Config(num_seeds=100), "default": Config(), "full": Config((), 1000)}


def networks(config: Config) -> list[dict[str, Any]]:
    """Configurations of the chosen networks."""
    from deepinit.diagnosis.study.registered import configurations

    drawn = {n["id"]: n for n in configurations()["networks"] if n["family"] == "mlp"}
    for name in config.networks:
        validate.choice("a network", name, tuple(drawn), "Leave networks out for a few of them.")
    return [drawn[name] for name in config.networks or drawn]


def spec_of(network: dict[str, Any]) -> di.MLP:
    """A registered MLP as a spec."""
    from deepinit.diagnosis.study.activations import activation

    bias = di.normal(network["bias"], "absolute") if network["bias"] else None
    widths = (network["width"],) * network["depth"]
    law = di.normal(network["weight"])
    return di.MLP(widths, activation(network["activation"]), law, bias, output_width=10)


def cases(config: Config) -> tuple[Case, ...]:
    """The gradient of the first output at every layer, at one image."""
    from deepinit.diagnosis.study.data import data

    found = []
    for network in networks(config):
        rows = data(network["data"]).inputs
        inputs = di.inputs.points(rows[:1].astype(float), f"an image of {network['data']}")
        quantity = di.quantities.log_gradient_norm
        name, seeds = network["id"], config.num_seeds
        found.append(Case(name, spec_of(network), quantity, inputs, seeds, key=config.key))
    return tuple(found)
