"""Names of networks on the screen."""

from typing import Any

from deepinit.core.inputs import Inputs
from deepinit.core.layers import num_parameters
from deepinit.core.specs import MLP, NetworkSpec


def described(network: Any, inputs: Inputs) -> str:
    """One line for a network."""
    if isinstance(network, MLP):
        bias = 0.0 if network.bias_law is None else network.bias_law.entry_variance(1)
        law: Any = network.weight_law
        ends = "" if network.output_width is None else f", {network.output_width}"
        var = f"{law.name} var {law.variance:.4g}" if hasattr(law, "variance") else "own weights"
        sizes = f"MLP {inputs.dimension}, {widths_text(network.widths)}{ends}"
        return f"{sizes}   {network.activation.name}, {var}, biases {bias:.3g}"
    if isinstance(network, NetworkSpec):
        return f"{type(network).__name__}, {num_parameters(network, inputs):,} parameters"
    return network.label or "network"


def widths_text(widths: tuple[int, ...]) -> str:
    """`100 x 50, 20`: width x layers."""
    runs: list[list[int]] = []
    for width in widths:
        if runs and runs[-1][0] == width:
            runs[-1][1] += 1
        else:
            runs.append([width, 1])
    return ", ".join(f"{width} x {times}" if times > 1 else str(width) for width, times in runs)
