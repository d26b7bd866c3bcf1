"""Activations by number, so that one compiled program serves all of them."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation, as_activation

NAMES = (
    "relu",
    "leaky_relu",
    "tanh",
    "erf",
    "sin",
    "gelu",
    "silu",
    "elu",
    "selu",
    "softplus",
    "sigmoid",
)


@functools.cache
def activation(name: str) -> Activation:
    """By name; leaky ReLU has slope 0.1."""
    return as_activation({"name": name, **_PARAMETERS.get(name, {})})


_PARAMETERS = {"leaky_relu": {"negative_slope": 0.1}, "elu": {"alpha": 1.0}}


@jax.custom_jvp
def activate(number: Any, x: Any) -> Any:
    """phi(x) of NAMES[number]; the number is a traced scalar."""
    return jax.lax.switch(number, [activation(name) for name in NAMES], x)


@activate.defjvp
def _derivative(primals: Any, tangents: Any) -> Any:
    # One array is kept for the backward pass; a switch of linearized branches keeps one of each.
    number, x = primals
    slopes = [activation(name).derivative for name in NAMES]
    return activate(number, x), jax.lax.switch(number, slopes, x) * tangents[1]


def number_of(name: str) -> Any:
    """Number of a name, as an array."""
    return jnp.int32(NAMES.index(name))
