"""The seeded draw of networks."""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.diagnosis.stack_theory import moments
from deepinit.diagnosis.study.activations import NAMES, activation

SEED = 20261130
LONG_PER_FAMILY = 2  # networks that are also trained for 4000 steps
SGD_EVERY = 4  # every fourth network is also trained by SGD
GATES = ("silu", "sigmoid", "gelu", "relu")
INNER = ("gelu", "relu", "silu")


class Group(NamedTuple):
    """Networks of one shape. draw: A fits, B is held out; R is the reserve, of few outcomes."""

    family: str
    width: int
    depth: int
    size: int
    data: str = "mnist"
    draw: str = "A"
    norm: str = "none"


GROUPS = (
    Group("mlp", 32, 4, 10),
    Group("mlp", 96, 12, 10),
    Group("mlp", 64, 10, 10, draw="B"),
    Group("mlp", 16, 8, 10),
    Group("mlp", 48, 24, 10),
    Group("mlp", 40, 24, 10, "digits", "B"),
    Group("mlp", 16, 24, 10, "digits"),
    Group("mlp", 32, 48, 10),
    Group("mlp", 24, 32, 10, draw="B"),
    Group("layernorm", 32, 6, 10, norm="layer"),
    Group("layernorm", 24, 14, 10, norm="layer"),
    Group("layernorm", 16, 20, 10, "digits", "B", "layer"),
    Group("residual", 16, 24, 10),
    Group("residual", 32, 32, 10),
    Group("residual", 48, 12, 10, "digits"),
    Group("residual", 24, 56, 10, draw="B"),
    Group("conv", 8, 4, 9),
    Group("conv", 8, 12, 9, "digits"),
    Group("conv", 12, 20, 8),
    Group("conv", 16, 8, 9, draw="B"),
    Group("conv", 8, 8, 8, norm="batch"),
    Group("conv", 8, 20, 7, "digits", "B", "batch"),
    Group("transformer", 16, 6, 10, "prose"),
    Group("transformer", 32, 2, 10, "prose"),
    Group("transformer", 32, 6, 10, "prose"),
    Group("transformer", 24, 12, 10, "prose"),
    Group("transformer", 32, 4, 10, "code"),
    Group("transformer", 24, 4, 10, "code", "B"),
    Group("transformer", 32, 10, 10, "prose", "B"),
    Group("gated", 24, 8, 10),
    Group("gated", 16, 20, 10, draw="B"),
    Group("layernorm", 24, 14, 20, draw="R", norm="layer"),
    Group("residual", 32, 32, 20, draw="R"),
    Group("conv", 12, 20, 20, draw="R"),
    Group("transformer", 24, 12, 20, "prose", "R"),
    Group("gated", 24, 8, 20, draw="R"),
)


def networks() -> list[dict[str, Any]]:
    """Every network, in the order of the groups; equal on every machine."""
    rng = np.random.default_rng(SEED)
    found: list[dict[str, Any]] = []
    for group in GROUPS:
        for _ in range(group.size):
            number = len(found)
            common = {"id": f"{group.family}-{number:03d}", "number": number, **group._asdict()}
            del common["size"]
            network = _DRAWS[group.family](rng, group)
            found.append(common | {name: _plain(value) for name, value in network.items()})
    drawn = [network for network in found if network["draw"] != "R"]
    families = sorted({group.family for group in GROUPS})
    of = lambda family: [n["number"] for n in drawn if n["family"] == family]
    chosen = {int(n) for f in families for n in rng.choice(of(f), LONG_PER_FAMILY, replace=False)}
    for network in found:
        network["long"] = network["number"] in chosen
        network["sgd"] = network["draw"] != "R" and network["number"] % SGD_EVERY == 0
    return found


def critical_or_none(name: str) -> Any:
    """`di.critical`, or None where it refuses."""
    from deepinit.theory.criticality import critical

    try:
        return critical(activation(name))
    except SpecError:
        return None


def _plain(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _log_uniform(rng: Any, least: float, most: float) -> float:
    return float(math.exp(rng.uniform(math.log(least), math.log(most))))


def _choice(rng: Any, *options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def _weight(rng: Any, name: str) -> float:
    """Half within a factor 2.5 of the edge of chaos (of K = 1 where there is no critical point)."""
    if rng.uniform() < 0.5:
        point = critical_or_none(name)
        edge = point.weight_var if point else 1 / moments(activation(name), 1.0).slope_square
        return edge * _log_uniform(rng, 0.4, 2.5)
    return _choice(rng, 1 / 3, 1.0, 2.0, _log_uniform(rng, 0.3, 5.0))


def _stack(rng: Any, group: Group) -> dict[str, Any]:
    name = _choice(rng, *NAMES)
    weight, bias = _weight(rng, name), _choice(rng, 0.0, 0.05, 0.2)
    return {
        "activation": name,
        "weight": weight,
        "first": weight,
        "bias": bias,
        "skip": 0.0,
        "alpha": 1.0,
    }


def _residual(rng: Any, group: Group) -> dict[str, Any]:
    root = group.depth**-0.5
    alpha = _choice(rng, 1.0, root, root**2, _log_uniform(rng, 0.3, 3.0))
    found = _stack(rng, group) | {"skip": 1.0, "alpha": alpha}
    return found | {"norm": _choice(rng, "none", "none", "none", "layer")}


def _transformer(rng: Any, group: Group) -> dict[str, Any]:
    return {
        "activation": _choice(rng, *INNER),
        "norm": _choice(rng, "pre", "post", "none"),
        "alpha": _choice(rng, 1.0, (2 * group.depth) ** -0.5),
        "temperature": _choice(rng, 0.25, 1.0, 4.0),
        "value": _log_uniform(rng, 0.25, 4.0),
        "output": _log_uniform(rng, 0.25, 4.0),
        "inner": _log_uniform(rng, 0.5, 2.0),
        "outer": _log_uniform(rng, 0.5, 4.0),
    }


def _gated(rng: Any, group: Group) -> dict[str, Any]:
    skip = _choice(rng, 1.0, 1.0, 0.0)
    return {
        "activation": _choice(rng, *GATES),
        "norm": _choice(rng, "rms", "none"),
        "skip": skip,
        "alpha": _choice(rng, 1.0, group.depth**-0.5) if skip else 1.0,
        "gate": _log_uniform(rng, 0.5, 2.0),
        "up": _log_uniform(rng, 0.5, 2.0),
        "down": _log_uniform(rng, 0.5, 4.0),
    }


_DRAWS = {
    "mlp": _stack,
    "layernorm": _stack,
    "conv": _stack,
    "residual": _residual,
    "transformer": _transformer,
    "gated": _gated,
}
