"""The layers of a network as the theory of lengths sees them."""

import itertools
import math
from typing import Any, Literal, NamedTuple

from deepinit.core.errors import SpecError
from deepinit.theory.numerics.gamma_functions import log_survival
from deepinit.theory.numerics.validate import (
    check_dimension,
    check_law,
    check_slope,
    check_variance,
    critical_var,
    network_widths,
)

OUTPUTS = ("linear", "relu", None)
Output = Literal["linear", "relu"] | None


class LayerFactor(NamedTuple):
    """The law of one layer's factor, for weights of unit variance (v / fan_in = 1).

    Attributes:
        width: neurons of the layer.
        masked: an activation follows; False for a linear layer.
        slope: the activation's negative slope.
        sphere: N for orthogonal weights, None for Gaussian ones.
        d: dimension of the volume; 1 for lengths.
    """

    width: int
    masked: bool = True
    slope: float = 0.0
    sphere: int | None = None
    d: int = 1

    @property
    def can_vanish(self) -> bool:
        """Units can be off."""
        return self.masked and self.slope == 0.0

    @property
    def log_alive(self) -> float:
        """ln P(factor > 0)."""
        if self.can_vanish:
            return log_survival(self.width, self.d)
        return 0.0 if self.width >= self.d else -math.inf


class Layer(NamedTuple):
    """One layer: the variance of one weight (v / fan_in), and the law of its factor at unit
    variance."""

    entry_var: float
    factor: LayerFactor


def network_layers(
    widths: Any,
    *,
    hidden_var: float | None,
    output_var: float,
    negative_slope: float,
    law: str,
    output: Output,
    d: int = 1,
) -> list[Layer]:
    """The layers of a network of these widths (n_0, ..., n_L), checked.

    Raises:
        SpecError: as the public functions document.
    """
    sizes = network_widths(widths)
    check_slope(negative_slope)
    check_law(law)
    check_dimension(d)
    if output not in OUTPUTS:
        raise SpecError(
            f"output={output!r}",
            "'linear' (the last width is a linear layer), 'relu' (it ends in the activation), or None (every layer is hidden)",
            "A network without an output layer takes None.",
        )
    slope = abs(float(negative_slope))
    if d > 1 and slope:
        raise SpecError(
            f"d={d} with negative_slope={negative_slope}",
            "d = 1 with leaky ReLU, any d with ReLU",
            "The Gram determinant of a leaky layer has no law this simple; take negative_slope=0, or simulate.",
        )
    hidden = critical_var(slope) if hidden_var is None else check_variance("hidden_var", hidden_var)
    last = check_variance("output_var", output_var)
    layers = []
    for index, (fan_in, width) in enumerate(itertools.pairwise(sizes), start=2):
        is_output = output is not None and index == len(sizes)
        sphere = max(fan_in, width) if law == "orthogonal" else None
        masked = not (is_output and output == "linear")
        factor = LayerFactor(width, masked, slope if masked else 0.0, sphere, d)
        layers.append(Layer((last if is_output else hidden) / fan_in, factor))
    return layers
