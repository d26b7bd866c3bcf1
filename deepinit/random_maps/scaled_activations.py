"""Activations of vectors too small or too large for a float (`core.power_laws`), with their integer exponents."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.power_laws import HIGHEST_ORDER, Orders, evaluation_range, gains, power_laws
from deepinit.random_maps.scaled import Scaled, normalized, shifted


def checked_activation(activation: Any) -> Activation:
    """The activation, if its behaviour near 0 is known at every size.

    Raises:
        SpecError: where it is not finite near 0, or grows from its value there by no integer power of |s| (sqrt|s|).
    """
    activation = as_activation(activation)
    if 0 in power_laws(activation).differences.near:
        raise SpecError(
            f"the activation {activation!r}, which changes from its value at 0 by no integer power of |s|",
            f"elementwise functions, finite near 0, with a term c |s|^p on each side, p = 1 to {HIGHEST_ORDER}",
            "Check the function at 0; guard divisions inside jnp.where on both branches.",
        )
    return activation


def scaled_activation(activation: Any, z: Scaled) -> Scaled:
    """sigma(z), elementwise, for z of any size, relative accuracy of the dtype throughout.

    Args:
        activation: an `Activation`, a built-in's name or any JAX function.
        z: preactivations [..., n].

    Returns:
        `Scaled` [..., n]. NaN where sigma overflows and is no power at infinity. Exponential tails underflow: GELU is 0 at preactivations
        below -14 or so in float32, so a network all of whose neurons are there counts as dead.

    Raises:
        SpecError: as `checked_activation`.
    """
    activation = checked_activation(activation)
    return _image(activation, activation, power_laws(activation).values, z)


def scaled_derivative(activation: Any, z: Scaled) -> Scaled:
    """sigma'(z), elementwise, for z of any size; arguments as for `scaled_activation`."""
    activation = checked_activation(activation)
    return _image(activation, activation.derivative, power_laws(activation).derivatives, z)


def _image(
    activation: Activation, fn: Callable[[jax.Array], jax.Array], orders: Orders, z: Scaled
) -> Scaled:
    """fn(z): at the end of the range where a power law takes over, and by the law from there."""
    within: Any = 0
    if not activation.is_homogeneous:
        within = jnp.clip(z.exponent, *evaluation_range(power_laws(activation), z.mantissa.dtype))
    images = fn(shifted(z.mantissa, jnp.broadcast_to(within, z.exponent.shape)[..., None]))
    gain, entries = gains(orders, z.exponent - within, images, z.mantissa)
    whole = gain if jnp.issubdtype(gain.dtype, jnp.integer) else jnp.floor(gain)
    return normalized(
        images * jnp.exp2(entries + (gain - whole)[..., None]), whole.astype(jnp.int32)
    )
