"""Neurons: one vector of input weights each, its bias last."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.core.typing import PyTree

_WEIGHTS = {"weights": False, "kernel": True}  # name -> neurons on the last axis
_BIASES = ("biases", "bias")


def layers(parameters: PyTree) -> dict[str, dict[str, jax.Array]]:
    """Layers with neurons: name -> parameters by name."""
    groups: dict[str, dict[str, jax.Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
        names = [part_name(part) for part in path]
        groups.setdefault("/".join(names[:-1]), {})[names[-1]] = leaf
    return {layer: group for layer, group in groups.items() if _WEIGHTS.keys() & group.keys()}


def layer_vectors(parameters: PyTree) -> dict[str, jax.Array]:
    """Input vectors [neurons, fan_in] of layers by name, plus a last column of biases.

    Layers are dicts of `weights` [neurons, fan_in], optional `biases` (perceptrons: `layer 1`, ...
    in order), or `kernel` [..., neurons], optional `bias` (flax; filters are neurons). Other
    parameters are ignored.
    Raises SpecError: stacked equal layers, as in `networks.network`.
    """
    return {layer: _vectors(group) for layer, group in layers(parameters).items()}


def hidden_layers(parameters: PyTree) -> tuple[str, ...]:
    """Layers that can condense: all but a perceptron's output."""
    names = tuple(layers(parameters))
    return names[:-1] if isinstance(parameters, tuple) else names


def _vectors(group: dict[str, jax.Array]) -> jax.Array:
    name = next(name for name in _WEIGHTS if name in group)
    weights = group[name]
    if _WEIGHTS[name]:
        weights = weights.reshape(math.prod(weights.shape[:-1]), weights.shape[-1]).T
    elif len(weights.shape) != 2:
        given = f"weights of shape {weights.shape}, of several layers in one array"
        remedy = "Train training.perceptron(spec), or the spec, instead of network(spec)."
        raise SpecError(given, "networks with an array per layer", remedy)
    biases = [group[name][:, None] for name in _BIASES if name in group]
    return jnp.concatenate([weights, *biases], axis=1)


def part_name(part: Any) -> str:
    """Name of a path's part; `layer 1` for a tuple index."""
    if isinstance(part, jax.tree_util.SequenceKey):
        return f"layer {part.idx + 1}"
    return str(getattr(part, "key", getattr(part, "name", part)))
