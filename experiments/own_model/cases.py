"""Config, presets and cases of own models."""

import dataclasses

import deepinit as di
from deepinit.core import validate
from deepinit.runs.experiment import Case

from .models import MODELS

QUANTITIES = {
    "size": di.quantities.nngp,
    "cosine": di.quantities.cosine,
    "gradient": di.quantities.log_gradient_norm,
    "ntk": di.quantities.ntk,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    models: tuple[str, ...] = tuple(MODELS)
    """Models of models.py."""
    quantities: tuple[str, ...] = tuple(QUANTITIES)
    """size, cosine, gradient: at every layer; ntk: at the output."""
    num_seeds: int = 300
    """Draws of every model."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {"smoke": Config(num_seeds=100), "default": Config(), "full": Config(num_seeds=3000)}


def cases(config: Config) -> tuple[Case, ...]:
    """Every quantity of every model."""
    for name in config.models:
        validate.choice("a model", name, tuple(MODELS), "Models are in models.py.")
    for name in config.quantities:
        validate.choice("a quantity", name, tuple(QUANTITIES))
    return tuple(
        Case(
            f"{name}-{quantity}",
            MODELS[name].network,
            QUANTITIES[quantity],
            MODELS[name].inputs,
            config.num_seeds,
            key=config.key,
        )
        for name in config.models
        for quantity in config.quantities
    )
