"""Gradients, tangent kernels and Jacobians of a user's own network."""

from collections.abc import Callable, Mapping
from typing import Any

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.quantities.own.functions import (
    batch_of,
    checked,
    drawn,
    first_outputs,
    function_of,
    has_slopes,
)
from deepinit.quantities.own.places import Place, is_among, sites


def gradients_fn(
    tap: Any, network: Any, inputs: Inputs, settings: Mapping[str, str], every: bool
) -> Callable[[Any], Any]:
    """`key -> Measurement` of a tap on `networks.backward.Gradients`.

    Args:
        every: output at one input; else the first, at the last position, at every input.
    """
    if every and not has_slopes(network, inputs):
        given = f"the Jacobian by inputs of type {batch_of(network, inputs)[0].dtype}"
        raise SpecError(given, "floating point numbers", "Measure log_gradient_norm at layers.")

    def measured(key: Any, *arrays: Any) -> Any:
        return tap(_gradients(network, key, arrays, inputs.num_rows, every), inputs)

    return drawn(measured, network, inputs, settings)


def layers_fn(
    tap: Any, network: Any, inputs: Inputs, settings: Mapping[str, str]
) -> Callable[[Any], Any]:
    """`key -> Measurement` of a tap on gradients of the first output by the measured layers, or by
    the inputs if there are none.

    Of networks whose layers couple inputs the gradient is that of the sum over inputs.
    """
    places = sites(network, inputs)
    if not places and not has_slopes(network, inputs):
        given = f"gradients by inputs of type {batch_of(network, inputs)[0].dtype}"
        raise SpecError(given, "floating point numbers", "Measure at layers: net.at().")

    def measured(key: Any, *arrays: Any) -> Any:
        import jax
        import jax.numpy as jnp

        from deepinit.deferral.taps import taps
        from deepinit.networks.backward import Gradients

        def first(outputs: Any) -> Any:
            return jnp.sum(first_outputs(checked(outputs, inputs.num_rows)))

        f = function_of(network)
        if places:
            outputs, values = taps(f, is_among(places), gradients=first)(key, *arrays)
            stacks = [place.stacked(values[place.name].cotangent) for place in places]
        else:
            outputs, pull_back = jax.vjp(lambda x: f(key, x, *arrays[1:]), arrays[0])
            stacks = [pull_back(jax.grad(first)(outputs))[0][None]]
        layers = jnp.concatenate([log_squares(stack) for stack in stacks])
        own = first_outputs(outputs)
        none: Any = None
        return tap(Gradients(own, 0 * own, layers, none, none, none, none, none), inputs)

    return drawn(measured, network, inputs, settings)


def layer_values(network: Any, inputs: Inputs) -> tuple[Callable[..., Any], tuple[Place, ...]]:
    """`(key, *arrays) -> [layers, 3]`: root mean square at the first input, cosine of the first two
    (NaN at one), norm of the gradient of the first output at the first input; and the layers.
    """
    places = sites(network, inputs)

    def values(key: Any, *arrays: Any) -> Any:
        import jax.numpy as jnp

        from deepinit.deferral.taps import taps

        first = lambda outputs: jnp.sum(first_outputs(checked(outputs, inputs.num_rows)))
        found = taps(function_of(network), is_among(places), gradients=first)(key, *arrays)[1]
        rows = []
        for place in places:
            value, slope = (place.stacked(part) for part in found[place.name])
            value = value.reshape(*value.shape[:2], -1)
            size = jnp.sqrt(jnp.mean(value**2, axis=2))
            cosine = jnp.full(len(value), jnp.nan)
            if inputs.num_rows > 1:
                cosine = jnp.mean(value[:, 0] * value[:, 1], axis=1) / (size[:, 0] * size[:, 1])
            gradient = jnp.exp(0.5 * log_squares(slope)[:, 0])
            rows.append(jnp.stack([size[:, 0], cosine, gradient], axis=1))
        return jnp.concatenate(rows)

    return values, places


def _gradients(network: Any, key: Any, arrays: Any, num_rows: int, every: bool) -> Any:
    import jax
    import jax.numpy as jnp

    from deepinit.networks.backward import Gradients
    from deepinit.networks.cotangents import Cotangents, Products

    parameters, others = network.batch.init(key, *arrays)
    own_key, (x, *rest) = jax.random.fold_in(key, 1), arrays
    leaves, tree = jax.tree.flatten(parameters)
    is_real = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def outputs(real: list[Any], x: Any) -> Any:
        """Of every input the first; or every one of one input."""
        given = iter(real)
        own = [next(given) if kind else leaf for leaf, kind in zip(leaves, is_real, strict=True)]
        own_tree = jax.tree.unflatten(tree, own)
        found = checked(network.batch.apply(own_tree, others, own_key, x, *rest), num_rows)
        return found[0].reshape(-1) if every else first_outputs(found)

    real = [leaf for leaf, kind in zip(leaves, is_real, strict=True) if kind]
    values = outputs(real, x)
    none: Any = None
    if every:
        jacobian = jax.jacrev(outputs, argnums=1)(real, x).reshape(len(values), -1)
        cotangents = Cotangents(jacobian, jnp.zeros(len(jacobian)))
        return Gradients(values, 0 * values, none, cotangents, none, none, none, none)
    zeros = Products(jnp.zeros((num_rows, num_rows)), jnp.zeros((num_rows, num_rows)))
    kernels = [_kernel(jacobian) for jacobian in jax.jacrev(outputs)(real, x)]
    products = zeros._replace(value=sum(kernels, zeros.value))
    return Gradients(values, 0 * values, none, none, products, zeros, zeros, zeros)


def _kernel(jacobian: Any) -> Any:
    """J J^T of [num, ...]."""
    import jax.numpy as jnp

    return jnp.einsum("i...,j...->ij", jacobian, jacobian, precision="highest")


def log_squares(stack: Any) -> Any:
    """ln |row|^2 [steps, batch] of [steps, batch, ...]."""
    import jax.numpy as jnp

    rows = stack.reshape(*stack.shape[:2], -1)
    largest = jnp.max(jnp.abs(rows), axis=2)
    unit = rows / jnp.where(largest > 0, largest, 1)[..., None]
    return 2 * jnp.log(largest) + jnp.log(jnp.sum(unit * unit, axis=2))
