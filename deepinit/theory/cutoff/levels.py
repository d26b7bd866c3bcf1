"""Where an activation puts its argument on the lattice: the sets {|phi(u)| >= level}, one interval on each side of 0.

On u >= 0 and on u <= 0 alike |phi| must rise from 0 and may fall again, once (SiLU, GELU left of 0), so that each set is an
interval [first, last]: both ends by bisection on the two branches, for all levels at once.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import values

_GRID = (
    4001  # points on which the shape of |phi| is looked at, spaced evenly in log u over 14 decades
)
_BISECTIONS = 70  # an interval shrinks to 1e-21 of its length
_NOISE = 1e-13  # relative rise or fall of |phi| that counts as rounding


class Levels(NamedTuple):
    """The arguments that reach given levels on one side of 0.

    Attributes:
        first: [levels], the smallest |u| with |phi| >= level; inf if there is none up to the reach.
        last: [levels], the largest; inf where |phi| stays above the level as far as it was asked.
    """

    first: np.ndarray
    last: np.ndarray


def largest_value(activation: Activation, reach: float) -> float:
    """max |phi(u)| over |u| <= reach."""
    return max(_peak(activation, side, reach)[1] for side in (-1.0, 1.0))


def level_sets(activation: Activation, levels: np.ndarray, reach: float) -> tuple[Levels, Levels]:
    """The sets {|phi(u)| >= level, |u| <= reach} left and right of 0.

    Args:
        activation: with phi(0) = 0 and |phi| unimodal on each side of 0.
        levels: [levels], > 0.
        reach: how far out u can get.

    Returns:
        `Levels` for u < 0 and for u > 0; absolute error 1e-16 (1 + reach).

    Raises:
        SpecError: |phi| rises again after it fell.
    """
    return _side(activation, levels, -1.0, reach), _side(activation, levels, 1.0, reach)


def _side(activation: Activation, levels: np.ndarray, side: float, reach: float) -> Levels:
    top, highest = _peak(activation, side, reach)
    nowhere = levels > highest
    # the smallest argument that reaches a level: from 0 up to the maximum; the largest: from there on
    first = _bisect(activation, levels, side, np.zeros_like(levels), np.full_like(levels, top))[1]
    first = np.where(nowhere, math.inf, first)
    if top >= reach:
        return Levels(first, np.full_like(levels, math.inf))
    last = _bisect(
        activation, levels, side, np.full_like(levels, reach), np.full_like(levels, top)
    )[1]
    stays = levels <= abs(float(values(activation, np.array([side * reach]))[0]))
    return Levels(first, np.where(nowhere | stays, math.inf, last))


def _bisect(
    activation: Activation, levels: np.ndarray, side: float, below: np.ndarray, above: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of an interval across which |phi(side u)| - level changes sign; `above` is where it is >= 0."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (below + above)
        reached = np.abs(values(activation, side * middle)) >= levels
        below, above = np.where(reached, below, middle), np.where(reached, middle, above)
    return below, above


def _peak(activation: Activation, side: float, reach: float) -> tuple[float, float]:
    """(argument, value) of the first maximum of |phi(side u)| on [0, reach]; the argument is `reach` if it never falls."""
    from scipy.optimize import minimize_scalar

    grid = reach * np.logspace(-14.0, 0.0, _GRID)
    heights = np.abs(values(activation, side * grid))
    if not np.isfinite(heights).all():
        raise SpecError(
            f"the activation {activation!r}, not finite up to {reach:g}",
            "finite activations",
            "Clip it.",
        )
    changes = np.diff(heights)
    noise = _NOISE * heights[1:]
    if not (changes < -noise).any():
        return reach, float(heights.max())
    best = int(np.argmax(heights))
    falls = int(np.argmax(changes < -noise))
    if falls < best - 1 or (changes[best + 1 :] > noise[best + 1 :]).any():
        raise SpecError(
            f"the activation {activation!r}, whose absolute value rises again after it fell",
            f"activations whose |phi| rises from 0 and falls at most once on either side of 0 (up to |u| = {reach:.3g})",
            "Simulate the chain instead.",
        )
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(
        lambda u: -float(np.abs(values(activation, np.array([side * u])))[0]),
        bounds=(low, high),
        method="bounded",
    )
    if -found.fun > heights[best]:
        return float(found.x), -float(found.fun)
    return float(grid[best]), float(heights[best])
