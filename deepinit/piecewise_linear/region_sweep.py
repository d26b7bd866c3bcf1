"""Exact lengths of the image of a line or a circle, by sweeping the regions where a ReLU network is affine.

Between two switches of any unit the image of the curve is `basis(t) @ coefficients` (see `observables.pieces`). A layer maps the
coefficients by W and b; the zeros of its preactivations inside the pieces,

    line: t = -z0 / z1;   circle, with R = |(z1, z2)| and phase = atan2(z2, z1): t = phase +- arccos(-z0 / R),

become new edges, and on each piece a unit is on or off by the sign of its mean. No choice of nodes enters, so nothing is lost at
kinks. The cost is O(pieces * fan_in * fan_out) a layer, with no loop over pieces.

*Rounding.* z is known to about eps |w| |x|, a zero t* of it to delta = that over |z'(t*)|. A zero within delta of an edge is that
edge (bias-free: all units switch where the curve meets 0, and a lone active unit passes its zero on); zeros of several units
within delta of each other are one; a unit within rounding of 0 on a whole piece is 0 there; and a circle that touches a unit's
boundary to rounding does not cross it. What this neglects changes lengths by a few eps.

*Expected number of zeros* (Rice). The next layer's preactivation of one unit is <g, u(t)> with g standard Gaussian and
u = (sqrt(v / n) x, bias_std). It vanishes where the direction u/|u| crosses the hyperplane orthogonal to g; by Crofton's formula a
curve of length theta on the sphere crosses a random great hypersphere theta / pi times on average.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.curves import Curve
from deepinit.core.errors import SpecError
from deepinit.piecewise_linear.pieces import (
    Pieces,
    angular_lengths,
    basis,
    lengths,
    mean_basis,
    pieces_of,
)
from deepinit.piecewise_linear.relu_layers import Layer, checked_layers, checked_slope

_EPS = float(np.finfo(np.float64).eps)
# Rounding of one layer is about 2 eps; depth adds to it, and on a curve through 0 everything that is left is rounding.
_ROUNDING = 64.0 * _EPS


class ExactLengths(NamedTuple):
    """Of one network, after every layer (each [num_layers]).

    Attributes:
        lengths: of the image, overlaps counted with multiplicity; after a hidden layer's activation.
        breakpoints: points of the curve where a unit of this layer switches and none of an earlier layer did; ends of
            the curve are none, the seam of a closed curve may be one.
        pieces: number of pieces on which the image is smooth, a closed curve cut at its start.
    """

    lengths: np.ndarray
    breakpoints: np.ndarray
    pieces: np.ndarray


def exact_lengths(
    layers: Any, curve: Curve, *, negative_slope: float = 0.0, last_is_linear: bool = True
) -> ExactLengths:
    """The length of the image of a curve after every layer of a (leaky) ReLU network, to rounding.

    len_l = int |d x^l(gamma(t)) / dt| dt, as a sum over the pieces where x^l is affine; see the module docstring.

    Args:
        layers: per layer (weights [fan_out, fan_in], biases [fan_out] or None); a triple (W, b, V) is the residual
            block x + V phi(W x + b). `relu_layers.layers_of` makes them from a spec's parameters.
        curve: of dimension fan_in of the first layer, at most one full turn.
        negative_slope: of the activation below 0; 0 is ReLU, -1 the absolute value.
        last_is_linear: the last layer has no activation.

    Returns:
        Lengths in the units of the coordinates, breakpoints and pieces. A network that dies has length 0.

    Raises:
        SpecError: shapes that do not fit, weights or slopes that are not finite, more than one turn.

    Valid for: images that neither overflow nor underflow float64; lengths to about 1e-13, relative.

    Reference: arXiv 2102.10492 defines the length distortion; derivation of the sweep: module docstring.
    """
    images = list(
        sweep(layers, curve, negative_slope=negative_slope, last_is_linear=last_is_linear)
    )
    return ExactLengths(
        np.array([lengths(pieces).sum() for pieces, _ in images]),
        np.array([created for _, created in images]),
        np.array([pieces.num_pieces for pieces, _ in images]),
    )


def sweep(
    layers: Any, curve: Curve, *, negative_slope: float = 0.0, last_is_linear: bool = True
) -> Iterator[tuple[Pieces, int]]:
    """The image after each layer, piece by piece, and how many breakpoints the layer created; arguments as `exact_lengths`."""
    negative_slope = checked_slope(negative_slope)
    if curve.kind == "circle" and curve.stop - curve.start > 2.0 * math.pi * (1.0 + 1e-12):
        raise SpecError(
            f"a circle run through {(curve.stop - curve.start) / (2.0 * math.pi):g} times",
            "at most one full turn",
            "Multiply the length of one turn.",
        )
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
    """The expected number of breakpoints of the next layer, given the curve that enters it; Rice's formula.

    (n_l / pi) * (angular length of u(t) = (sqrt(v_l / n_{l-1}) x^{l-1}(t), bias_std)); see the module docstring.

    Args:
        pieces: the curve x^{l-1}, from `sweep` or `pieces.pieces_of`.
        fan_out: n_l.
        weight_var: v_l, variance times fan-in, >= 0.
        bias_std: standard deviation of one bias, >= 0.

    Returns:
        Zeros of preactivations inside the pieces, in expectation over the layer's Gaussian weights and biases.

    Raises:
        SpecError: a fan_out that is no integer >= 1, variances that are negative or not finite.

    Valid for: independent Gaussian weights and biases, exact at every width; without biases, a curve that meets 0 at
        most at the ends of its pieces.

    Reference: Rice's formula; derivation in the module docstring.
    """
    validate.integer(
        "fan_out", fan_out, 1, "It is the width of the layer that creates the breakpoints."
    )
    for name, value in (("weight_var", weight_var), ("bias_std", bias_std)):
        if not (isinstance(value, int | float | np.number) and 0.0 <= value < math.inf):
            raise SpecError(
                f"{name}={value!r}", "a finite number >= 0", "He initialization is weight_var=2."
            )
    num_pieces, num_basis, fan_in = pieces.coefficients.shape
    heights = np.zeros((num_pieces, num_basis, 1))
    heights[:, 0] = bias_std
    u = np.concatenate([math.sqrt(weight_var / fan_in) * pieces.coefficients, heights], axis=2)
    return float(fan_out / math.pi * angular_lengths(pieces._replace(coefficients=u)).sum())


def _through(layer: Layer, pieces: Pieces, negative_slope: float) -> tuple[Pieces, int]:
    """The curve after a layer, and the number of breakpoints that the layer created."""
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
    # The mean over the piece, not the midpoint: that may be where the curve touches the unit's boundary.
    is_on = np.einsum("pb,pbi->pi", mean_basis(pieces), z) > 0.0
    breaks_seam = pieces.smooth_seam and bool((is_on[0] != is_on[-1]).any())
    image = np.where(is_on[:, None], z, negative_slope * z)
    if layer.out_weights is not None:
        image = pieces.coefficients[source] + image @ layer.out_weights.T
    after = Pieces(pieces.kind, pieces.edges, image, pieces.smooth_seam and not breaks_seam)
    return after, len(times) + int(breaks_seam)


def _largest(pieces: Pieces, sizes: np.ndarray) -> np.ndarray:
    """The most that |basis(t) @ c| can be on each piece for coefficients of these sizes [pieces, basis, ...]."""
    if pieces.kind == "line":
        furthest = np.maximum(np.abs(pieces.edges[:-1]), np.abs(pieces.edges[1:]))
        return sizes[:, 0] + furthest.reshape(-1, *[1] * (sizes.ndim - 2)) * sizes[:, 1]
    return sizes[:, 0] + np.hypot(sizes[:, 1], sizes[:, 2])


def _noise(layer: Layer, pieces: Pieces) -> np.ndarray:
    """To what the preactivations are known: [pieces, fan_out]."""
    norms = _largest(pieces, np.linalg.norm(pieces.coefficients, axis=2))
    return _ROUNDING * (
        norms[:, None] * np.linalg.norm(layer.weights, axis=1) + np.abs(layer.biases)
    )


def _switches(pieces: Pieces, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where preactivations change sign inside the pieces: (piece, t), each [num_switches], in the order of t."""
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
        t, slope = -z0 / z[piece, 1, unit], speed
    else:
        slope = np.sqrt(speed - z0) * np.sqrt(speed + z0)  # the product could underflow
        phase = np.arctan2(z[piece, 2, unit], z[piece, 1, unit])
        t = left + np.mod(phase + side * np.arctan2(slope, -z0) - left, 2.0 * np.pi)
    delta = error / slope + 4.0 * _EPS * (
        np.abs(left) + np.abs(right) + (pieces.kind == "circle") * np.pi
    )
    inside = (t > left + delta) & (t < right - delta)
    return _distinct(piece[inside], t[inside], delta[inside])


def _distinct(piece: np.ndarray, t: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One switch for those that rounding cannot tell apart: the one known best."""
    order = np.argsort(t, kind="stable")
    piece, t, delta = piece[order], t[order], delta[order]
    is_new = np.ones(len(t), dtype=bool)
    is_new[1:] = (np.diff(t) > delta[1:] + delta[:-1]) | (np.diff(piece) > 0)
    cluster = np.cumsum(is_new)
    best = np.lexsort((delta, cluster))[
        np.flatnonzero(is_new)
    ]  # clusters keep their places, each sorted by delta
    return piece[best], t[best]
