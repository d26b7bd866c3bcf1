"""Config, presets and cases of own models."""

import dataclasses
from typing import Any

import deepinit as di
from deepinit.core import validate
from deepinit.runs.experiment import Case

QUANTITIES = {
    "size": di.quantities.nngp,
    "cosine": di.quantities.cosine,
    "gradient": di.quantities.log_gradient_norm,
    "ntk": di.quantities.ntk,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    models: tuple[str, ...] = ()
    """Models of models.py; none for all."""
    quantities: tuple[str, ...] = tuple(QUANTITIES)
    """size, cosine, gradient: at every layer; ntk: at the output."""
    num_seeds: int = 300
    """Draws of every model."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {"smoke": Config(num_seeds=100), "default": Config(), "full": Config(num_seeds=3000)}


def models(config: Config) -> dict[str, Any]:
    """The models of a run, by name. Only here are they made: the libraries take seconds to load."""
    from .models import MODELS

    for name in config.models:
        validate.choice("a model", name, tuple(MODELS), "Models are in models.py.")
    return {name: MODELS[name] for name in config.models or MODELS}


def cases(config: Config) -> tuple[Case, ...]:
    """Every quantity of every model."""
    for name in config.quantities:
        validate.choice("a quantity", name, tuple(QUANTITIES))
    return tuple(
        Case(
            f"{name}-{quantity}",
            model.network,
            QUANTITIES[quantity],
            model.inputs,
            config.num_seeds,
            key=config.key,
        )
        for name, model in models(config).items()
        for quantity in config.quantities
    )
