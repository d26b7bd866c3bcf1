"""How an activation behaves at 0 and at infinity, and its value at vectors too small or too large for a float.

Near 0, sigma(s) - sigma(0) ~ c |s|^p with an order p and a coefficient on each side; far out, sigma(s) ~ c |s|^q. Where sigma(0) = 0 and all
preactivations are below the rounding unit the first is sigma itself to rounding, relative corrections being O(s); near the largest
float the second is. A homogeneous activation is its own expansion at every size.

The orders and coefficients come from values alone: d(h) = sigma(2h) - sigma(h) ~ c h^p (2^p - 1), to relative accuracy however small h.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError, refusal
from deepinit.core.gaussian import differences, values
from deepinit.observables.scaled import Scaled, normalized, shifted, to_array

HIGHEST_ORDER = 6
_SMALL_STEPS = 2.0 ** -np.arange(17.0, 21.0)
_LARGE_STEPS = 2.0 ** np.arange(40.0, 45.0)


class PowerLaw(NamedTuple):
    """c |s|^order on each side of 0; a coefficient 0 where the function is smaller than any such term.

    Attributes:
        left_order, left: for s < 0.
        right_order, right: for s > 0.
    """

    left_order: int
    left: float
    right_order: int
    right: float


class Expansions(NamedTuple):
    """sigma near 0 and at infinity.

    Attributes:
        value_at_0: sigma(0).
        small: sigma(s) - sigma(0) as s -> 0.
        large: sigma(s) as |s| -> infinity; None where it is no power of |s| (sin, exp).
        everywhere: sigma is homogeneous, and `small` is exact at every s.
    """

    value_at_0: float
    small: PowerLaw
    large: PowerLaw | None
    everywhere: bool


def expansions(activation: Any) -> Expansions:
    """The expansions of an activation at 0 and at infinity, computed once, on the host, in float64.

    Args:
        activation: an `Activation`, a built-in's name or any JAX function.

    Raises:
        SpecError: where sigma is not finite near 0, or grows from sigma(0) by no integer power of |s| (sqrt|s|).

    Valid for: activations with a Taylor expansion on each side of 0. Coefficients to about 1e-9 relative.

    Reference: module docstring.
    """
    return _expansions(as_activation(activation))


@lru_cache(maxsize=256)
def _expansions(activation: Activation) -> Expansions:
    if activation.slopes is not None:
        left, right = activation.slopes
        law = PowerLaw(1, -left, 1, right)
        return Expansions(0.0, law, law, True)
    with jax.ensure_compile_time_eval():  # also when called while a function is traced
        origin = float(values(activation, np.zeros(1))[0])
        sides = [_small_side(activation, sign) for sign in (-1.0, 1.0)]
        far = [_large_side(activation, sign) for sign in (-1.0, 1.0)]
    large = None if far[0] is None or far[1] is None else PowerLaw(*far[0], *far[1])
    return Expansions(origin, PowerLaw(*sides[0], *sides[1]), large, False)


def _small_side(activation: Activation, sign: float) -> tuple[int, float]:
    """Order and coefficient on one side of 0, by Richardson extrapolation from four halvings."""
    steps = sign * _SMALL_STEPS
    gains = differences(activation, steps, steps)
    if np.isfinite(gains).all() and np.all(gains == 0):
        return 1, 0.0
    with np.errstate(all="ignore"):
        orders = np.log2(gains[:-1] / gains[1:])
    order = round(float(orders[-1])) if np.isfinite(orders).all() else 0
    if not 1 <= order <= HIGHEST_ORDER or np.abs(orders - order).max() > 1e-3:
        raise SpecError(
            refusal(
                f"the activation {activation!r}, which changes from its value at 0 by no integer power of |s|",
                f"elementwise functions, finite near 0, with a term c |s|^p on each side, p = 1 to {HIGHEST_ORDER}",
                "Check the function at 0; guard divisions inside jnp.where on both branches.",
            )
        )
    ratios = gains / (np.abs(steps) ** order * (2.0**order - 1.0))
    once = 2.0 * ratios[1:] - ratios[:-1]
    return order, float((4.0 * once[-1] - once[-2]) / 3.0)


def _large_side(activation: Activation, sign: float) -> tuple[int, float] | None:
    """Order and coefficient far out on one side; None if it is no power."""
    with np.errstate(all="ignore"):
        images = values(activation, sign * _LARGE_STEPS)
        if not np.isfinite(images).all():
            return None
        if np.all(images == 0):
            return 0, 0.0
        orders = np.log2(images[1:] / images[:-1])
    if not np.isfinite(orders).all() or np.abs(orders - round(float(orders[-1]))).max() > 1e-6:
        return None
    order = round(float(orders[-1]))
    return (order, float(images[-1] / _LARGE_STEPS[-1] ** order)) if order >= 0 else None


def scaled_activation(activation: Any, z: Scaled) -> Scaled:
    """sigma(z), elementwise, for z of any size, relative accuracy of the dtype throughout.

    Args:
        activation: an `Activation`, a built-in's name or any JAX function.
        z: preactivations [..., n].

    Returns:
        `Scaled` [..., n]. NaN where sigma overflows and is no power at infinity. Exponential tails underflow: GELU is 0 at preactivations
        below -14 or so in float32, so a network all of whose neurons are there counts as dead.
    """
    activation = as_activation(activation)
    facts = expansions(activation)
    return _choose(facts, z, lambda x: activation(x), facts.small, facts.large, facts.value_at_0 == 0)


def scaled_derivative(activation: Any, z: Scaled) -> Scaled:
    """sigma'(z), elementwise, for z of any size; arguments as for `scaled_activation`."""
    activation = as_activation(activation)
    facts = expansions(activation)
    small, large = _differentiated(facts.small), None if facts.large is None else _differentiated(facts.large)
    return _choose(facts, z, activation.derivative, small, large, True)


