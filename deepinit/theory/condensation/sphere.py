"""Strict local maxima of |H| on the Euclidean sphere: gradient flow.

p = 1, 2: `predict_orientations`. D = 2: dH/dphi = e^{-ip phi} Q(e^{2i phi}), deg Q = p; critical
lines are roots of Q on the unit circle. Else: ascent from random starts until every maximum has
been reached twice.
"""

import numpy as np

from deepinit.theory.condensation.gradient_ascent import (
    ascend,
    distinct,
    highest_first,
    starting_points,
    to_sphere,
)
from deepinit.theory.condensation.target_form import TargetForm, condensation_exponent

LEAST_EXPONENT = 1e-3  # below, weights must grow by e^700 to align
_BATCH = 400
_MAX_STARTS = 4000


def sphere_maxima(form: TargetForm) -> np.ndarray:
    """Strict local maxima [K, D] of |H|, largest first, antipodes included."""
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
    """Increasing angles phi in [0, pi) of the critical lines, at most p, D = 2."""
    p = form.p
    nodes = np.pi * np.arange(p + 1) / (p + 1)
    samples = np.exp(1j * p * nodes) * _angle_derivative(form, nodes)
    coefficients = np.fft.fft(samples) / (p + 1)  # of Q, lowest order first
    largest = np.abs(coefficients).max()
    if largest <= 1e-13 * p * form.size:
        return np.zeros(0)
    nonzero = np.nonzero(np.abs(coefficients) > 1e-15 * largest)[0]
    roots = np.roots(coefficients[nonzero[0] : nonzero[-1] + 1][::-1])
    angles = 0.5 * np.angle(roots[np.abs(np.abs(roots) - 1.0) < 1e-5])
    angles = np.array([_polished(form, float(angle)) for angle in angles])
    angles = (angles + 1e-9) % np.pi - 1e-9  # 0 up to rounding stays 0
    # Roots come as reflected pairs: a simple one near the circle is on it; double ones coincide.
    lines = np.exp(2j * angles)
    groups = distinct(np.column_stack([lines.real, lines.imag]), 1e-6)
    lines = np.array([angles[group[0]] for group in groups])
    if not len(lines):
        return lines
    return np.sort(lines[np.abs(_angle_derivative(form, lines)) < 1e-9 * p * form.size])


def _angle_derivative(form: TargetForm, angles: np.ndarray) -> np.ndarray:
    """dH/dphi."""
    u = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    across = np.stack([-np.sin(angles), np.cos(angles)], axis=-1)
    return (form.gradient(u) * across).sum(axis=-1)


def _polished(form: TargetForm, angle: float) -> float:
    """Newton's method for dH/dphi = 0."""
    start = angle
    for _ in range(5):
        u = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-np.sin(angle), np.cos(angle)])
        bend = float(across @ form.hessian(u) @ across - form.p * form.value(u))
        if abs(bend) < 1e-10 * form.size:
            return start
        angle -= float(form.gradient(u) @ across) / bend
    return angle if abs(angle - start) < 1e-3 else start


def _searched(form: TargetForm) -> np.ndarray:
    """Maxima by ascent, one of each antipodal pair."""
    # With orthogonal rows the maxima are exactly the rows' directions.
    norms = np.linalg.norm(form.rows, axis=1)
    guesses = to_sphere(form.rows[norms > 0.0])[:_BATCH]
    maxima = np.zeros((0, form.dimension))
    visits = np.zeros(0, dtype=int)
    for batch in range(_MAX_STARTS // _BATCH):
        starts = starting_points(form, _BATCH, batch)
        random = np.arange(_BATCH + (len(guesses) if batch == 0 else 0)) < _BATCH
        starts = np.concatenate([starts, guesses]) if batch == 0 else starts
        sign = np.where(form.value(starts) < 0.0, -1.0, 1.0)
        ends = ascend(form, sign, starts, to_sphere, 1e-5)
        for group in distinct(_lines(ends), 1e-3):
            u = _newton(form, ends[group[0]])
            if u is None:
                continue
            matches = np.nonzero(np.abs(maxima @ u) > 1.0 - 1e-6)[0]
            if not len(matches):
                maxima, visits = np.vstack([maxima, u]), np.append(visits, 0)
                matches = np.array([len(maxima) - 1])
            visits[matches[0]] += int(random[group].sum())
        if batch > 0 and len(visits) and visits.min() > 1:
            break
    return maxima


def _lines(points: np.ndarray) -> np.ndarray:
    """One of opposite vectors: first entry near the largest positive."""
    sizes = np.abs(points)
    largest = (sizes > 0.99 * sizes.max(axis=1, keepdims=True)).argmax(axis=1)
    return points * np.sign(points[np.arange(len(points)), largest])[:, None]


def _newton(form: TargetForm, u: np.ndarray) -> np.ndarray | None:
    """The strict maximum next to u, or None."""
    start = u
    for _ in range(20):
        tangent = np.linalg.svd(u[None])[2][1:]
        radial = form.p * float(form.value(u))
        bend = tangent @ form.hessian(u) @ tangent.T - radial * np.eye(len(tangent))
        try:
            step = tangent.T @ np.linalg.solve(bend, -tangent @ form.gradient(u))
        except np.linalg.LinAlgError:
            return None
        u = (u + step) / np.linalg.norm(u + step)
        if np.linalg.norm(step) < 1e-14:
            break
    if np.linalg.norm(u - start) >= 1e-2 or condensation_exponent(form, u) <= LEAST_EXPONENT:
        return None
    return u
