"""Changes of a network that may make it train: pure functions (network, inputs) -> network.

Each gives a network of `di.layers`, or a spec where one describes the result.
"""

from collections.abc import Callable
from typing import NamedTuple

from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.laws import center, critical, first_weight_var, readout
from deepinit.diagnosis.structure import depth, norm, residual, width


class Intervention(NamedTuple):
    """A change by its name, and what it does in one sentence."""

    change: Callable[..., NetworkSpec]
    sentence: str


INTERVENTIONS = {
    "critical": Intervention(
        critical, "Critical weight and bias variances keep norms, angles and gradients with depth."
    ),
    "residual": Intervention(
        residual, "Residual branches scaled by 1/sqrt(depth) bound the growth at any depth."
    ),
    "norm": Intervention(
        norm, "LayerNorm before each activation fixes norms; angles still follow chi_perp."
    ),
    "width": Intervention(
        width, "Wider layers reduce depth/width, and with it the spread between networks."
    ),
    "depth": Intervention(depth, "Fewer layers reduce depth/width and every growth with depth."),
    "first_weight_var": Intervention(
        first_weight_var, "The first layer's variance starts norms at their fixed point."
    ),
    "center": Intervention(
        center, "phi - phi(0) removes the mean of activations that aligns all inputs."
    ),
    "readout": Intervention(
        readout, "A readout of variance 1/width^2 starts outputs near 0, so that features learn."
    ),
}
