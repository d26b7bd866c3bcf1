"""Integration of y' = f(y) up to a horizon, with explosions as events.

In s with ds = (1/T + |f(y)| / (1 + |y|)) dt, y in units of its sizes, explosions lie at infinite s:
ln |y| grows by at most 1 per unit. They precede the horizon if the rate reaches _FASTEST first.
"""

import math
from collections.abc import Callable

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.explosions import explosion_refusal

_TOLERANCE = 1e-10
_FASTEST = 1e10  # e-folds per horizon: an exponential has at most 300, an explosion any number
_LARGEST = 1e130  # in units of the sizes


def integrated(
    rates: Callable[[np.ndarray], np.ndarray], start: np.ndarray, horizon: float, sizes: np.ndarray
) -> np.ndarray:
    """y(T) of y' = f(y), by an explicit Runge-Kutta method of order 8.

    Errors, about 1e-9, are relative to an entry, or to 1e-3 of its typical size if smaller; a
    change of units changes no digit. SpecError: an explosion before the horizon; growth by more
    than e^300 without one.
    """
    from scipy import linalg
    from scipy.integrate import solve_ivp

    if horizon == 0.0:
        return start
    units = np.where(sizes > 0.0, sizes, 1.0)

    def size(state: np.ndarray) -> float:
        # BLAS's norm: without overflow of squares
        return float(linalg.norm(state / units, check_finite=False))

    def speed(state: np.ndarray, moved: np.ndarray) -> float:
        return 1.0 / horizon + size(moved) / (1.0 + size(state))

    def slowed(_: float, timed: np.ndarray) -> np.ndarray:
        if not np.isfinite(timed).all():
            return np.full_like(timed, math.nan)  # a trial step beyond the floats is rejected
        moved = rates(timed[1:])
        slow = speed(timed[1:], moved)
        return np.append(1.0, moved) / (slow if math.isfinite(slow) else math.nan)

    events = [
        lambda _, timed: timed[0] - horizon,
        lambda _, timed: speed(timed[1:], rates(timed[1:])) * horizon - _FASTEST,
        lambda _, timed: size(timed[1:]) - _LARGEST,
    ]
    for event in events:
        event.terminal = True  # type: ignore[attr-defined]
    control = {
        "method": "DOP853",
        "rtol": _TOLERANCE,
        "atol": 1e-3 * _TOLERANCE * np.append(horizon, units),
    }
    with np.errstate(over="ignore", invalid="ignore"):
        path = solve_ivp(slowed, (0.0, math.inf), np.append(0.0, start), events=events, **control)
    reached, exploded, _ = (times.size for times in path.t_events)
    if exploded:
        raise explosion_refusal(horizon, float(path.y[0, -1]))
    if not reached:
        raise _too_large(horizon, float(path.y[0, -1]))
    # Values at an event are interpolated: repeat the last step up to the event, then extrapolate.
    time, *end = solve_ivp(slowed, path.t[-2:], path.y[:, -2], **control).y[:, -1]
    return np.array(end) + rates(np.array(end)) * (horizon - time)


def _too_large(horizon: float, time: float) -> SpecError:
    return SpecError(
        f"horizon={horizon:g}, while the solution grows beyond float64 at the time {time:.4g}",
        f"horizons below {time:.4g}",
        "Shorten the horizon, or scale weights and drifts down.",
    )
