"""Networks of (leaky) ReLU layers, and each layer's length or volume factor."""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Plain, Real
from deepinit.theory.numerics.gamma_functions import log_survival

LAWS = ("normal", "orthogonal")
Output = Literal["linear", "relu"] | None


class HomogeneousNetwork(NamedTuple):
    """Fully connected (leaky) ReLU network, no biases or symmetric ones.

    Attributes:
        widths: (n_0, ..., n_L), input to output.
        hidden_var, output_var: weight variances times fan_in; hidden_var None:
            2 / (1 + negative_slope^2).
        law: "normal" or "orthogonal" (Haar; rectangular: orthonormal rows or columns).
        output: last layer: "linear", "relu", or None for one more hidden layer.
    """

    widths: Sequence[int]
    hidden_var: float | None = None
    output_var: float = 1.0
    negative_slope: float = 0.0
    law: str = "normal"
    output: Output = "linear"


class LayerFactor(NamedTuple):
    """Law of one layer's factor at unit weight variance (v / fan_in = 1).

    masked: an activation follows, of negative slope `slope`; sphere: N for orthogonal weights, None
    for Gaussian; d: dimension of the volume, 1 for lengths.
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


class HomogeneousLayer(NamedTuple):
    """Weight variance v / fan_in, and the factor's law at unit variance."""

    entry_var: float
    factor: LayerFactor


def network_layers(network: HomogeneousNetwork, d: int = 1) -> list[HomogeneousLayer]:
    """The layers of a network, checked; SpecError also for d > 1 with leaky ReLU."""
    validate.instance(
        "network", network, HomogeneousNetwork, "a HomogeneousNetwork", "Pass its widths to it."
    )
    sizes = network_widths(network.widths)
    slope = abs(checked_slope(network.negative_slope))
    validate.choice("law", network.law, LAWS, "Other laws share only the mean square (m = 2).")
    if network.output not in ("linear", "relu", None):
        remedy = "A network without an output layer takes None."
        raise SpecError(f"output={network.output!r}", "'linear', 'relu' or None", remedy)
    validate.integer("d", d, 1, "The dimension of the manifold; 1 for a curve.")
    if d > 1 and slope:
        given = f"d={d} with negative_slope={network.negative_slope}"
        allowed = "d = 1 with leaky ReLU, any d with ReLU"
        raise SpecError(given, allowed, "Take negative_slope=0, or simulate.")
    remedy = "The variance times fan_in; He is hidden_var=2."
    given_var = critical_var(slope) if network.hidden_var is None else network.hidden_var
    hidden = validate.not_negative("hidden_var", given_var, remedy)
    last = validate.not_negative("output_var", network.output_var, remedy)
    layers = []
    for index, (fan_in, width) in enumerate(itertools.pairwise(sizes), start=2):
        is_output = network.output is not None and index == len(sizes)
        sphere = max(fan_in, width) if network.law == "orthogonal" else None
        masked = not (is_output and network.output == "linear")
        factor = LayerFactor(width, masked, slope if masked else 0.0, sphere, d)
        layers.append(HomogeneousLayer((last if is_output else hidden) / fan_in, factor))
    return layers


def critical_var(slope: float) -> float:
    """2 / (1 + slope^2): weight variance times fan_in that preserves the mean square."""
    return 2.0 / (1.0 + slope * slope)


def network_widths(widths: Real[Array, "layers"] | Plain, least: int = 2) -> tuple[int, ...]:
    """(n_0, ..., n_L), at least `least` integers >= 1."""
    return validate.widths(widths, least, "Input width first: (784, *[256] * 10, 10).")


def width_array(width: Real[Array, "*shape"] | Plain) -> np.ndarray:
    """Integers from 1 to 2^53, any shape, as int64."""
    sizes = validate.real_numbers(width)
    if sizes is None or not ((sizes >= 1) & (sizes <= 2.0**53) & (sizes == np.floor(sizes))).all():
        remedy = "Pass the width of every layer produced; traced numbers have no value here."
        raise SpecError(f"width={width!r}", "integers >= 1, below 2^53", remedy)
    return sizes.astype(np.int64)


def checked_moment(m: float) -> float:
    """The order of a moment, >= 0."""
    remedy = "Negative moments are infinite where units can be off; see log_length_moments."
    return validate.not_negative("m", m, remedy)


def checked_slope(slope: float) -> float:
    """The slope for negative inputs, finite."""
    return validate.real("negative_slope", slope, remedy="ReLU is 0, leaky ReLU often 0.01.")
