"""States as vectors of coordinates."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from deepinit.theory.layers.coordinates import coordinates, rows_at
from deepinit.theory.layers.state import Normed, Pending, Settled, State


def coordinates_of(state: Any) -> Any:
    """[d] of a state; functions of rows are their own."""
    if isinstance(state, Settled):
        return coordinates(state.gram, state.mean)
    if isinstance(state, Pending | Normed):
        return coordinates(state.variance, jnp.zeros(0))
    return state


def state_at(vector: Any, like: State) -> State:
    """The state of coordinates, else as `like`."""
    if isinstance(like, Settled):
        gram, mean = rows_at(vector, len(like.gram))
        return dataclasses.replace(like, gram=gram, mean=mean)
    return dataclasses.replace(like, variance=rows_at(vector, len(vector))[0])
