"""Averages of norms over small groups of Gaussian columns.

F = c / r, c = z centred over the m channels and P positions of an input, r^2 = mean c^2 + eps, for
independent channels z ~ N(0, R). Tangents dF = (t - F mean(F t)) / r, t ~ N(0, ntk) centred too.
"""

from typing import Any

import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.infinite_width.batch_averages import BatchAverages
from deepinit.infinite_width.random_nodes import random_points
from deepinit.infinite_width.softmax_averages import covariance_root


def group_averages(
    phi: Activation,
    left: Any,
    right: Any,
    between: Any,
    ntk: Any,
    channels: int,
    eps: float,
    replica: Any,
) -> BatchAverages:
    """Averages [P, P] of one channel, y = phi(F), between two inputs; `mean` of the first.

    Args:
        left, right, between: [P, P], covariances within and between them; right None: one input.
        ntk: [P, P] between them, or None.
    """
    joint = left if right is None else jnp.block([[left, between], [between.T, right]])
    points, _ = random_points(channels * len(joint), replica)
    z = points.reshape(-1, len(joint)) @ covariance_root(joint, len(joint)).T
    z = z.reshape(len(points), channels, -1, len(left))
    centred = lambda part: part - jnp.mean(part, axis=(1, -1), keepdims=True)
    c = centred(z)
    inverse = 1.0 / jnp.sqrt(jnp.mean(c**2, axis=(1, 3), keepdims=True) + eps)
    f = c * inverse
    y, slope = phi(f), phi.derivative(f)

    def average(one: Any, other: Any) -> Any:
        flat = lambda part: part.reshape(-1, part.shape[-1])
        return flat(one[:, :, 0]).T @ flat(other[:, :, -1]) / (len(points) * channels)

    gains = average(slope * f, slope * f) + average(slope, slope)
    result = BatchAverages(average(y, y), jnp.mean(y[:, :, 0], axis=(0, 1)), None, gains)
    if ntk is None:
        return result
    count, scaled = channels * len(left), slope * inverse
    rows, columns = ntk.mean(1, keepdims=True), ntk.mean(0, keepdims=True)
    mean = (ntk.mean() - rows - columns) / channels
    first, second = f[:, :, :1], f[:, :, -1:]
    pushed, pulled = second @ ntk.T, first @ ntk  # ntk F' and F^T ntk
    along = jnp.mean(pulled * second, axis=(1, 3), keepdims=True)
    toward = average(scaled * centred(pushed), scaled * f)
    back = average(scaled * f, scaled * centred(pulled))
    both = average(scaled * f * along, scaled * f)
    return result._replace(
        ntk=average(scaled, scaled) * (ntk + mean) + (both - toward - back) / count
    )
