"""Exact lengths of the image of a line or circle, by a sweep over regions of a ReLU network.

Between switches of units the image is `basis(t) @ coefficients` (`piecewise_linear.pieces`). New
edges are zeros of preactivations, in O(pieces * fan_in * fan_out) per layer:
    line:    t = -z0 / z1
    circle:  t = phase +- arccos(-z0 / R),   R = |(z1, z2)|,   phase = atan2(z2, z1).
*Rounding.* z is known to about eps |w| |x|, a zero t* to delta = that over |z'(t*)|. A zero within
delta of an edge is that edge (bias-free: all units switch where the curve meets 0); zeros within
delta are one; a unit within rounding of 0 on an entire piece is 0; a circle that touches a unit's
boundary to rounding does not cross it. Lengths change by a few eps.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.curves import Curve
from deepinit.core.typing import Float, Int
from deepinit.piecewise_linear.pieces import (
    Pieces,
    angular_lengths,
    basis,
    lengths,
    mean_basis,
    pieces_of,
)
from deepinit.piecewise_linear.relu_layers import Layer, checked_layers

_EPS = float(np.finfo(np.float64).eps)
# One layer rounds to about 2 eps; depth adds to it, and on a curve through 0 all is rounding.
_ROUNDING = 64.0 * _EPS


class ExactLengths(NamedTuple):
    """Lengths of one network after every layer.

    Attributes:
        lengths: of the image, overlaps with multiplicity.
        breakpoints: points where a unit of this layer switches and none of an earlier one does; not
            the ends, but possibly the seam of a closed curve.
        pieces: number of smooth pieces, a closed curve cut at its start.
    """

    lengths: Float[np.ndarray, "layers"]
    breakpoints: Int[np.ndarray, "layers"]
    pieces: Int[np.ndarray, "layers"]


def exact_lengths(
    layers: Sequence[tuple[Any, ...]],
    curve: Curve,
    *,
    negative_slope: float = 0.0,
    last_is_linear: bool = True,
) -> ExactLengths:
    """Lengths int |d x^l(gamma(t)) / dt| dt of a curve's images in a (leaky) ReLU network, exact.

    0 for a dead network.

    Args:
        layers: per layer (weights [fan_out, fan_in], biases [fan_out] or None), or (W, b, V) of the
            residual block x + V phi(W x + b); see `relu_layers.layers_of`.
        curve: of the first layer's fan_in dimensions, at most one full turn.
        negative_slope: of the activation below 0; -1 is the absolute value.
        last_is_linear: the last layer has no activation.

    Raises SpecError: numbers that are not finite, more than one turn.
    Valid for: images inside the range of float64; relative error 1e-13.
    Reference: arXiv:2102.10492 (length distortion).
    """
    images = sweep(layers, curve, negative_slope=negative_slope, last_is_linear=last_is_linear)
    counts = [(lengths(pieces).sum(), created, pieces.num_pieces) for pieces, created in images]
    return ExactLengths(*map(np.array, zip(*counts, strict=True)))


def sweep(
    layers: Sequence[tuple[Any, ...]],
    curve: Curve,
    *,
    negative_slope: float = 0.0,
    last_is_linear: bool = True,
) -> Iterator[tuple[Pieces, int]]:
    """Pieces of the image after each layer, and its number of new breakpoints."""
    negative_slope = validate.real("negative_slope", negative_slope, remedy="0 is ReLU.")
    turns = (curve.stop - curve.start) / (2.0 * math.pi)
    valid = curve.kind != "circle" or turns <= 1.0 + 1e-12
    validate.require(valid, f"a circle of {turns:g} turns", "at most one full turn")
    checked = checked_layers(layers, curve.dimension, last_is_linear)
    return _images(checked, pieces_of(curve), negative_slope)


def _images(
    layers: list[Layer], pieces: Pieces, negative_slope: float
) -> Iterator[tuple[Pieces, int]]:
    for layer in layers:
        pieces, created = _through(layer, pieces, negative_slope)
        yield pieces, created


def expected_breakpoints(
    pieces: Pieces, fan_out: int, weight_var: float, bias_std: float = 0.0
) -> float:
    """Expected number of breakpoints of the next layer, given its input curve (Rice's formula).

    (n_l / pi) * (angular length of (sqrt(v_l / n_{l-1}) x^{l-1}(t), bias_std)): a curve of length
    theta on the sphere crosses a random great hypersphere theta / pi times on average (Crofton).
    `pieces`: the curve x^{l-1}, from `sweep` or `pieces.pieces_of`. `fan_out`: n_l. `weight_var`:
    v_l, variance times fan-in, >= 0. `bias_std`: of one bias, >= 0.
    Raises SpecError: a fan_out that is no integer >= 1, negative variances.
    Valid for: independent Gaussian weights and biases, exact at every width; without biases, a
        curve that meets 0 only at ends of its pieces.
    """
    validate.integer("fan_out", fan_out, 1)
    validate.not_negative("weight_var", weight_var, "He initialization has weight_var=2.")
    validate.not_negative("bias_std", bias_std)
    num_pieces, num_basis, fan_in = pieces.coefficients.shape
    heights = np.zeros((num_pieces, num_basis, 1))
    heights[:, 0] = bias_std
    u = np.concatenate([math.sqrt(weight_var / fan_in) * pieces.coefficients, heights], axis=2)
    return float(fan_out / math.pi * angular_lengths(pieces._replace(coefficients=u)).sum())


def _through(layer: Layer, pieces: Pieces, negative_slope: float) -> tuple[Pieces, int]:
    """Curve after a layer, and the layer's number of new breakpoints."""
    z = pieces.coefficients @ layer.weights.T
    z[:, 0] += layer.biases
    if layer.is_linear:
        return pieces._replace(coefficients=z), 0
    noise = _noise(layer, pieces)
    z *= (_largest(pieces, np.abs(z)) > noise)[:, None]
    parents, times = _switches(pieces._replace(coefficients=z), noise)
    if len(times):
        counts = 1 + np.bincount(parents, minlength=pieces.num_pieces)
        source = np.repeat(np.arange(pieces.num_pieces), counts)
        pieces = pieces._replace(edges=np.sort(np.concatenate([pieces.edges, times])))
        z = z[source]
    else:
        source = np.arange(pieces.num_pieces)
    # the mean over the piece: at its midpoint the curve may touch the unit's boundary
    is_on = np.einsum("pb,pbi->pi", mean_basis(pieces), z) > 0.0
    breaks_seam = pieces.smooth_seam and bool((is_on[0] != is_on[-1]).any())
    image = np.where(is_on[:, None], z, negative_slope * z)
    if layer.out_weights is not None:
        image = pieces.coefficients[source] + image @ layer.out_weights.T
    after = Pieces(pieces.kind, pieces.edges, image, pieces.smooth_seam and not breaks_seam)
    return after, len(times) + int(breaks_seam)


def _largest(pieces: Pieces, sizes: np.ndarray) -> np.ndarray:
    """Largest |basis(t) @ c| on each piece, for coefficients of sizes [pieces, basis, ...]."""
    if pieces.kind == "line":
        furthest = np.maximum(np.abs(pieces.edges[:-1]), np.abs(pieces.edges[1:]))
        return sizes[:, 0] + furthest.reshape(-1, *[1] * (sizes.ndim - 2)) * sizes[:, 1]
    return sizes[:, 0] + np.hypot(sizes[:, 1], sizes[:, 2])


def _noise(layer: Layer, pieces: Pieces) -> np.ndarray:
    """Rounding of the preactivations: [pieces, fan_out]."""
    norms = _largest(pieces, np.linalg.norm(pieces.coefficients, axis=2))
    sizes = norms[:, None] * np.linalg.norm(layer.weights, axis=1)
    return _ROUNDING * (sizes + np.abs(layer.biases))


def _switches(pieces: Pieces, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sign changes of preactivations inside pieces: (piece, t), each [num_switches], t sorted."""
    z, spans = pieces.coefficients, pieces.spans
    at_middle = np.einsum("pb,pbi->pi", basis(pieces.kind, pieces.middles), z)
    fastest = np.abs(z[:, 1]) if pieces.kind == "line" else np.hypot(z[:, 1], z[:, 2])
    # |z(t) - z(middle)| <= fastest * span / 2 on the piece: few units come near 0 on a short one
    near = np.abs(at_middle) < 0.5 * (1.0 + 1e-9) * fastest * spans[:, None] + noise
    near &= fastest > (0.0 if pieces.kind == "line" else np.abs(z[:, 0]) + noise)
    piece, unit = np.nonzero(near)
    if pieces.kind == "circle":
        piece, unit, side = np.tile(piece, 2), np.tile(unit, 2), np.repeat([-1.0, 1.0], len(piece))
    z0, speed, error = z[piece, 0, unit], fastest[piece, unit], noise[piece, unit]
    left, right = pieces.edges[piece], pieces.edges[piece + 1]
    if pieces.kind == "line":
        t, derivative = -z0 / z[piece, 1, unit], speed
    else:
        derivative = np.sqrt(speed - z0) * np.sqrt(speed + z0)  # the product could underflow
        phase = np.arctan2(z[piece, 2, unit], z[piece, 1, unit])
        t = left + np.mod(phase + side * np.arctan2(derivative, -z0) - left, 2.0 * np.pi)
    size = np.abs(left) + np.abs(right) + (pieces.kind == "circle") * np.pi
    delta = error / derivative + 4.0 * _EPS * size
    inside = (t > left + delta) & (t < right - delta)
    return _distinct(piece[inside], t[inside], delta[inside])


def _distinct(piece: np.ndarray, t: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of switches within rounding of each other, the most accurate one."""
    order = np.argsort(t, kind="stable")
    piece, t, delta = piece[order], t[order], delta[order]
    is_new = np.ones(len(t), dtype=bool)
    is_new[1:] = (np.diff(t) > delta[1:] + delta[:-1]) | (np.diff(piece) > 0)
    cluster = np.cumsum(is_new)
    best = np.lexsort((delta, cluster))[np.flatnonzero(is_new)]  # least delta of each cluster
    return piece[best], t[best]
