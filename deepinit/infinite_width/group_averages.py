"""Averages of norms over small groups of Gaussian columns.

F = c / r, c = z centred over the m channels and P positions of an input, r^2 = mean c^2 + eps, for
independent channels z ~ N(0, R). Tangents dF = (t - F mean(F t)) / r, t ~ N(0, ntk) centred too.
"""

from typing import Any

import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.infinite_width.batch_averages import BatchAverages
from deepinit.infinite_width.random_nodes import random_points
from deepinit.infinite_width.routes_of_maxima import Routes, routes, weighted
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
    windows: Any = None,
) -> BatchAverages:
    """Averages [P, P] of one channel, y = phi(F), between two inputs; `mean` of the first.

    Args:
        left, right, between: [P, P], covariances within and between them; right None: one input.
        ntk: [P, P] between them, or None.
        windows: [W, size], positions of which the maximum is taken last; None for all.
    """
    joint = left if right is None else jnp.block([[left, between], [between.T, right]])
    points, _ = random_points(channels * len(joint), replica)
    z = points.reshape(-1, len(joint)) @ covariance_root(joint, len(joint)).T
    z = z.reshape(len(points), channels, -1, len(left))
    centred = lambda part: part - jnp.mean(part, axis=(1, -1), keepdims=True)
    c = centred(z)
    inverse = 1.0 / jnp.sqrt(jnp.mean(c**2, axis=(1, 3), keepdims=True) + eps)
    f = c * inverse
    top = routes(phi(f), windows)
    y, slope, gained = top(phi(f)), top(phi.derivative(f)), top(phi.derivative(f) * f)
    flat = lambda part: part.reshape(-1, part.shape[-1]) / (len(points) * channels) ** 0.5

    def average(one: Any, other: Any) -> Any:
        return flat(one[:, :, 0]).T @ flat(other[:, :, -1])

    gains = average(gained, gained) + average(slope, slope)
    result = BatchAverages(average(y, y), jnp.mean(y[:, :, 0], axis=(0, 1)), None, gains)
    if ntk is None:
        return result
    rows, columns = ntk.mean(1, keepdims=True), ntk.mean(0, keepdims=True)
    own = ntk + (ntk.mean() - rows - columns) / channels
    pushed, pulled = f[:, :, -1:] @ ntk.T, f[:, :, :1] @ ntk  # ntk F' and F^T ntk
    along = jnp.mean(pulled * f[:, :, -1:], axis=(1, 3), keepdims=True)
    scaled, gained = slope * inverse, gained * inverse
    one, other = _side(top, 0), _side(top, -1)
    both = (
        average(gained * along, gained)
        - average(scaled[:, :, :1] * one(centred(pushed)), gained)
        - average(gained, scaled[:, :, -1:] * other(centred(pulled)))
    )
    parts = flat(scaled[:, :, 0]), flat(scaled[:, :, -1])
    slopes = weighted(*parts, own, one.flat, other.flat)
    return result._replace(ntk=slopes + both / (channels * len(left)))


def _side(top: Routes, place: int) -> Routes:
    """Routes of one input."""
    return Routes(None if top.places is None else top.places[:, :, [place]])
