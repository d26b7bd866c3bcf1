"""Strict local maxima of |H| on the cube max_i |u_i| = 1: where sign descent, and Adam from tiny weights, turn them.

Sign descent moves every coordinate at the same speed: w' = s sign(grad H(w)), s = sign(a) = sign(H(w)) in the end. Along it
F = s H(w) / |w|_inf^p grows: by Euler's identity its rate is sum_i |d_i H(u)| - p s H(u) = sum_i |d_i H(u)| (1 -+ u_i) >= 0 per unit
of |w|_inf, which itself grows at most at speed 1. So strict local maxima of |H| on the cube attract. At one of them the coordinates with
|u_i| = 1 have s u_i d_i H > 0, the others d_i H = 0 with a negative definite s Hess H. Where weights have grown from |w_0| to |w|
the misalignment is |w_0| / |w|: the exponent is 1 everywhere.
"""

import itertools

import numpy as np

from deepinit.theory.condensation.gradient_ascent import (
    climb,
    distinct,
    highest_first,
    starting_points,
    to_cube,
)
from deepinit.theory.condensation.target_form import TargetForm

_BATCH = 400
_MAX_STARTS = 4000
_MOST_CORNERS = 12  # up to 2^12 corners are all looked at
_MOST_EDGES = 9


def cube_maxima(form: TargetForm) -> np.ndarray:
    """Points [K, D] with max_i |u_i| = 1 at the strict local maxima of |H| on the cube, largest first, antipodes included.

    A coordinate that H does not depend on (p = 1: v_i = 0) does not move; it is 0 in the direction.
    """
    if form.p == 1:
        slope = form.gradient(np.ones(form.dimension))
        terms = np.abs(form.rows.T) @ np.abs(form.weights)
        corner = np.sign(np.where(np.abs(slope) > 1e-12 * terms, slope, 0.0))
        return np.array([corner, -corner]) if corner.any() else np.zeros((0, form.dimension))
    found = np.array(_corner_maxima(form) + _face_maxima(form)).reshape(-1, form.dimension)
    if len(found):
        found = found[[group[0] for group in distinct(_halved(found), 1e-6)]]
        found = found[highest_first(form.value(found))]
    return np.array([s * u for u in found for s in (1.0, -1.0)]).reshape(-1, form.dimension)


def is_cube_maximum(form: TargetForm, u: np.ndarray) -> bool:
    """Is u, with max_i |u_i| = 1, a strict local maximum of |H| on the cube (to first order in the fixed coordinates)?"""
    sign = 1.0 if form.value(u) > 0.0 else -1.0
    slope = sign * form.gradient(u)
    fixed = np.abs(u) == 1.0
    scale = form.p * np.abs(form.value(u))
    if scale <= 1e-12 * form.size or not (u[fixed] * slope[fixed] > 1e-9 * scale).all():
        return False
    if fixed.all():
        return True
    bends = np.linalg.eigvalsh(sign * form.hessian(u)[np.ix_(~fixed, ~fixed)])
    return bool(np.abs(slope[~fixed]).max() < 1e-7 * scale and bends[-1] < -1e-6 * scale)


def _corner_maxima(form: TargetForm) -> list[np.ndarray]:
    half = _half_of_the_corners(form.dimension)
    outward = half * form.gradient(half) * np.sign(form.value(half))[:, None]
    return [u for u in half[(outward > 0.0).all(axis=1)] if is_cube_maximum(form, u)]


def _half_of_the_corners(dimension: int) -> np.ndarray:
    if dimension > _MOST_CORNERS:
        return np.zeros((0, dimension))
    return np.array([(1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=dimension - 1)])


def _corners_and_edges(dimension: int) -> np.ndarray:
    """Half of the corners and the middles of their edges."""
    corners = _half_of_the_corners(dimension)
    if dimension > _MOST_EDGES:
        return corners
    middles = np.concatenate(
        [corners * (np.arange(dimension) != free) for free in range(dimension)]
    )
    return np.unique(np.concatenate([corners, middles]), axis=0)


def _face_maxima(form: TargetForm) -> list[np.ndarray]:
    """Maxima found by ascent: from all corners and edges, on which the smallest hills lie, and from random starts.

    Random starts come in batches until none of the maxima has been met only once.
    """
    found: list[np.ndarray] = []
    visits: list[int] = []
    for batch in range(_MAX_STARTS // _BATCH):
        starts = starting_points(form, _BATCH, batch)
        starts /= np.abs(starts).max(axis=1, keepdims=True)
        starts = (
            np.concatenate([_corners_and_edges(form.dimension), starts]) if batch == 0 else starts
        )
        sign = np.where(form.value(starts) < 0.0, -1.0, 1.0)
        ends = climb(form, sign, starts, to_cube, 1e-7)
        for group in distinct(_halved(ends), 1e-3):
            u = _polished(form, ends[group[0]])
            if u is None:
                continue
            match = next(
                (
                    i
                    for i, known in enumerate(found)
                    if min(abs(known - u).max(), abs(known + u).max()) < 1e-6
                ),
                -1,
            )
            if match < 0:
                found.append(u)
                visits.append(len(group))
            else:
                visits[match] += len(group)
        if visits and min(visits) > 1:
            break
    return found


def _polished(form: TargetForm, u: np.ndarray) -> np.ndarray | None:
    """The maximum next to u with its free coordinates to full accuracy, or None where there is none."""
    fixed = np.abs(u) > 1.0 - 1e-9
    if not fixed.any():
        return None
    start = u
    u = np.where(fixed, np.sign(u), u)
    for _ in range(20 if not fixed.all() else 0):
        try:
            step = np.linalg.solve(
                form.hessian(u)[np.ix_(~fixed, ~fixed)], -form.gradient(u)[~fixed]
            )
        except np.linalg.LinAlgError:
            return None
        u[~fixed] += step
        if np.abs(step).max() < 1e-14:
            break
    inside = np.abs(u - start).max() < 1e-2 and (np.abs(u[~fixed]) < 1.0).all()
    return u if inside and is_cube_maximum(form, u) else None


def _halved(points: np.ndarray) -> np.ndarray:
    """Of each pair of opposite points the one whose first coordinate of size 1 (up to rounding) is positive."""
    first = (np.abs(points) > 1.0 - 1e-6).argmax(axis=1)
    return points * np.sign(points[np.arange(len(points)), first])[:, None]
