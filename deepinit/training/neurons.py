"""The neurons of any network: one vector of input weights each, its bias last."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError

_WEIGHTS = {"weights": False, "kernel": True}  # name -> is the neurons' axis the last one?
_BIASES = ("biases", "bias")


def layers(parameters: Any) -> dict[str, dict[str, jax.Array]]:
    """The layers with neurons, by name: what their parameters are called, and the arrays (or their shapes)."""
    groups: dict[str, dict[str, jax.Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
        names = [part_name(part) for part in path]
        groups.setdefault("/".join(names[:-1]), {})[names[-1]] = leaf
    return {
        layer: group for layer, group in groups.items() if any(name in group for name in _WEIGHTS)
    }


def layer_vectors(parameters: Any) -> dict[str, jax.Array]:
    """Input vectors of every layer's neurons; layers of a perceptron in order, those of a flax module by name.

    A layer is a dict with `weights` [neurons, fan_in] and perhaps `biases` (perceptrons), or with `kernel` [..., neurons] and perhaps
    `bias` (flax: dense layers, and convolutions, whose filters are the neurons). Other parameters are passed over.

    Args:
        parameters: of a perceptron or of a flax module.

    Returns:
        Name -> [neurons, fan_in], or [neurons, fan_in + 1] with a bias. Layers of a perceptron are called `layer 1`, ..., those of a flax
        module as in the module.

    Raises:
        SpecError: runs of equal layers stacked in one array, as in `networks.network`.
    """
    return {layer: _vectors(group) for layer, group in layers(parameters).items()}


def hidden_layers(parameters: Any) -> tuple[str, ...]:
    """The layers that can condense: of a perceptron all but its last, the output; of a flax module all, for their order is not known."""
    names = tuple(layers(parameters))
    return names[:-1] if isinstance(parameters, tuple) else names


def _vectors(group: dict[str, jax.Array]) -> jax.Array:
    name = next(name for name in _WEIGHTS if name in group)
    weights = group[name]
    if _WEIGHTS[name]:
        weights = weights.reshape(math.prod(weights.shape[:-1]), weights.shape[-1]).T
    elif len(weights.shape) != 2:
        raise SpecError(
            f"weights of shape {weights.shape}, of several layers in one array",
            "networks with an array per layer",
            "Train training.perceptron(spec), or the spec itself, instead of network(spec).",
        )
    biases = [group[name][:, None] for name in _BIASES if name in group]
    return jnp.concatenate([weights, *biases], axis=1)


def part_name(part: Any) -> str:
    """One step of a path through parameters: `layer 1` for a place in a tuple, the name otherwise."""
    if isinstance(part, jax.tree_util.SequenceKey):
        return f"layer {part.idx + 1}"
    return str(getattr(part, "key", getattr(part, "name", part)))
