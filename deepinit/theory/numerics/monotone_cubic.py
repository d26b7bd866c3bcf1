"""Monotone cubic interpolation of an increasing table (Fritsch & Butland 1984).

The scheme of `scipy.interpolate.PchipInterpolator`, whose import takes longer than a prediction.
"""

import numpy as np

from deepinit.core.typing import Float


def monotone_cubic(
    x: Float[np.ndarray, "points"], y: Float[np.ndarray, "points"], at: Float[np.ndarray, "queries"]
) -> Float[np.ndarray, "queries"]:
    """Values at `at` in [x[0], x[-1]]; x increasing, at least 3 points.

    The interpolant has continuous first derivatives and is monotone wherever y is. Inner
    derivatives are weighted harmonic means of adjacent slopes, 0 at a local extremum; those at the
    ends are one-sided three-point differences, limited to keep the shape.
    """
    step = np.diff(x)
    slope = np.diff(y) / step
    derivative = np.concatenate(
        [
            [_end(step[0], step[1], slope[0], slope[1])],
            _inner(step, slope),
            [_end(step[-1], step[-2], slope[-1], slope[-2])],
        ]
    )
    cell = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(step) - 1)
    left, right, t = derivative[:-1][cell], derivative[1:][cell], at - x[cell]
    bend = (left + right - 2.0 * slope[cell]) / step[cell]
    quadratic, cubic = (slope[cell] - left) / step[cell] - bend, bend / step[cell]
    return y[cell] + t * (left + t * (quadratic + t * cubic))


def _inner(step: np.ndarray, slope: np.ndarray) -> np.ndarray:
    first, second = 2.0 * step[1:] + step[:-1], step[1:] + 2.0 * step[:-1]
    same_sign = slope[:-1] * slope[1:] > 0.0
    before, after = (np.where(same_sign, part, 1.0) for part in (slope[:-1], slope[1:]))
    mean = (first + second) / (first / before + second / after)
    return np.where(same_sign, mean, 0.0)


def _end(step: float, next_step: float, slope: float, next_slope: float) -> float:
    derivative = ((2.0 * step + next_step) * slope - step * next_slope) / (step + next_step)
    if derivative * slope <= 0.0:
        return 0.0
    if slope * next_slope <= 0.0 and abs(derivative) > 3.0 * abs(slope):
        return 3.0 * slope
    return derivative
