"""Resolution of the quadrature over preactivations."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import Float
from deepinit.infinite_width.quadrature import point_rule, root

# Largest relative difference of E phi^2 or E phi'^2 between the rules in a layer. Bounds the error
# of its kernels, which adds up over layers. Below 1e-9 for built-ins up to preactivation variances
# of 10 (sin), 30 (softsign), 1e3 (elu, celu, selu) and 1e6 (others).
LARGEST_ERROR = 1e-5
_NUM_ROWS = 16


def check_resolution(
    activation: Activation,
    mean_squares: Float[np.ndarray, "num"],
    weight_vars: Float[np.ndarray, "layers"],
    bias_vars: Float[np.ndarray, "layers"],
    *,
    with_derivative: bool = True,
) -> None:
    """Compare the quadrature with a finer one in every layer, in `host_float64`.

    `mean_squares` of the inputs, represented by 16 quantiles; variances of layers that phi follows,
    weights times fan_in.
    Raises SpecError: the rules differ, e.g. `sin` at a variance of 100.
    """
    if activation.slopes is not None or not len(weight_vars):
        return
    rows = np.quantile(mean_squares, np.linspace(0.0, 1.0, _NUM_ROWS), method="nearest")
    unused = 2 ** int(np.ceil(np.log2(len(weight_vars)))) - len(weight_vars)  # one program for many
    layers = (np.append(variances, np.zeros(unused)) for variances in (weight_vars, bias_vars))
    arrays = _layers(activation, with_derivative, rows, *layers)
    variance, error = (np.asarray(array)[: len(weight_vars)] for array in arrays)
    unresolved = (error > LARGEST_ERROR) & np.isfinite(
        variance
    )  # infinite limits are refused later
    if unresolved.any():
        layer, row = np.argwhere(unresolved)[0]
        where = f"preactivations of variance {variance[layer, row]:.3g} in layer {layer + 1}"
        raise unresolved_error(activation, where, error[layer, row])


def unresolved_error(activation: Activation, where: str, error: float) -> SpecError:
    """Error of a rule with a relative error."""
    return SpecError(
        f"{activation} of {where} at infinite width, which the quadrature does not resolve "
        f"(relative error {error:.1g})",
        "activations that bend on scales of order 1, or smaller variances",
        "Simulate, or take smaller weights and inputs.",
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _layers(activation: Activation, with_derivative: bool, mean_squares, weight_vars, bias_vars):
    """Preactivation variances and errors, [layers, rows]."""

    def at(variance: jax.Array) -> tuple[jax.Array, jax.Array]:
        std = root(variance)
        unit = jnp.where(std > 0.0, jnp.minimum(std, 1.0), 1.0)  # squares do not underflow
        once, twice = (
            second_moments(activation, std, None, finer, unit) for finer in (False, True)
        )
        return unit**2 * once[0], relative_error(once, twice)[: 1 + with_derivative].max()

    def layer(mean_square: jax.Array, variances: Any) -> Any:
        variance = variances[0] * mean_square + variances[1]
        after, error = jax.vmap(at)(variance)
        return after, (variance, error)

    return jax.lax.scan(layer, mean_squares, (weight_vars, bias_vars))[1]


def second_moments(
    activation: Activation,
    std: jax.Array,
    mean: jax.Array | None,
    finer: bool,
    unit: jax.Array | float = 1.0,
) -> jax.Array:
    """[E (phi(x) / unit)^2, E phi'(x)^2], x ~ N(mean, std^2)."""
    nodes, weights = point_rule(activation.kinks, std, mean, finer)
    x = std * nodes if mean is None else mean + std * nodes
    squares = jnp.stack([(activation(x) / unit) ** 2, activation.derivative(x) ** 2])
    return jnp.sum(weights * squares, axis=1)


def relative_error(once: jax.Array, twice: jax.Array) -> jax.Array:
    """|once / twice - 1|; 0 where both are 0."""
    return jnp.where(once == twice, 0.0, jnp.abs(once / twice - 1.0))
