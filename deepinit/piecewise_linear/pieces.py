"""Curves made of pieces of lines or ellipses, and their lengths.

On each piece the curve is `basis(t) @ coefficients`, basis (1, t) or (1, cos t, sin t). An ellipse
c0 + c1 cos t + c2 sin t has squared speed a + b cos 2(t - t0) and
    a = (|c1|^2 + |c2|^2) / 2,   b cos 2 t0 = (|c2|^2 - |c1|^2) / 2,   b sin 2 t0 = -c1.c2,
    length = sqrt(a + b) [E(t - t0 | 2 b / (a + b))],
E(phi | m) the incomplete elliptic integral. Angular length: the angle of a line piece; on an
ellipse Gauss-Legendre of |u' - (u.u'/|u|^2) u| / |u|, halving pieces until convergence.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.special

from deepinit.core.curves import Curve, Kind
from deepinit.core.typing import Float

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_MOST_HALVINGS = 40


class Pieces(NamedTuple):
    """Curve `basis(t) @ coefficients[piece]`, [num_pieces, 2 or 3, width].

    `kind`: `line` or `circle`. `edges`: increasing. `smooth_seam`: the curve is closed, and smooth
    where its end meets its start.
    """

    kind: Kind
    edges: Float[np.ndarray, "edges"]
    coefficients: Float[np.ndarray, "pieces basis width"]
    smooth_seam: bool

    @property
    def num_pieces(self) -> int:
        """Number of pieces."""
        return len(self.coefficients)

    @property
    def spans(self) -> Float[np.ndarray, "pieces"]:
        """Parameter lengths: [num_pieces]."""
        return np.diff(self.edges)

    @property
    def middles(self) -> Float[np.ndarray, "pieces"]:
        """Midpoints: [num_pieces]."""
        return self.edges[:-1] + 0.5 * self.spans


def pieces_of(curve: Curve) -> Pieces:
    """The curve as one piece."""
    return Pieces(
        curve.kind, np.array([curve.start, curve.stop]), curve.coefficients[None], curve.is_closed
    )


def basis(kind: Kind, t: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape basis"]:
    """(1, t) or (1, cos t, sin t): [..., 2 or 3] for t [...]."""
    terms = [np.ones_like(t), t] if kind == "line" else [np.ones_like(t), np.cos(t), np.sin(t)]
    return np.stack(terms, axis=-1)


def basis_derivative(
    kind: Kind, t: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape basis"]:
    """Derivative of `basis` in t: [..., 2 or 3]."""
    terms = [np.ones_like(t)] if kind == "line" else [-np.sin(t), np.cos(t)]
    return np.stack([np.zeros_like(t), *terms], axis=-1)


def mean_basis(pieces: Pieces) -> Float[np.ndarray, "pieces basis"]:
    """Mean of the basis over each piece: [num_pieces, 2 or 3]."""
    means = basis(pieces.kind, pieces.middles)
    if pieces.kind == "circle":  # np.sinc(x) = sin(pi x) / (pi x)
        means[:, 1:] *= np.sinc(pieces.spans / (2.0 * np.pi))[:, None]
    return means


def lengths(pieces: Pieces) -> Float[np.ndarray, "pieces"]:
    """Length of every piece: [num_pieces]; error 1e-15 of speed times span."""
    if pieces.kind == "line":
        return np.linalg.norm(pieces.coefficients[:, 1], axis=1) * pieces.spans
    c1, c2 = pieces.coefficients[:, 1], pieces.coefficients[:, 2]
    # in units of the piece's own size, lest the squares underflow
    size = np.maximum(np.abs(c1).max(axis=1), np.abs(c2).max(axis=1))
    unit = np.where(size > 0.0, size, 1.0)[:, None]
    c1, c2 = c1 / unit, c2 / unit
    dot = lambda x, y: np.einsum("pi,pi->p", x, y)
    squares1, squares2, product = dot(c1, c1), dot(c2, c2), dot(c1, c2)
    a, difference = 0.5 * (squares1 + squares2), 0.5 * (squares2 - squares1)
    b = np.minimum(np.hypot(difference, product), a)
    t0 = -0.5 * np.arctan2(product, difference)
    parameter = np.where(a > 0.0, 2.0 * b / np.where(a > 0.0, a + b, 1.0), 0.0)
    start, stop = pieces.edges[:-1] - t0, pieces.edges[1:] - t0
    arc = scipy.special.ellipeinc(stop, parameter) - scipy.special.ellipeinc(start, parameter)
    return size * np.sqrt(a + b) * arc


def angular_lengths(pieces: Pieces) -> Float[np.ndarray, "pieces"]:
    """Length of each piece's central projection to the unit sphere, radians.

    0 for a piece on one ray, or at 0. A line through 0 turns by pi.
    Valid for: ellipses that avoid 0 (inside a piece, not at its ends); absolute error 1e-11.
    """
    # an isometry: columns of R have the inner products of the coefficients
    reduced: np.ndarray = np.asarray(np.linalg.qr(np.swapaxes(pieces.coefficients, 1, 2), mode="r"))
    if pieces.kind == "line":
        start, stop = (
            np.einsum("pkb,pb->pk", reduced, basis("line", t))
            for t in (pieces.edges[:-1], pieces.edges[1:])
        )
        area: Any = 0.0
        if reduced.shape[1] > 1:
            area = np.abs(reduced[:, 0, 0] * reduced[:, 1, 1]) * pieces.spans
        return np.arctan2(area, np.einsum("pk,pk->p", start, stop))
    total = np.zeros(pieces.num_pieces)
    owners, left, right = np.arange(pieces.num_pieces), pieces.edges[:-1], pieces.edges[1:]
    coarse = _turning(reduced, owners, left, right)
    for _ in range(_MOST_HALVINGS):
        middle = 0.5 * (left + right)
        halves = _turning(reduced, owners, left, middle), _turning(reduced, owners, middle, right)
        fine = halves[0] + halves[1]
        done = np.abs(fine - coarse) <= 1e-12 + 1e-11 * fine
        np.add.at(total, owners[done], fine[done])
        if done.all():
            return total
        coarse = np.concatenate([half[~done] for half in halves])
        left, middle, right = left[~done], middle[~done], right[~done]
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        owners = np.tile(owners[~done], 2)
    np.add.at(total, owners, coarse)
    return total


def _turning(
    reduced: np.ndarray, owners: np.ndarray, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Gauss-Legendre angle of pieces `owners` between left and right."""
    half = 0.5 * (right - left)
    t = (left + half)[:, None] + half[:, None] * _NODES
    u = np.einsum("pkb,pmb->pmk", reduced[owners], basis("circle", t))
    velocity = np.einsum("pkb,pmb->pmk", reduced[owners], basis_derivative("circle", t))
    norm2 = np.einsum("pmk,pmk->pm", u, u)
    safe = np.where(norm2 > 0.0, norm2, 1.0)
    across = velocity - (np.einsum("pmk,pmk->pm", u, velocity) / safe)[..., None] * u
    speed = np.where(norm2 > 0.0, np.linalg.norm(across, axis=-1) / np.sqrt(safe), 0.0)
    return half * (speed @ _WEIGHTS)
