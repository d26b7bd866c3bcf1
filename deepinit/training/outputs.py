"""Outputs on all examples, whose gradient needs memory for a chunk of them at a time."""

from collections.abc import Callable
from typing import Any

import jax

from deepinit.networks.network import Network

KEPT_BYTES = 2**27  # of one network, for the way back through all examples of a chunk


def outputs_fn(
    network: Network, parameters: Any, x: jax.Array
) -> Callable[[Any, jax.Array], jax.Array]:
    """(parameters, x [n, dimension]) -> outputs [n, k].

    What the way back keeps of an example is known from shapes alone. Where all examples together would keep more than `KEPT_BYTES`, they are
    computed in chunks, of which nothing is kept: each is computed once more on the way back, for a third of the time on top.

    Args:
        network: for one input.
        parameters: arrays, or their shapes.
        x: examples, of whose shape and dtype all others are.
    """
    each = max(1, _kept(network, parameters, x, 2) - _kept(network, parameters, x, 1))

    def outputs(parameters: Any, x: jax.Array) -> jax.Array:
        chunks = min(len(x), -(-each * len(x) // KEPT_BYTES))
        if chunks == 1:
            return jax.vmap(network.apply, (None, 0))(parameters, x)
        again = jax.checkpoint(network.apply)
        return jax.lax.map(lambda one: again(parameters, one), x, batch_size=-(-len(x) // chunks))

    return outputs


def _kept(network: Network, parameters: Any, x: jax.Array, num: int) -> int:
    """Bytes that `num` examples need on the way back."""

    def back(parameters: Any, x: jax.Array) -> Any:
        return jax.vjp(
            lambda parameters: jax.vmap(network.apply, (None, 0))(parameters, x), parameters
        )[1]

    some = jax.ShapeDtypeStruct((num, *x.shape[1:]), x.dtype)
    return sum(
        leaf.size * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(jax.eval_shape(back, parameters, some))
    )
