"""The first step of one's own network, its Gaussian matrices deferred.

A step p + eps u of the parameters, differentiated by eps at 0: total changes. With derivatives cut
at every product, each product has the change by its own matrix alone.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.deferral.function import deferred
from deepinit.deferral.taps import tap_sites, taps
from deepinit.diagnosis.scaling.measure import Measured, labels_of, slopes_of
from deepinit.networks.network import Network
from deepinit.quantities.own.functions import (
    abstract_outputs,
    batch_of,
    checked,
    first_outputs,
    function_of,
)
from deepinit.quantities.own.places import Place, sites

_DEFERRED_FROM = 2048  # below, drawing the matrices compiles faster


def measured_network(
    model: Any, width: int, optimizer: Any, inputs: Inputs, num_networks: int, engine: str, key: int
) -> Measured:
    """Squares [networks, labels]; layers are the products with drawn matrices, by name.

    Matrices are deferred from width 2048 on, with Adam never: the sign of a gradient needs them.
    """
    network = as_network(model)
    places = hidden_places(network, inputs)
    step = _step_of(optimizer, width)
    squares = squares_fn(network, inputs, step, places)
    is_deferred = engine == "conditional" and width >= _DEFERRED_FROM and optimizer != "adam"
    is_deferred = is_deferred or network.gaussianize
    run = deferred(squares, gaussianize=network.gaussianize) if is_deferred else jax.jit(squares)
    root = jax.random.fold_in(jax.random.key(key), width)
    rows = [run(jax.random.fold_in(root, number)) for number in range(num_networks)]
    names = [name for place in places for name in place.names]
    roles = ["first", *("hidden",) * (len(names) - 1)]
    return Measured(labels_of(names, roles), np.asarray(jnp.stack(rows), np.float64))


def as_network(model: Any) -> Network:
    """A Network, or a flax.linen module as one."""
    if isinstance(model, Network):
        return model
    from deepinit.networks.doors.flax import from_linen

    return from_linen(model)


def squares_fn(
    network: Network, inputs: Inputs, step: Callable[[Any, Any], Any], places: tuple[Place, ...]
) -> Callable[[Any], Any]:
    """`key -> squares` in the order of `labels_of`."""
    arrays = batch_of(network, inputs)
    count = inputs.num_rows
    slopes = jnp.asarray(slopes_of(count - 1))
    is_matrix = drawn_matrices(network, arrays)
    probes = np.array([count - 1, 0])

    def outputs_of(parameters: Any, others: Any, key: Any) -> Any:
        own = jax.random.fold_in(key, 1)
        return first_outputs(checked(network.batch.apply(parameters, others, own, *arrays), count))

    def moved(key: Any, eps: Any, update: Any) -> Any:
        parameters, others = network.batch.init(key, *arrays)
        after = jax.tree.map(
            lambda p, u, matrix: p + eps * u if matrix else p, parameters, update, is_matrix
        )
        return outputs_of(after, others, key)

    def squares(key: Any) -> Any:
        parameters, others = network.batch.init(key, *arrays)
        loss = lambda p: jnp.vdot(outputs_of(p, others, key)[:-1], slopes)
        update = step(parameters, jax.grad(loss)(parameters))
        changes = []
        for edit in (jax.lax.stop_gradient, None):
            tapped = taps(moved, lambda name: _base(name) in names, edit=edit)
            at = lambda eps, tapped=tapped: tapped(key, eps, update)
            changes.append(jax.jvp(at, (0.0,), (1.0,)))
        ((outputs, values), (own_output, own)), (_, (total_output, total)) = changes
        sizes = [_at_rows(place, values[place.name], probes[:1]) for place in places]
        parts = [_layers(places, own, probes), _layers(places, total, probes)]
        ends = [own_output[probes] ** 2, total_output[probes] ** 2, outputs[probes[:1]] ** 2]
        return jnp.concatenate([part.ravel() for part in (*parts, *sizes, *ends)])

    names = {place.name for place in places}
    return squares


def hidden_places(network: Network, inputs: Inputs) -> tuple[Place, ...]:
    """The layers by name; the readout is measured at the output."""
    found = sites(network if network.layers else network.at("*"), inputs)
    outputs = abstract_outputs(network, inputs)
    arrays = batch_of(network, inputs)
    (last,) = tap_sites(function_of(network), found[-1].name, jax.random.key(0), *arrays)
    is_readout = last.shape[-1] == outputs.shape[-1] and len(found) > 1
    return found[:-1] if is_readout else found


def drawn_matrices(network: Network, arrays: Any) -> Any:
    """Whether each parameter is a random array of two axes or more: biases and gains are not."""
    one, other = (network.batch.init(jax.random.key(seed), *arrays)[0] for seed in (0, 1))
    return jax.tree.map(lambda a, b: bool(a.ndim > 1 and np.any(a != b)), one, other)


def _layers(places: tuple[Place, ...], changes: Any, probes: Any) -> Any:
    """[layers, probes]: the changes at all uses of a layer; uses before the step have none."""
    found = []
    for place in places:
        uses = [value for name, value in changes.items() if _base(name) == place.name]
        fit = [use for use in uses if use.shape == uses[0].shape]
        found.append(sum(_at_rows(place, use, probes) for use in fit))
    return jnp.concatenate(found)


def _at_rows(place: Place, value: Any, probes: Any) -> Any:
    """Mean squares [steps, probes]."""
    rows = place.stacked(value)[:, probes]
    return jnp.mean(rows.reshape(*rows.shape[:2], -1) ** 2, axis=2)


def _base(name: str) -> str:
    return name.split("#")[0]


def _step_of(optimizer: Any, width: int) -> Callable[[Any, Any], Any]:
    """(parameters, gradients) -> update."""
    if optimizer == "sgd":
        return lambda parameters, gradients: jax.tree.map(jnp.negative, gradients)
    if optimizer == "adam":
        return lambda parameters, gradients: jax.tree.map(lambda g: -jnp.sign(g), gradients)
    if not callable(optimizer):
        allowed = "'sgd', 'adam', or a function of width to an optax transformation"
        raise SpecError(f"optimizer={optimizer!r:.80}", allowed, "lambda width: optax.sgd(0.1)")
    transformation = optimizer(width)

    def update(parameters: Any, gradients: Any) -> Any:
        return transformation.update(gradients, transformation.init(parameters), parameters)[0]

    return update
