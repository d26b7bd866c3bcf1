"""A user's own `Network`: scores by its parameters, and by its measured products.

States and angles are those of the network of `di.layers` that it is (`di.read_layers`), where it is
one; else of its products with weights: the last one before the output stands for the features.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.diagnosis import formulas
from deepinit.diagnosis.one_network import (
    NETWORK,
    depth_scores,
    first_step,
    layer_scores,
    ntk_scores,
    random_cotangent,
)
from deepinit.diagnosis.probe import Batch
from deepinit.quantities.own.places import Place, is_among, sites


def parameter_scores(network: Any, batch: Batch, key: Any, kernel: bool = True) -> dict[str, Any]:
    """Tangent kernel (`kernel`), first step, and the smallest gradient of a matrix."""
    own = jax.random.fold_in(key, NETWORK)
    parameters, run = _real_parameters(network, own, batch.inputs)
    outputs, pull = jax.vjp(lambda p: run(p, batch.inputs), parameters)
    gradients = pull(random_cotangent(key, outputs))[0]
    floors = [formulas.log_rms(leaf[None])[0] for leaf in gradients if leaf.ndim > 1]
    of_kernel = ntk_scores(lambda back: pull(back)[0], outputs, key) if kernel else {}
    return {
        "gradient_floor": jnp.min(jnp.stack(floors)),
        **of_kernel,
        **first_step(run, parameters, gradients, batch),
    }


def trained_functions(network: Any, rows: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`init(values, key) -> parameters` and `outputs(values, parameters, inputs)` to train.

    What is no real parameter (statistics, counts, keys) is that of one network for all.
    """
    at = lambda key: _real_parameters(network, jax.random.fold_in(key, NETWORK), rows)
    run = at(jax.random.key(0))[1]
    return (
        lambda values, key: at(key)[0],
        lambda values, parameters, inputs: run(parameters, inputs),
    )


def _real_parameters(network: Any, key: Any, rows: Any) -> tuple[list[Any], Callable[..., Any]]:
    """Real arrays of the network of a key, and `(arrays, inputs) -> outputs [rows, ...]`."""
    drawn, others = network.batch.init(key, rows)
    leaves, tree = jax.tree.flatten(drawn)
    is_real = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def run(parameters: Any, inputs: Any) -> Any:
        given = iter(parameters)
        every = [next(given) if real else leaf for leaf, real in zip(leaves, is_real, strict=True)]
        whole = jax.tree.unflatten(tree, every)
        outputs = network.batch.apply(whole, others, jax.random.fold_in(key, 1), inputs)
        return outputs if outputs.ndim > 1 else outputs[:, None]

    return [leaf for leaf, real in zip(leaves, is_real, strict=True) if real], run


def hidden_places(network: Any, inputs: Any) -> tuple[Place, ...]:
    """Measured products before the output, in order.

    Raises SpecError: none.
    """
    places = sites(network if network.layers else network.at(), inputs)
    hidden = places[:-1] if not places[-1].loops else places
    if not hidden:
        given = f"a network whose only measured product is {places[-1].name}, its output"
        raise SpecError(given, "a hidden layer or more", "Give a deeper network.")
    return hidden


def place_names(places: tuple[Place, ...]) -> tuple[str, ...]:
    """Names of the layers."""
    return tuple(name for place in places for name in place.names)


def product_scores(
    network: Any, places: tuple[Place, ...], sequences: bool
) -> Callable[[Batch, Any], dict[str, Any]]:
    """`(batch, key) -> scores` of the measured products."""

    def scores(batch: Batch, key: Any) -> dict[str, Any]:
        from deepinit.deferral.taps import taps

        own = jax.random.fold_in(key, NETWORK)

        def f(own: Any, inputs: Any) -> Any:
            drawn, others = network.batch.init(own, inputs)
            return network.batch.apply(drawn, others, jax.random.fold_in(own, 1), inputs)

        def states(inputs: Any) -> tuple[Any, ...]:
            values = taps(f, is_among(places))(own, inputs)[1]
            return tuple(place.stacked(values[place.name]) for place in places)

        shape = jax.eval_shape(f, own, batch.inputs)
        if len(shape.shape) == 1:
            shape = jax.ShapeDtypeStruct((*shape.shape, 1), shape.dtype)
        cotangent = random_cotangent(key, shape)
        scalar = lambda outputs: jnp.sum(outputs.reshape(cotangent.shape) * cotangent)
        tapped = taps(f, is_among(places), gradients=scalar)(own, batch.inputs)[1]
        values = tuple(place.stacked(tapped[place.name].value) for place in places)
        slopes = tuple(place.stacked(tapped[place.name].cotangent) for place in places)
        by_layer = layer_scores(values, slopes, sequences, None)
        over = lambda formula, z: formulas.mean_of_rows(formula, z, sequences)
        features, found = values[-1][-1], depth_scores(by_layer)
        x = batch.inputs
        if jnp.issubdtype(x.dtype, jnp.floating):
            moved = jnp.roll(x, -1, axis=0) - x
            last = lambda x: states(x)[-1][-1]
            change = jax.jvp(last, (x,), (moved,))[1]
            found["stretch"] = formulas.stretch(x, moved, features, change)
        else:
            x = values[0][0]
        found["collapse"] = over(formulas.log_sin2, x) - over(formulas.log_sin2, features)
        if sequences:
            found["token_cosine"] = over(formulas.cosines, features)
        return found | by_layer

    return scores
