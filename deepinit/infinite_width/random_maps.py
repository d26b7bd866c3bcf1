"""Fresh random linear maps of a state."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from deepinit.infinite_width.rules_table import entry_variance
from deepinit.infinite_width.states import Kernel, State, absorbed, each_block, on_ntk


def random_map(
    layer: Any,
    state: State,
    fan_in: int,
    depth: int,
    path: str,
    view: Callable[[Any], Any] = lambda block: block,
    channels: int | None = None,
) -> State:
    """Columns of a random linear map with the laws `layer.law` and `layer.bias`.

    cov' = w channels view(cov) + b, ntk' = cov' + w channels view(ntk), w the variance of an entry.
    `fan_in` of the law; `view`: kernels of the rows mapped, summed over their `channels` (None:
    fan_in) entries' parts.
    """
    scale = entry_variance(layer, "law", fan_in, depth, path) * (channels or fan_in)
    bias = entry_variance(layer, "bias", 1, depth, path, gaussian=True)

    trained = state.trained is None or _group(path) in state.trained
    trained_bias = bias if state.trained is None or "biases" in state.trained else 0.0

    def mapped(kernel: Kernel) -> Kernel:
        weights = scale * view(kernel.cov)
        own = trained * weights + trained_bias
        return Kernel(weights + bias, on_ntk(lambda ntk: own + scale * view(ntk), kernel.ntk))

    state = absorbed(state)
    after = each_block(state, mapped, gaussian=True, fresh=True, blurred=False)
    return after.replace(mean=jnp.zeros_like(after.variance))


def _group(path: str) -> str:
    """Of the matrix at a path of a residual architecture."""
    if path == "embedding":
        return path
    if "." not in path:
        return "output"
    return "branch" if path.endswith("dense_2") else "weights"
