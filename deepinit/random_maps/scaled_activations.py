"""Activations of `Scaled` vectors, by power laws outside the floats (`core.power_laws`)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.power_laws import HIGHEST_ORDER, Orders, evaluation_range, gains, power_laws
from deepinit.core.typing import ActivationLike
from deepinit.random_maps.scaled import Scaled, normalized, shifted


def checked_activation(activation: ActivationLike) -> Activation:
    """The activation, if it has integer power laws near 0.

    Raises SpecError: not finite near 0, or no integer power of |s| there (sqrt|s|).
    """
    activation = as_activation(activation)
    given = f"the activation {activation!r}, without integer power law near 0"
    allowed = f"functions finite near 0, with c |s|^p on each side, p = 1 to {HIGHEST_ORDER}"
    valid, remedy = 0 not in power_laws(activation).differences.near, "Check the function at 0."
    validate.require(valid, given, allowed, remedy)
    return activation


def scaled_activation(activation: ActivationLike, z: Scaled) -> Scaled:
    """sigma(z), elementwise, for z of any size, to the dtype's relative accuracy.

    NaN where sigma overflows and is no power at infinity. Exponential tails underflow: GELU is 0
    below about -14 in float32.
    Raises SpecError: as `checked_activation`.
    """
    activation = checked_activation(activation)
    return _image(activation, activation, power_laws(activation).values, z)


def scaled_derivative(activation: ActivationLike, z: Scaled) -> Scaled:
    """sigma'(z), elementwise; arguments of `scaled_activation`."""
    activation = checked_activation(activation)
    return _image(activation, activation.derivative, power_laws(activation).derivatives, z)


def _image(
    activation: Activation, fn: Callable[[jax.Array], jax.Array], orders: Orders, z: Scaled
) -> Scaled:
    """fn(z): evaluated up to the end of its range, by the power law beyond."""
    within: Any = 0
    if not activation.is_homogeneous:
        within = jnp.clip(z.exponent, *evaluation_range(power_laws(activation), z.mantissa.dtype))
    images = fn(shifted(z.mantissa, jnp.broadcast_to(within, z.exponent.shape)[..., None]))
    gain, entries = gains(orders, z.exponent - within, images, z.mantissa)
    exponent = gain if jnp.issubdtype(gain.dtype, jnp.integer) else jnp.floor(gain)
    mantissa = images * jnp.exp2(entries + (gain - exponent)[..., None])
    return normalized(mantissa, exponent.astype(jnp.int32))
