"""Gradient flow theta' = -grad R by the adaptive Dormand-Prince pair of orders 5 and 4.

Each layer limits the step, by its error relative to its norm (a global norm would ignore small
input weights) and by a relative change `rate`, which also spaces the records.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.linear_algebra import layer_norms
from deepinit.core.typing import PyTree

# Dormand & Prince (1980): rows of stages 2..7 (the last is the step of order 5), and order 5 minus
# order 4.
_STAGES = np.zeros((6, 7))
for _stage, _row in enumerate(
    (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    )
):
    _STAGES[_stage, : len(_row)] = _row
_ERROR = np.array([71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])
_SAFETY, _MOST_SHRINK, _MOST_GROWTH = 0.9, 0.2, 5.0

LossAndGradient = Callable[[Any], tuple[jax.Array, Any]]


class FlowStep(NamedTuple):
    """An attempted step: accepted (or old) state, and the next length."""

    time: jax.Array
    parameters: PyTree
    loss: jax.Array
    gradient: PyTree
    next_length: jax.Array


def longest_step(parameters: PyTree, gradient: PyTree, rate: Any) -> jax.Array:
    """Time in which no layer changes by more than `rate`, relative."""
    sizes, speeds = layer_norms(parameters), layer_norms(gradient)
    limits = rate * (sizes / jnp.where(speeds > 0, speeds, 1))
    shortest = jnp.min(jnp.where((speeds > 0) & (sizes > 0), limits, jnp.inf))
    return jnp.where(jnp.isfinite(shortest), shortest, jnp.where(jnp.any(speeds > 0), rate, 0.0))


def flow_step(
    loss_and_gradient: LossAndGradient,
    time: jax.Array,
    parameters: PyTree,
    loss: jax.Array,
    gradient: PyTree,
    length: jax.Array,
    *,
    rate: Any,
    tolerance: float,
) -> FlowStep:
    """One attempted step, of `length` in time.

    `loss_and_gradient`: parameters -> (loss, gradient). `rate`, `tolerance`: largest relative
    change of a layer, and estimated error relative to its norm.
    """
    # gradients of the seven stages, leading axis; one scan, so that the gradient compiles once
    gradients = jax.tree.map(lambda g: jnp.zeros((7, *g.shape), g.dtype).at[0].set(g), gradient)

    def stage(gradients: Any, weights_and_number: Any) -> tuple[Any, tuple[jax.Array, Any]]:
        weights, number = weights_and_number
        moved = _moved(parameters, gradients, weights, length)
        value, gradient = loss_and_gradient(moved)
        gradients = jax.tree.map(lambda k, g: k.at[number].set(g), gradients, gradient)
        return gradients, (value, moved)

    stages = (jnp.asarray(_STAGES, length.dtype), jnp.arange(1, 7))
    gradients, (values, states) = jax.lax.scan(stage, gradients, stages)
    last = lambda tree: jax.tree.map(lambda leaf: leaf[-1], tree)
    moved_loss, moved, moved_gradient = values[-1], last(states), last(gradients)
    zero = jax.tree.map(jnp.zeros_like, parameters)
    sizes = jnp.maximum(layer_norms(parameters), layer_norms(moved))
    errors = layer_norms(_moved(zero, gradients, jnp.asarray(_ERROR, length.dtype), length))
    error = jnp.max(errors / jnp.where(sizes > 0, sizes, 1))
    accepted = error <= tolerance  # false for NaN
    select = lambda a, b: jax.tree.map(lambda x, y: jnp.where(accepted, x, y), a, b)
    parameters, gradient = select(moved, parameters), select(moved_gradient, gradient)
    factor = _SAFETY * (tolerance / jnp.maximum(error, 1e-4 * tolerance)) ** 0.2
    factor = jnp.clip(factor, _MOST_SHRINK, _MOST_GROWTH)
    factor = jnp.where(jnp.isfinite(error), factor, _MOST_SHRINK)
    next_length = jnp.minimum(factor * length, longest_step(parameters, gradient, rate))
    return FlowStep(
        jnp.where(accepted, time + length, time),
        parameters,
        jnp.where(accepted, moved_loss, loss),
        gradient,
        next_length.astype(length.dtype),
    )


def _moved(start: Any, gradients: Any, weights: jax.Array, length: jax.Array) -> Any:
    """start - length * sum_i weights_i gradients_i, in full precision."""

    def combine(x: jax.Array, k: jax.Array) -> jax.Array:
        return x - length * jnp.tensordot(weights.astype(k.dtype), k, 1, precision="highest")

    return jax.tree.map(combine, start, gradients)
