"""Curves made of pieces of lines or ellipses, and their lengths.

On each piece the curve is `basis(t) @ coefficients`, with the basis (1, t) or (1, cos t, sin t): what becomes of a
line or a circle under maps that are affine where the piece lies.

*Length.* A line has constant speed. On an ellipse c0 + c1 cos t + c2 sin t the squared speed is a + b cos 2(t - t0) with

    a = (|c1|^2 + |c2|^2) / 2,   b cos 2 t0 = (|c2|^2 - |c1|^2) / 2,   b sin 2 t0 = -c1.c2,

so that with the incomplete elliptic integral E(phi | m) a piece is sqrt(a + b) [E(t - t0 | 2 b / (a + b))] long: exact also where
the ellipse is flat (one unit alone active) and its speed has a kink.

*Angular length*, the length of the curve's central projection to the unit sphere: a line piece spans one angle in a plane;
on an ellipse we integrate |u' - (u.u'/|u|^2) u| / |u| by Gauss-Legendre, halving pieces until the sum stands still. Both after
an isometry (QR) to as many coordinates as the basis has, so that the width costs nothing afterwards.
"""

from typing import NamedTuple

import numpy as np
import scipy.special

from deepinit.core.curves import Curve, Kind

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_MOST_HALVINGS = 40


class Pieces(NamedTuple):
    """A curve `basis(t) @ coefficients[piece]`.

    Attributes:
        kind: `line` or `circle`, which names the basis.
        edges: [num_pieces + 1], increasing.
        coefficients: [num_pieces, 2 or 3, width].
        smooth_seam: the curve is closed, and runs smoothly through the point where its end meets its start.
    """

    kind: Kind
    edges: np.ndarray
    coefficients: np.ndarray
    smooth_seam: bool

    @property
    def num_pieces(self) -> int:
        """Number of pieces."""
        return len(self.coefficients)

    @property
    def spans(self) -> np.ndarray:
        """Parameter lengths of the pieces: [num_pieces]."""
        return np.diff(self.edges)

    @property
    def middles(self) -> np.ndarray:
        """Midpoints of the pieces: [num_pieces]."""
        return self.edges[:-1] + 0.5 * self.spans


def pieces_of(curve: Curve) -> Pieces:
    """The curve itself, in one piece."""
    return Pieces(
        curve.kind, np.array([curve.start, curve.stop]), curve.coefficients[None], curve.is_closed
    )


def basis(kind: Kind, t: np.ndarray) -> np.ndarray:
    """(1, t) or (1, cos t, sin t): [..., 2 or 3] for t [...]."""
    terms = [np.ones_like(t), t] if kind == "line" else [np.ones_like(t), np.cos(t), np.sin(t)]
    return np.stack(terms, axis=-1)


def basis_derivative(kind: Kind, t: np.ndarray) -> np.ndarray:
    """The derivative of `basis` in t: [..., 2 or 3]."""
    terms = [np.ones_like(t)] if kind == "line" else [-np.sin(t), np.cos(t)]
    return np.stack([np.zeros_like(t), *terms], axis=-1)


def mean_basis(pieces: Pieces) -> np.ndarray:
    """The mean of the basis over each piece: [num_pieces, 2 or 3]."""
    means = basis(pieces.kind, pieces.middles)
    if pieces.kind == "circle":
        means[:, 1:] *= np.sinc(pieces.spans / (2.0 * np.pi))[
            :, None
        ]  # np.sinc(x) = sin(pi x) / (pi x)
    return means


def lengths(pieces: Pieces) -> np.ndarray:
    """The length of every piece; the formula is in the module docstring.

    Returns:
        [num_pieces]; 0 where the curve stands still. Rounding: about 1e-15 of speed times span.
    """
    if pieces.kind == "line":
        return np.linalg.norm(pieces.coefficients[:, 1], axis=1) * pieces.spans
    c1, c2 = pieces.coefficients[:, 1], pieces.coefficients[:, 2]
    # in units of the piece's own size, lest the squares underflow
    size = np.maximum(np.abs(c1).max(axis=1), np.abs(c2).max(axis=1))
    unit = np.where(size > 0.0, size, 1.0)[:, None]
    c1, c2 = c1 / unit, c2 / unit
    squares1, squares2, product = (
        np.einsum("pi,pi->p", x, y) for x, y in ((c1, c1), (c2, c2), (c1, c2))
    )
    a, difference = 0.5 * (squares1 + squares2), 0.5 * (squares2 - squares1)
    b = np.minimum(np.hypot(difference, product), a)
    t0 = -0.5 * np.arctan2(product, difference)
    parameter = np.where(a > 0.0, 2.0 * b / np.where(a > 0.0, a + b, 1.0), 0.0)
    start, stop = (
        scipy.special.ellipeinc(t - t0, parameter) for t in (pieces.edges[:-1], pieces.edges[1:])
    )
    return size * np.sqrt(a + b) * (stop - start)


def angular_lengths(pieces: Pieces) -> np.ndarray:
    """The length of every piece's central projection to the unit sphere, in radians: [num_pieces].

    Formulas in the module docstring. A piece that stays on one ray, or at 0, has none. A line through 0 turns by pi there.

    Valid for: ellipses that keep away from 0 (inside a piece, not at its ends); absolute error about 1e-11.
    """
    # an isometry: columns of R have the inner products of the coefficients
    reduced: np.ndarray = np.asarray(np.linalg.qr(np.swapaxes(pieces.coefficients, 1, 2), mode="r"))
    if pieces.kind == "line":
        start, stop = (
            np.einsum("pkb,pb->pk", reduced, basis("line", t))
            for t in (pieces.edges[:-1], pieces.edges[1:])
        )
        area = (
            np.abs(reduced[:, 0, 0] * reduced[:, 1, 1]) * pieces.spans
            if reduced.shape[1] > 1
            else 0.0
        )
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
        rest = ~done
        coarse = np.concatenate([half[rest] for half in halves])
        left, right = (
            np.concatenate([left[rest], middle[rest]]),
            np.concatenate([middle[rest], right[rest]]),
        )
        owners = np.tile(owners[rest], 2)
    np.add.at(total, owners, coarse)
    return total


def _turning(
    reduced: np.ndarray, owners: np.ndarray, left: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Gauss-Legendre for the angle that pieces `owners` turn through between left and right."""
    half = 0.5 * (right - left)
    t = (left + half)[:, None] + half[:, None] * _NODES
    u, velocity = (
        np.einsum("pkb,pmb->pmk", reduced[owners], fn("circle", t))
        for fn in (basis, basis_derivative)
    )
    norm2 = np.einsum("pmk,pmk->pm", u, u)
    safe = np.where(norm2 > 0.0, norm2, 1.0)
    across = velocity - (np.einsum("pmk,pmk->pm", u, velocity) / safe)[..., None] * u
    speed = np.where(norm2 > 0.0, np.linalg.norm(across, axis=-1) / np.sqrt(safe), 0.0)
    return half * (speed @ _WEIGHTS)
