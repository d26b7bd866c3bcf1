"""Projected gradient ascent of a form from many starts at once."""

from collections.abc import Callable

import numpy as np

from deepinit.theory.condensation.target_form import TargetForm

Retract = Callable[[np.ndarray], np.ndarray]

_CHUNK = 2**24  # products of data rows and points held at once
_MAX_STEPS = 3000


def to_sphere(points: np.ndarray) -> np.ndarray:
    """Unit vectors [K, D] in the Euclidean norm."""
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def to_cube(points: np.ndarray) -> np.ndarray:
    """Nearest points [K, D] of the cube |u_i| <= 1."""
    return np.clip(points, -1.0, 1.0)


def ascend(
    form: TargetForm, sign: np.ndarray, starts: np.ndarray, retract: Retract, accuracy: float
) -> np.ndarray:
    """Limits of projected gradient ascent of sign * H, sign [K], from starts [K, D].

    Barzilai-Borwein steps, shortened until the value rises: no point leaves its basin. Stops where
    a retracted unit step (gradient relative to the largest starting |H|) moves less than
    `accuracy`.
    """
    scale = max(float(np.abs(form.value(starts)).max()), np.finfo(np.float64).tiny)
    per_chunk = max(1, _CHUNK // len(form.rows))
    chunks = range(0, len(starts), per_chunk)
    slices = [slice(i, i + per_chunk) for i in chunks]
    parts = [_ascend(form, sign[i], starts[i], retract, accuracy, scale) for i in slices]
    return np.concatenate(parts)


def _ascend(
    form: TargetForm,
    sign: np.ndarray,
    starts: np.ndarray,
    retract: Retract,
    accuracy: float,
    scale: float,
) -> np.ndarray:
    points = starts.copy()
    gradients = sign[:, None] * form.gradient(points) / scale
    heights = sign * form.value(points) / scale
    steps = np.full(len(points), 1.0 / form.p)
    active = np.arange(len(points))
    for _ in range(_MAX_STEPS):
        u, gradient, step = points[active], gradients[active], steps[active]
        moving = np.abs(retract(u + gradient / form.p) - u).max(axis=1) > accuracy
        active, u, gradient, step = active[moving], u[moving], gradient[moving], step[moving]
        if not len(active):
            break
        trial = retract(u + step[:, None] * gradient)
        height, before = sign[active] * form.value(trial) / scale, heights[active]
        gain = ((trial - u) * gradient).sum(axis=1)
        rising = height >= before + 1e-4 * np.minimum(gain, 0.1) - 1e-15 * np.abs(before)
        risen = active[rising]
        new_gradient = sign[risen, None] * form.gradient(trial[rising]) / scale
        move, turn = trial[rising] - u[rising], new_gradient - gradient[rising]
        length = (move**2).sum(axis=1)
        # The gradient along the sphere turns by p H more than the gradient.
        radial = form.p * height[rising] if retract is to_sphere else 0.0
        bend = np.maximum(-(move * turn).sum(axis=1) + radial * length, 0)
        steps[risen] = np.clip(length / np.maximum(bend, 1e-30), 1e-3, 1e3)
        points[risen], heights[risen] = trial[rising], height[rising]
        gradients[risen] = new_gradient
        steps[active[~rising]] *= 0.25
        active = active[(steps[active] > 1e-12) | np.isin(active, risen)]
    return points


def starting_points(form: TargetForm, number: int, seed: int) -> np.ndarray:
    """Deterministic vectors [number, D], uniform in direction."""
    return to_sphere(np.random.default_rng(seed).standard_normal((number, form.dimension)))


def highest_first(heights: np.ndarray) -> np.ndarray:
    """Order of falling |height|, stable up to rounding."""
    sizes = np.abs(heights)
    falling = np.argsort(-sizes, kind="stable")
    steps = np.append(0.0, -np.diff(sizes[falling])) > 1e-9 * np.max(sizes, initial=0.0)
    level = np.empty(len(sizes), int)
    level[falling] = np.cumsum(steps)
    return np.argsort(level, kind="stable")


def distinct(points: np.ndarray, closeness: float) -> list[np.ndarray]:
    """Indices of the points [K, D] in each group within `closeness` of its first member."""
    groups: list[np.ndarray] = []
    left = np.arange(len(points))
    while len(left):
        near = np.linalg.norm(points[left] - points[left[0]], axis=1) < closeness
        groups.append(left[near])
        left = left[~near]
    return groups
