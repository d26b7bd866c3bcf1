"""Strict local maxima of |H| on the cube max_i |u_i| = 1: sign descent and Adam.

Sign descent w' = s sign(grad H(w)), s = sign(H(w)) in the end. s H(w) / |w|_inf^p grows at rate
sum_i |d_i H(u)| (1 -+ u_i) >= 0 per unit of |w|_inf: strict local maxima attract. There s u_i d_i
H > 0 where |u_i| = 1; else d_i H = 0, s Hess H negative definite. Misalignment is |w_0| / |w|,
exponent 1.
"""

import itertools

import numpy as np

from deepinit.theory.condensation.gradient_ascent import (
    ascend,
    distinct,
    highest_first,
    starting_points,
    to_cube,
)
from deepinit.theory.condensation.target_form import TargetForm

_BATCH = 400
_MAX_STARTS = 4000
_MOST_CORNERS = 12  # up to 2^12 corners are all examined
_MOST_EDGES = 9


def cube_maxima(form: TargetForm) -> np.ndarray:
    """Strict local maxima [K, D] of |H| on the cube, largest first, antipodes included.

    A coordinate absent from H (p = 1: v_i = 0) is 0.
    """
    if form.p == 1:
        gradient = form.gradient(np.ones(form.dimension))
        terms = np.abs(form.rows.T) @ np.abs(form.weights)
        corner = np.sign(np.where(np.abs(gradient) > 1e-12 * terms, gradient, 0.0))
        return np.array([corner, -corner]) if corner.any() else np.zeros((0, form.dimension))
    maxima = np.array(_corner_maxima(form) + _face_maxima(form)).reshape(-1, form.dimension)
    if len(maxima):
        maxima = maxima[[group[0] for group in distinct(_lines(maxima), 1e-6)]]
        maxima = maxima[highest_first(form.value(maxima))]
    return np.array([s * u for u in maxima for s in (1.0, -1.0)]).reshape(-1, form.dimension)


def is_cube_maximum(form: TargetForm, u: np.ndarray) -> bool:
    """True if u is a strict local maximum of |H|, to first order in the fixed entries."""
    sign = 1.0 if form.value(u) > 0.0 else -1.0
    gradient = sign * form.gradient(u)
    fixed = np.abs(u) == 1.0
    scale = form.p * np.abs(form.value(u))
    if scale <= 1e-12 * form.size or not (u[fixed] * gradient[fixed] > 1e-9 * scale).all():
        return False
    if fixed.all():
        return True
    bends = np.linalg.eigvalsh(sign * form.hessian(u)[np.ix_(~fixed, ~fixed)])
    return bool(np.abs(gradient[~fixed]).max() < 1e-7 * scale and bends[-1] < -1e-6 * scale)


def _corner_maxima(form: TargetForm) -> list[np.ndarray]:
    half = _half_of_the_corners(form.dimension)
    outward = half * form.gradient(half) * np.sign(form.value(half))[:, None]
    return [u for u in half[(outward > 0.0).all(axis=1)] if is_cube_maximum(form, u)]


def _half_of_the_corners(dimension: int) -> np.ndarray:
    if dimension > _MOST_CORNERS:
        return np.zeros((0, dimension))
    return np.array([(1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=dimension - 1)])


def _corners_and_edges(dimension: int) -> np.ndarray:
    """Half of the corners, and middles of edges."""
    corners = _half_of_the_corners(dimension)
    if dimension > _MOST_EDGES:
        return corners
    axes = np.arange(dimension)
    middles = np.concatenate([corners * (axes != free) for free in axes])
    return np.unique(np.concatenate([corners, middles]), axis=0)


def _face_maxima(form: TargetForm) -> list[np.ndarray]:
    """Maxima by ascent, until each has been reached twice."""
    maxima: list[np.ndarray] = []
    visits: list[int] = []
    for batch in range(_MAX_STARTS // _BATCH):
        starts = starting_points(form, _BATCH, batch)
        starts /= np.abs(starts).max(axis=1, keepdims=True)
        if batch == 0:
            starts = np.concatenate([_corners_and_edges(form.dimension), starts])
        sign = np.where(form.value(starts) < 0.0, -1.0, 1.0)
        ends = ascend(form, sign, starts, to_cube, 1e-7)
        for group in distinct(_lines(ends), 1e-3):
            u = _polished(form, ends[group[0]])
            if u is None:
                continue
            gaps = [min(abs(v - u).max(), abs(v + u).max()) for v in maxima]
            match = next((i for i, gap in enumerate(gaps) if gap < 1e-6), None)
            if match is None:
                maxima.append(u)
                visits.append(len(group))
            else:
                visits[match] += len(group)
        if visits and min(visits) > 1:
            break
    return maxima


def _polished(form: TargetForm, u: np.ndarray) -> np.ndarray | None:
    """The maximum next to u, or None."""
    fixed = np.abs(u) > 1.0 - 1e-9
    if not fixed.any():
        return None
    start = u
    u = np.where(fixed, np.sign(u), u)
    for _ in range(20 if not fixed.all() else 0):
        hessian, gradient = form.hessian(u)[np.ix_(~fixed, ~fixed)], form.gradient(u)[~fixed]
        try:
            step = np.linalg.solve(hessian, -gradient)
        except np.linalg.LinAlgError:
            return None
        u[~fixed] += step
        if np.abs(step).max() < 1e-14:
            break
    inside = np.abs(u - start).max() < 1e-2 and (np.abs(u[~fixed]) < 1.0).all()
    return u if inside and is_cube_maximum(form, u) else None


def _lines(points: np.ndarray) -> np.ndarray:
    """One of opposite points: first entry of size 1 positive."""
    first = (np.abs(points) > 1.0 - 1e-6).argmax(axis=1)
    return points * np.sign(points[np.arange(len(points)), first])[:, None]
