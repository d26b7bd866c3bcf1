"""Coordinates of states in which layers are nearly linear."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from deepinit.theory.layers.state import Normed, Pending, Settled, State, num_rows
from deepinit.theory.numerics.entries import entries

_NEAREST = 1.0 - 1e-15  # correlations of drawn networks


def coordinates(state: Any, like: Any) -> Any:
    """[d]: logarithms of mean squares, atanh of correlations, means over root mean squares.

    They make layers nearly linear. Correlations that are about 1 or -1 in the state `like` are
    their own coordinates, as are functions.
    """
    if not isinstance(state, Settled | Pending | Normed):
        return state
    products, root, where = _products(state)
    relative = products / (root[where.rows] * root[where.columns])
    apart = _apart(like)
    bent = jnp.arctanh(jnp.where(apart, jnp.clip(relative, -_NEAREST, _NEAREST), 0.0))
    found = jnp.where(apart, bent, relative).at[where.diagonal].set(2.0 * jnp.log(root))
    return jnp.concatenate([found, state.mean / root]) if isinstance(state, Settled) else found


def _products(state: State) -> tuple[Any, Any, Any]:
    products = state.gram if isinstance(state, Settled) else state.variance
    where = entries(num_rows(state))
    return products, jnp.sqrt(products[where.diagonal]), where


def _apart(state: State) -> Any:
    """[p], correlations away from 1 and -1."""
    products, root, where = _products(state)
    return jnp.abs(products) < 0.999 * root[where.rows] * root[where.columns]


def state_at(vector: Any, like: State) -> State:
    """The state of coordinates."""
    where, size, apart = entries(num_rows(like)), len(vector), _apart(like)
    bent = vector[: len(where.rows)]
    root = jnp.exp(0.5 * bent[where.diagonal])
    products = jnp.where(apart, jnp.tanh(bent), bent)
    own = products.at[where.diagonal].set(1.0) * root[where.rows] * root[where.columns]
    if isinstance(like, Settled):
        return dataclasses.replace(like, gram=own, mean=vector[size - len(root) :] * root)
    return dataclasses.replace(like, variance=own)
