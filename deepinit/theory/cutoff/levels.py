"""Level sets {|phi(u)| >= level} of an activation, by bisection.

On each side of 0, |phi| rises from 0 and may fall once (SiLU, GELU): one interval each.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import values

_GRID = 4001  # points in log u over 14 decades, for the shape of |phi|
_BISECTIONS = 70  # an interval shrinks to 1e-21 of its length
_NOISE = 1e-13  # relative rise or fall of |phi| that counts as rounding


class Levels(NamedTuple):
    """Arguments that reach given levels on one side of 0.

    first, last: [levels], smallest and largest |u| with |phi| >= level; inf for none, and where
    |phi| stays above.
    """

    first: np.ndarray
    last: np.ndarray


def largest_value(activation: Activation, reach: float) -> float:
    """max |phi(u)| over |u| <= reach."""
    return max(_peak(activation, side, reach)[1] for side in (-1.0, 1.0))


def level_sets(activation: Activation, levels: np.ndarray, reach: float) -> tuple[Levels, Levels]:
    """Sets {|phi(u)| >= level > 0, |u| <= reach} left and right of 0; phi(0) = 0.

    Absolute error 1e-16 (1 + reach). SpecError if |phi| rises again after a fall.
    """
    return _side(activation, levels, -1.0, reach), _side(activation, levels, 1.0, reach)


def _side(activation: Activation, levels: np.ndarray, side: float, reach: float) -> Levels:
    top, highest = _peak(activation, side, reach)
    nowhere = levels > highest
    first = _bisect(activation, levels, side, 0.0, top)
    first = np.where(nowhere, math.inf, first)
    if top >= reach:
        return Levels(first, np.full_like(levels, math.inf))
    last = _bisect(activation, levels, side, reach, top)
    stays = levels <= abs(float(values(activation, np.array([side * reach]))[0]))
    return Levels(first, np.where(nowhere | stays, math.inf, last))


def _bisect(
    activation: Activation, levels: np.ndarray, side: float, start: float, end: float
) -> np.ndarray:
    """Arguments between start and end where |phi| = level."""
    below, above = np.full_like(levels, start), np.full_like(levels, end)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (below + above)
        reached = np.abs(values(activation, side * middle)) >= levels
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    return above


def _peak(activation: Activation, side: float, reach: float) -> tuple[float, float]:
    """(argument, value) of the first maximum of |phi(side u)|."""
    from scipy.optimize import minimize_scalar

    grid = reach * np.logspace(-14.0, 0.0, _GRID)
    heights = np.abs(values(activation, side * grid))
    if not np.isfinite(heights).all():
        given = f"the activation {activation!r}, not finite up to {reach:g}"
        raise SpecError(given, "finite activations", "Clip it.")
    changes = np.diff(heights)
    noise = _NOISE * heights[1:]
    if not (changes < -noise).any():
        return reach, float(heights.max())
    best = int(np.argmax(heights))
    falls = int(np.argmax(changes < -noise))
    if falls < best - 1 or (changes[best + 1 :] > noise[best + 1 :]).any():
        given = f"the activation {activation!r}, whose absolute value rises again after a fall"
        allowed = f"|phi| that falls at most once on each side of 0 (up to |u| = {reach:.3g})"
        raise SpecError(given, allowed, "Simulate the chain.")
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]

    def minus_height(u: float) -> float:
        return -float(np.abs(values(activation, np.array([side * u])))[0])

    optimum = minimize_scalar(minus_height, bounds=(low, high), method="bounded")
    if -optimum.fun > heights[best]:
        return float(optimum.x), -float(optimum.fun)
    return float(grid[best]), float(heights[best])
