"""Climbing a form from many starting vectors at once, and telling apart what was reached."""

from collections.abc import Callable

import numpy as np

from deepinit.theory.condensation.target_form import TargetForm

Retract = Callable[[np.ndarray], np.ndarray]

_CHUNK = 2**24  # products of data rows and climbers held at once
_MAX_STEPS = 3000


def to_sphere(points: np.ndarray) -> np.ndarray:
    """Unit vectors [K, D] in the Euclidean norm."""
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def to_cube(points: np.ndarray) -> np.ndarray:
    """The nearest points [K, D] of the cube |u_i| <= 1."""
    return np.clip(points, -1.0, 1.0)


def climb(
    form: TargetForm, sign: np.ndarray, starts: np.ndarray, retract: Retract, accuracy: float
) -> np.ndarray:
    """Where projected gradient ascent of sign * H leads from each start [K, D]; sign is [K].

    Barzilai-Borwein steps, shortened until the value rises: no climber ever leaves its hill for a lower value. Steps end
    where a retracted unit step of the gradient (in units of the largest |H| over the starts) moves less than `accuracy`.
    """
    scale = max(float(np.abs(form.value(starts)).max()), np.finfo(np.float64).tiny)
    per_chunk = max(1, _CHUNK // len(form.rows))
    chunks = range(0, len(starts), per_chunk)
    parts = [
        _climb(form, sign[i : i + per_chunk], starts[i : i + per_chunk], retract, accuracy, scale)
        for i in chunks
    ]
    return np.concatenate(parts)


def _climb(form, sign, starts, retract, accuracy, scale):
    points = starts.copy()
    slopes = sign[:, None] * form.gradient(points) / scale
    heights = sign * form.value(points) / scale
    steps = np.full(len(points), 1.0 / form.p)
    active = np.arange(len(points))
    for _ in range(_MAX_STEPS):
        u, slope, step = points[active], slopes[active], steps[active]
        moving = np.abs(retract(u + slope / form.p) - u).max(axis=1) > accuracy
        active, u, slope, step = active[moving], u[moving], slope[moving], step[moving]
        if not len(active):
            break
        trial = retract(u + step[:, None] * slope)
        height = sign[active] * form.value(trial) / scale
        gain = ((trial - u) * slope).sum(axis=1)
        rising = height >= heights[active] + 1e-4 * np.minimum(gain, 0.1) - 1e-15 * np.abs(
            heights[active]
        )
        risen = active[rising]
        new_slope = sign[risen, None] * form.gradient(trial[rising]) / scale
        move, turn = trial[rising] - u[rising], new_slope - slope[rising]
        # The gradient along the sphere turns by p H more than the gradient itself does.
        bend = np.maximum(
            -(move * turn).sum(axis=1)
            + _radial(form, retract, height[rising]) * (move**2).sum(axis=1),
            0,
        )
        length = (move**2).sum(axis=1)
        steps[risen] = np.clip(length / np.maximum(bend, 1e-30), 1e-3, 1e3)
        points[risen], slopes[risen], heights[risen] = trial[rising], new_slope, height[rising]
        steps[active[~rising]] *= 0.25
        active = active[(steps[active] > 1e-12) | np.isin(active, risen)]
    return points


def _radial(form: TargetForm, retract: Retract, height: np.ndarray) -> np.ndarray:
    return form.p * height if retract is to_sphere else np.zeros_like(height)


def starting_points(form: TargetForm, number: int, seed: int) -> np.ndarray:
    """Vectors [number, D], uniform in direction, the same at every call."""
    return to_sphere(np.random.default_rng(seed).standard_normal((number, form.dimension)))


def highest_first(heights: np.ndarray) -> np.ndarray:
    """The order of falling |height|; heights that are equal up to rounding keep the order in which they were found."""
    sizes = np.abs(heights)
    falling = np.argsort(-sizes, kind="stable")
    steps = np.append(0.0, -np.diff(sizes[falling])) > 1e-9 * np.max(sizes, initial=0.0)
    level = np.empty(len(sizes), int)
    level[falling] = np.cumsum(steps)
    return np.argsort(level, kind="stable")


def distinct(points: np.ndarray, closeness: float) -> list[np.ndarray]:
    """Indices of the points [K, D] of each group that lies within a Euclidean distance of its first member."""
    groups: list[np.ndarray] = []
    left = np.arange(len(points))
    while len(left):
        near = np.linalg.norm(points[left] - points[left[0]], axis=1) < closeness
        groups.append(left[near])
        left = left[~near]
    return groups
