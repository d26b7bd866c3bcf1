"""Gradient flow theta' = -grad R with an adaptive step: Dormand and Prince's pair of orders 5 and 4.

Growth from a small initialization is exponential (or faster, towards a finite time), so no fixed step serves all of it. A step is limited
by the estimated error of every layer relative to that layer's norm, and by a relative change of each layer of at most `rate`: records
and a stop at a given loss stay that fine. The norm is taken layer by layer because a global one would ignore small input weights
beside large output weights.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.linear_algebra import layer_norms

# Dormand & Prince (1980): rows of stages 2..7 (the last is the step of order 5), and order 5 minus order 4.
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

Slope = Callable[[Any], tuple[jax.Array, Any]]


class FlowStep(NamedTuple):
    """The outcome of one attempted step: the state after it (before it, if the error was too large) and the next step's length."""

    time: jax.Array
    parameters: Any
    loss: jax.Array
    gradient: Any
    next_length: jax.Array


def longest_step(parameters: Any, gradient: Any, rate: float) -> jax.Array:
    """The time in which no layer changes by more than `rate` of its norm; layers at 0 or at rest set no limit."""
    sizes, speeds = layer_norms(parameters), layer_norms(gradient)
    limits = jnp.where(
        (speeds > 0) & (sizes > 0), rate * (sizes / jnp.where(speeds > 0, speeds, 1)), jnp.inf
    )
    shortest = jnp.min(limits)
    return jnp.where(jnp.isfinite(shortest), shortest, jnp.where(jnp.any(speeds > 0), rate, 0.0))


def flow_step(
    slope: Slope,
    time: jax.Array,
    parameters: Any,
    loss: jax.Array,
    gradient: Any,
    length: jax.Array,
    *,
    rate: float,
    tolerance: float,
) -> FlowStep:
    """One attempted step.

    Args:
        slope: parameters -> (loss, gradient).
        time: at the start of the step.
        parameters: there.
        loss: there.
        gradient: there; the last stage of one step is the first of the next.
        length: of the step, in time.
        rate: largest relative change of a layer in one step.
        tolerance: largest estimated error of a layer in one step, relative to its norm.
    """
    # the slopes of the seven stages, leading axis; one scan, so that the gradient is compiled once
    slopes = jax.tree.map(lambda g: jnp.zeros((7, *g.shape), g.dtype).at[0].set(g), gradient)

    def stage(slopes: Any, weights_and_number: Any) -> tuple[Any, tuple[jax.Array, Any]]:
        weights, number = weights_and_number
        moved = _moved(parameters, slopes, weights, length)
        value, gradient = slope(moved)
        slopes = jax.tree.map(lambda k, g: k.at[number].set(g), slopes, gradient)
        return slopes, (value, moved)

    stages = (jnp.asarray(_STAGES, length.dtype), jnp.arange(1, 7))
    slopes, (values, states) = jax.lax.scan(stage, slopes, stages)
    last = lambda tree: jax.tree.map(lambda leaf: leaf[-1], tree)
    moved_loss, moved, moved_gradient = values[-1], last(states), last(slopes)
    zero = jax.tree.map(jnp.zeros_like, parameters)
    sizes = jnp.maximum(layer_norms(parameters), layer_norms(moved))
    error = jnp.max(
        layer_norms(_moved(zero, slopes, jnp.asarray(_ERROR, length.dtype), length))
        / jnp.where(sizes > 0, sizes, 1)
    )
    accepted = error <= tolerance  # false for NaN
    kept = lambda after, before: jax.tree.map(lambda a, b: jnp.where(accepted, a, b), after, before)
    parameters, gradient = kept(moved, parameters), kept(moved_gradient, gradient)
    factor = _SAFETY * (tolerance / jnp.maximum(error, 1e-4 * tolerance)) ** 0.2
    factor = jnp.where(
        jnp.isfinite(error), jnp.clip(factor, _MOST_SHRINK, _MOST_GROWTH), _MOST_SHRINK
    )
    next_length = jnp.minimum(factor * length, longest_step(parameters, gradient, rate))
    return FlowStep(
        jnp.where(accepted, time + length, time),
        parameters,
        jnp.where(accepted, moved_loss, loss),
        gradient,
        next_length.astype(length.dtype),
    )


def _moved(start: Any, slopes: Any, weights: jax.Array, length: jax.Array) -> Any:
    """start - length * sum_i weights_i slopes_i, matrix products in full precision."""
    combine = lambda x, k: (
        x - length * jnp.tensordot(weights.astype(k.dtype), k, 1, precision="highest")
    )
    return jax.tree.map(combine, start, slopes)