def _differentiated(law: PowerLaw) -> PowerLaw:
    return PowerLaw(
        max(law.left_order - 1, 0),
        -law.left_order * law.left,
        max(law.right_order - 1, 0),
        law.right_order * law.right,
    )


def _choose(facts: Expansions, z: Scaled, fn: Any, small: PowerLaw, large: PowerLaw | None, vanishes: bool) -> Scaled:
    """The expansion that holds at this size, or the function itself."""
    near = power(small, z)
    if facts.everywhere:
        return near
    limits = jnp.finfo(z.mantissa.dtype)
    order = max(small.left_order, small.right_order, 1)
    # Relative corrections to the expansion are O(2^exponent): below rounding, unless a high power would underflow before that.
    low = max(-int(limits.nmant) - 1, int(limits.minexp) // (order + 1))
    growth = 0 if facts.large is None else max(facts.large.left_order, facts.large.right_order)
    high = int(limits.maxexp) // (2 * max(growth, 1))
    is_small = (z.exponent < low) if vanishes else jnp.zeros(z.exponent.shape, bool)
    is_large = (z.exponent > high) if large is not None and growth else jnp.zeros(z.exponent.shape, bool)
    middle = Scaled(z.mantissa, jnp.where(is_small | is_large, 0, jnp.minimum(z.exponent, limits.maxexp - 2)))
    result = _where(is_small, near, normalized(fn(to_array(middle)), 0))
    return result if large is None else _where(is_large, power(large, z), result)


def power(law: PowerLaw, z: Scaled) -> Scaled:
    """c |z_i|^order with the side's coefficient and order, elementwise."""
    right = z.mantissa > 0
    order = jnp.where(right, law.right_order, law.left_order)
    coefficient = jnp.where(right, law.right, law.left).astype(z.mantissa.dtype)
    size = jnp.abs(z.mantissa)
    # sign(0) = 0: an exact zero stays one, but for order 0, where it belongs to the left side as in a convention of derivatives
    live = (coefficient != 0) & ((size > 0) | (order == 0))
    raised = _integer_power(jnp.where(size > 0, size, 1), order)
    exponents = order * z.exponent[..., None]
    top = jnp.max(jnp.where(live, exponents, jnp.iinfo(jnp.int32).min // 4), axis=-1)
    top = jnp.where(jnp.any(live, axis=-1), top, 0)
    return normalized(jnp.where(live, shifted(coefficient * raised, exponents - top[..., None]), 0), top)


def _integer_power(x: jax.Array, order: jax.Array) -> jax.Array:
    result = jnp.ones_like(x)
    for k in range(1, HIGHEST_ORDER + 1):
        result = jnp.where(order >= k, result * x, result)
    return result


def _where(condition: jax.Array, x: Scaled, y: Scaled) -> Scaled:
    return Scaled(jnp.where(condition[..., None], x.mantissa, y.mantissa), jnp.where(condition, x.exponent, y.exponent))
