"""Strict local maxima of |H| on the Euclidean sphere: where gradient flow turns the input weights.

p = 1: H(u) = v.u, maxima +-v/|v|. p = 2: H(u) = u^T M u, maxima at the top eigenvector if its eigenvalue is positive, at the bottom
one if it is negative. Two coordinates: with u = (cos phi, sin phi) the derivative is a trigonometric polynomial, e^{-ip phi}
Q(e^{2i phi}) with deg Q = p; the roots of Q on the unit circle are the critical lines. Otherwise: ascent from many starts, in
batches until no maximum has been met only once.
"""

import numpy as np

from deepinit.theory.condensation.gradient_ascent import (
    climb,
    distinct,
    highest_first,
    starting_points,
    to_sphere,
)
from deepinit.theory.condensation.target_form import TargetForm, condensation_exponent

# Below this exponent weights must grow by e^700 to align: no maximum that anything could condense on.
LEAST_EXPONENT = 1e-3
_BATCH = 400
_MAX_STARTS = 4000


def sphere_maxima(form: TargetForm) -> np.ndarray:
    """Unit vectors [K, D] at the strict local maxima of |H|, largest first; K is even, antipodes included."""
    if form.p == 1 or form.dimension == 1:
        candidates = to_sphere(form.gradient(np.ones((1, form.dimension))))
    elif form.p == 2:
        candidates = _lines(np.linalg.eigh(form.hessian(np.zeros(form.dimension)))[1].T[[0, -1]])
        values = form.value(candidates)
        candidates = candidates[[values[0] < 0.0, values[1] > 0.0]]
    elif form.dimension == 2:
        angles = critical_angles(form)
        candidates = np.column_stack([np.cos(angles), np.sin(angles)])
    else:
        candidates = _searched(form)
    floor = 1e-12 * form.size
    strict = [
        u
        for u in candidates
        if abs(form.value(u)) > floor and condensation_exponent(form, u) > LEAST_EXPONENT
    ]
    if not strict:
        return np.zeros((0, form.dimension))
    order = highest_first(form.value(np.array(strict)))
    return np.array([s * strict[k] for k in order for s in (1.0, -1.0)])


def critical_angles(form: TargetForm) -> np.ndarray:
    """Angles phi in [0, pi) of the critical lines of H(cos phi, sin phi) on the circle, at most p of them, in increasing order.

    Args:
        form: a form of two variables that is not constant on the circle.
    """
    p = form.p
    nodes = np.pi * np.arange(p + 1) / (p + 1)
    coefficients = np.fft.fft(np.exp(1j * p * nodes) * _angle_slope(form, nodes)) / (
        p + 1
    )  # Q, lowest order first
    largest = np.abs(coefficients).max()
    if largest <= 1e-13 * p * form.size:
        return np.zeros(0)
    kept = np.nonzero(np.abs(coefficients) > 1e-15 * largest)[0]
    roots = np.roots(coefficients[kept[0] : kept[-1] + 1][::-1])
    angles = 0.5 * np.angle(roots[np.abs(np.abs(roots) - 1.0) < 1e-5])
    angles = np.array([_polished(form, float(angle)) for angle in angles])
    angles = (angles + 1e-9) % np.pi - 1e-9  # an angle that is 0 up to rounding stays at 0
    # A simple root near the circle is on it (roots come as reflected pairs); double roots, polished, coincide.
    lines = np.exp(2j * angles)
    groups = distinct(np.column_stack([lines.real, lines.imag]), 1e-6)
    found = np.array([angles[group[0]] for group in groups])
    return (
        np.sort(found[np.abs(_angle_slope(form, found)) < 1e-9 * p * form.size])
        if len(found)
        else found
    )


def _angle_slope(form: TargetForm, angles: np.ndarray) -> np.ndarray:
    """dH/dphi."""
    u = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    across = np.stack([-np.sin(angles), np.cos(angles)], axis=-1)
    return (form.gradient(u) * across).sum(axis=-1)


def _polished(form: TargetForm, angle: float) -> float:
    """Newton's method for dH/dphi = 0, kept near its start."""
    start = angle
    for _ in range(5):
        u, across = (
            np.array([np.cos(angle), np.sin(angle)]),
            np.array([-np.sin(angle), np.cos(angle)]),
        )
        bend = float(across @ form.hessian(u) @ across - form.p * form.value(u))
        if abs(bend) < 1e-10 * form.size:
            return start
        angle -= float(form.gradient(u) @ across) / bend
    return angle if abs(angle - start) < 1e-3 else start


def _searched(form: TargetForm) -> np.ndarray:
    """Maxima in any dimension, one of each antipodal pair."""
    # Each row's own direction first: with orthogonal rows the maxima are exactly these.
    norms = np.linalg.norm(form.rows, axis=1)
    guesses = to_sphere(form.rows[norms > 0.0])[:_BATCH]
    found = np.zeros((0, form.dimension))
    visits = np.zeros(0, dtype=int)
    for batch in range(_MAX_STARTS // _BATCH):
        starts = starting_points(form, _BATCH, batch)
        random = np.arange(_BATCH + (len(guesses) if batch == 0 else 0)) < _BATCH
        starts = np.concatenate([starts, guesses]) if batch == 0 else starts
        sign = np.where(form.value(starts) < 0.0, -1.0, 1.0)
        ends = climb(form, sign, starts, to_sphere, 1e-5)
        for group in distinct(_lines(ends), 1e-3):
            u = _newton(form, ends[group[0]])
            if u is None:
                continue
            matches = np.nonzero(np.abs(found @ u) > 1.0 - 1e-6)[0]
            if not len(matches):
                found, visits = np.vstack([found, u]), np.append(visits, 0)
                matches = np.array([len(found) - 1])
            visits[matches[0]] += int(random[group].sum())
        if batch > 0 and len(visits) and visits.min() > 1:
            break
    return found


def _lines(points: np.ndarray) -> np.ndarray:
    """Of each pair of opposite vectors the one whose first entry among the largest (within 1 %) is positive: one per line."""
    sizes = np.abs(points)
    largest = (sizes > 0.99 * sizes.max(axis=1, keepdims=True)).argmax(axis=1)
    return points * np.sign(points[np.arange(len(points)), largest])[:, None]


def _newton(form: TargetForm, u: np.ndarray) -> np.ndarray | None:
    """The critical point next to u to full accuracy, or None where u is near none that is a maximum of |H|."""
    start = u
    for _ in range(20):
        tangent = np.linalg.svd(u[None])[2][1:]
        bend = tangent @ form.hessian(u) @ tangent.T - form.p * float(form.value(u)) * np.eye(
            len(tangent)
        )
        try:
            step = tangent.T @ np.linalg.solve(bend, -tangent @ form.gradient(u))
        except np.linalg.LinAlgError:
            return None
        u = (u + step) / np.linalg.norm(u + step)
        if np.linalg.norm(step) < 1e-14:
            break
    return (
        u
        if np.linalg.norm(u - start) < 1e-2 and condensation_exponent(form, u) > LEAST_EXPONENT
        else None
    )
