"""Kinks of a function of one variable, from its operations.

A switch (`core.switches`) that changes state between grid points is bisected to neighbouring
floats; pieces in between are found at extrema of its argument. It is a kink if the continuations
with all switches held in their left and right states differ, unlike for log(1 + e^x) by max and
abs.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.switches import Switch, evaluate

MOST_KINKS = 16
REACH = 12.0  # of the fine part of the grid
_SIDE = 1e-7  # distance of the sides from a kink, relative to 1 + |kink|
_AROUND = np.array([-0.3, -0.15, -0.05, 0.0, 0.05, 0.15, 0.3])  # where continuations are compared
_SAME = 1e-11
_ROUNDS = 24
_POINTS = 16  # in a bracket
_MOST_EXTREMA = 256

Bracket = tuple[int, float, float]  # a switch, and two points with different states of it


class Kinks(NamedTuple):
    """The first MOST_KINKS kinks in order; `jumps` of the value; `too_many`: more kinks."""

    kinks: tuple[float, ...]
    jumps: tuple[float, ...]
    too_many: bool = False


def search_grid(size: int) -> np.ndarray:
    """[size] points of [-10^6, 10^6], 1/32 apart on [-12, 12], powers of 1/2 near 0."""
    near = 2.0 ** -np.arange(6.0, 41.0)
    inner = np.arange(-384.0, 385.0) / 32.0
    tail = np.geomspace(REACH, 1e6, (size - len(inner) - 2 * len(near)) // 2 + 1)[1:]
    points = np.unique(np.concatenate([inner, near, -near, tail, -tail]))
    return np.concatenate([points, np.linspace(2e6, 3e6, size - len(points))])


def find_kinks(jaxpr: Any, grid: np.ndarray) -> Kinks:
    """Kinks of a function, from its closed jaxpr on float64 arrays of an increasing grid's shape.

    Loops and tables stay closed.
    """
    switches = _switches(jaxpr, grid, len(grid))
    brackets = [
        (number, grid[place], grid[place + 1])
        for number, switch in enumerate(switches)
        for place in np.flatnonzero(switch.state[1:] != switch.state[:-1]).tolist()
    ]
    places = {float(low) for _, low, _ in brackets}
    if len(places) > 4 * MOST_KINKS:
        return Kinks(tuple(sorted(sorted(places, key=abs)[:MOST_KINKS])), (), True)
    brackets += _hidden_brackets(jaxpr, grid, switches)
    if not brackets:
        return Kinks((), ())
    candidates = _distinct(_bisected(jaxpr, brackets, len(grid)))
    if len(candidates) > 4 * MOST_KINKS:
        return Kinks(tuple(sorted(sorted(candidates, key=abs)[:MOST_KINKS])), (), True)
    kinks, jumps = _classified(jaxpr, candidates, len(grid))
    return Kinks(kinks, jumps, len(kinks) > MOST_KINKS)


def _hidden_brackets(jaxpr: Any, grid: np.ndarray, switches: list[Switch]) -> list[Bracket]:
    """Brackets of pieces between grid points, at extrema of switch arguments."""
    extrema = _extrema(grid, switches)
    brackets: list[Bracket] = []
    batch = len(grid) // _POINTS
    for start in range(0, min(len(extrema), _MOST_EXTREMA), batch):
        part = extrema[start : start + batch]
        low, high = (np.array([grid[place + side] for *_, place in part]) for side in (-1, 1))
        missing = np.ones(len(part), bool)
        for _ in range(10):  # from 1/16 to 1e-9
            x = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, _POINTS)
            here = _switches(jaxpr, x.ravel(), len(grid))
            for row, (number, gap, sign, place) in enumerate(part):
                state = here[number].state.reshape(x.shape)[row]
                changed = np.flatnonzero(state != switches[number].state[place])
                if missing[row] and changed.size:
                    at = float(x[row, changed[0]])
                    brackets += [(number, grid[place - 1], at), (number, at, grid[place + 1])]
                    missing[row] = False
                best = int(np.argmax(sign * here[number].gaps[gap].reshape(x.shape)[row]))
                low[row], high[row] = x[row, max(best - 1, 0)], x[row, min(best + 1, _POINTS - 1)]
            if not missing.any():
                break
    return brackets


def _extrema(grid: np.ndarray, switches: list[Switch]) -> list[tuple[int, int, float, int]]:
    """(switch, gap, 1 for maxima or -1, place) of extrema toward a threshold, no change near."""
    extrema = []
    inner = (np.abs(grid[1:-1]) < REACH).nonzero()[0] + 1
    for number, switch in enumerate(switches):
        state = switch.state
        constant = (state[inner - 1] == state[inner]) & (state[inner] == state[inner + 1])
        for index, gap in enumerate(switch.gaps):
            for sign in (1.0, -1.0):
                at = sign * gap
                is_peak = (at[inner] >= at[inner - 1]) & (at[inner] >= at[inner + 1])
                is_peak &= (at[inner] > at[inner - 1]) | (at[inner] > at[inner + 1])
                toward = is_peak & constant & (switch.is_step | (at[inner] < 0))
                extrema += [(number, index, sign, int(place)) for place in inner[toward]]
    return extrema


def _bisected(jaxpr: Any, brackets: list[Bracket], size: int) -> np.ndarray:
    """Changes of state between neighbouring floats."""
    which, low, high = (np.array(column) for column in zip(*brackets, strict=True))
    batch = max(1, size // _POINTS)
    for start in range(0, len(which), batch):
        part = slice(start, start + batch)
        low[part], high[part] = _narrowed(jaxpr, which[part], low[part], high[part], size)
    length = lambda number: (len(repr(float(number))), abs(number))
    return np.array([min((a, b), key=length) for a, b in zip(low, high, strict=True)])


def _narrowed(
    jaxpr: Any, which: np.ndarray, low: np.ndarray, high: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    points = size // len(which)
    rows = np.arange(len(which))
    for _ in range(_ROUNDS):
        if (high <= np.nextafter(low, np.inf)).all():
            break
        x = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, points)
        x[:, -1] = high
        here = _switches(jaxpr, x.ravel(), size)
        own = np.stack(
            [here[switch].state.reshape(x.shape)[row] for row, switch in enumerate(which)]
        )
        changed = np.argmax(own != own[:, :1], axis=1)
        low, high = x[rows, np.maximum(changed, 1) - 1], x[rows, np.maximum(changed, 1)]
    return low, high


def _distinct(points: np.ndarray) -> list[float]:
    distinct: list[float] = []
    for point in sorted(float(point) + 0.0 for point in points):
        if not distinct or point - distinct[-1] > 1e-13 * (1e-12 + abs(point)):
            distinct.append(point)
    return distinct


def _classified(
    jaxpr: Any, points: list[float], size: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Points where the continuations differ, and where their values do."""
    gaps = np.diff([-np.inf, *points, np.inf])
    kinks, jumps = [], []
    for point, gap in zip(points, np.minimum(gaps[1:], gaps[:-1]), strict=True):
        side = min(_SIDE * (1.0 + abs(point)), 0.25 * gap)
        around = point + _AROUND * max(1.0, abs(point))
        references = np.repeat([point - side, point + side], len(around))
        record = evaluate(jaxpr, _padded(references, size))[1]
        # exact: both sides are evaluated at the same points, the kink itself among them
        continued = evaluate(jaxpr, _padded(np.tile(around, 2), size), iter(record))[0]
        left, right = continued[: 2 * len(around)].reshape(2, -1)
        scale = np.abs(left[np.isfinite(left)]).max(initial=0.0)
        scale = max(scale, np.abs(right[np.isfinite(right)]).max(initial=0.0))
        differ = ~(np.abs(left - right) <= _SAME * scale)
        differ &= ~((left == right) | (np.isnan(left) & np.isnan(right)))
        if differ.any():
            kinks.append(point)
        if differ[len(_AROUND) // 2] and np.isfinite(left + right)[len(_AROUND) // 2]:
            jumps.append(point)
    return tuple(kinks), tuple(jumps)


def _padded(x: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([x, np.full(size - len(x), x[-1])])


def _switches(jaxpr: Any, x: np.ndarray, size: int) -> list[Switch]:
    """Switches at x [m], m <= size."""
    at_x = lambda values: np.broadcast_to(values, (size,))[: len(x)]
    return [
        Switch(at_x(switch.state), tuple(map(at_x, switch.gaps)), switch.is_step)
        for switch in evaluate(jaxpr, _padded(x, size))[1]
    ]
