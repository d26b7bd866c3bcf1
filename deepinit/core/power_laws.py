"""Power laws of activations near 0 and at infinity, for vectors e^s x.

phi(x) - phi(0) ~ c |x|^p near 0, phi(x) ~ c |x|^q far out, on each side. Beyond a scale e^c,
phi(e^s x) = e^{q (s - c)} phi(e^c x) to rounding; near 0, likewise with p for differences, and for
values if phi(0) = 0 (else order 0). Derivatives: order less by one. Natural or binary log-scale.
"""

import functools
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.array_api import array_namespace
from deepinit.core.gaussian import differences, values

HIGHEST_ORDER = 6
_SMALL_STEPS = 2.0 ** -np.arange(17.0, 21.0)
_FAR_OUT = 2.0 ** np.array([40.0, 41.0, 50.0, 51.0])
_ROUNDING = 1e-9  # of measured orders
_LARGEST_DENOMINATOR = 20
_SPREAD = 1.0 + np.arange(16) / 16.0  # oscillating functions need several values; exact numbers


class Orders(NamedTuple):
    """Powers of |x|, (left, right) of 0; a side without terms takes the other's.

    `near`: x -> 0. `far`: |x| -> infinity, to one decimal with logarithms; 0 if bounded or no
    power.
    """

    near: tuple[float, float]
    far: tuple[float, float]


class PowerLaws(NamedTuple):
    """Orders of an activation.

    Attributes:
        values: of phi(x); near 0, of differences if phi(0) = 0, else 0.
        differences: of phi(x + dx) - phi(x), dx = O(x); near 0 from 1 to 6, or 0 for none
            (sqrt|x|).
        derivatives: of phi'(x).
    """

    values: Orders
    differences: Orders
    derivatives: Orders


@functools.lru_cache(maxsize=256)
def power_laws(activation: Activation) -> PowerLaws:
    """Orders of an activation, from float64 values.

    Near 0 from phi(2h) - phi(h) ~ c h^p (2^p - 1); far out from sizes 2^40 to 2^51.
    """
    if activation.name == "rounded":  # a value rounded to 0 has any order
        inner = dict(activation.parameters)["activation"]
        assert isinstance(inner, Activation)
        return power_laws(inner)
    if activation.is_homogeneous:
        both = Orders((1, 1), (1, 1))
        return PowerLaws(both, both, Orders((0, 0), (0, 0)))
    near = _both([_near(activation, sign) for sign in (-1.0, 1.0)], 1)
    far = _both([_far(activation, sign) for sign in (-1.0, 1.0)], 0)
    vanishes = float(values(activation, np.zeros(1))[0]) == 0
    less = Orders(*((max(left - 1, 0), max(right - 1, 0)) for left, right in (near, far)))
    return PowerLaws(Orders(near if vanishes else (0, 0), far), Orders(near, far), less)


def evaluation_range(laws: PowerLaws, dtype: Any) -> tuple[int, int]:
    """(least, most): power laws hold to rounding beyond 2^least and 2^most.

    Squares within stay in the dtype's range. Corrections near 0 are O(x): order 1 starts at the
    squared rounding unit (sums over many layers); higher orders, which underflow, at the unit.
    """
    limits = np.finfo(dtype)
    order, growth = max(laws.differences.near), max(1, *laws.differences.far)
    unit = int(limits.nmant) + 1
    least = max(-2 * unit if order <= 1 else -unit, int(limits.minexp) // int(order + 1))
    return least, int(int(limits.maxexp) // (2 * growth))


class Gain(NamedTuple):
    """f(e^s x) = e^row * e^entries * f(e^c x).

    `entries`: negative on a side of lower order; zeros [..., 1] for equal orders.
    """

    row: Any
    entries: Any


def gains(orders: Orders, beyond: Any, images: Any, *ends: Any) -> Gain:
    """Change of log-scale of f(e^c x), its `images`, by `beyond` = s - c, negative near 0.

    Zeros have no order. `ends`: x, for the side; both ends for a difference.
    """
    xp = array_namespace(images, beyond)
    if all(left == right for left, right in orders):
        row = xp.where(beyond < 0, orders.near[0], orders.far[0]) * beyond
        return Gain(row, xp.zeros((1,) * images.ndim, images.dtype))
    outside = beyond[..., None]
    left, right = (
        xp.where(outside < 0, near, far) * outside for near, far in zip(*orders, strict=True)
    )
    gained = functools.reduce(xp.maximum, (xp.where(end > 0, right, left) for end in ends))
    live = images != 0
    row = xp.where(live, gained, xp.minimum(left, right)).max(axis=-1)
    return Gain(row, xp.where(live, gained - row[..., None], 0).astype(images.dtype))


def _both(sides: list[float | None], neither: float) -> tuple[float, float]:
    left, right = sides
    known = [side for side in sides if side is not None] or [neither]
    return (known[0] if left is None else left, known[-1] if right is None else right)


def _near(activation: Activation, sign: float) -> float | None:
    """Order at 0 on one side; None without a term, 0 for no integer."""
    gained = differences(activation, sign * _SMALL_STEPS, sign * _SMALL_STEPS)
    if np.isfinite(gained).all() and np.all(gained == 0):
        return None
    with np.errstate(all="ignore"):
        orders = np.log2(gained[:-1] / gained[1:])
    order = round(float(orders[-1])) if np.isfinite(orders).all() else 0
    return order if 1 <= order <= HIGHEST_ORDER and np.abs(orders - order).max() < 1e-3 else 0


def _far(activation: Activation, sign: float) -> float | None:
    """Order at infinity on one side; None if phi is 0, one decimal unless exact."""
    with np.errstate(all="ignore"):
        sizes = [np.abs(values(activation, sign * size * _SPREAD)).max() for size in _FAR_OUT]
        if not np.isfinite(sizes).all():
            return 0
        if 0 in sizes:
            return None
        first, over, last = np.diff(np.log2(sizes)) / np.diff(np.log2(_FAR_OUT))
    order = max(0.0, float(over))
    return _simple(order) if np.ptp([first, over, last]) <= _ROUNDING else _simple(round(order, 1))


def _simple(order: float) -> float:
    """Order snapped to a simple fraction."""
    fraction = Fraction(order).limit_denominator(_LARGEST_DENOMINATOR)
    if abs(order - fraction) > _ROUNDING:
        return order
    return int(fraction) if fraction.denominator == 1 else float(fraction)
