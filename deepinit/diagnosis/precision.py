"""Depths at which a number format loses forward or backward signals."""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.specs import NetworkSpec
from deepinit.diagnosis.uniform import uniform
from deepinit.theory.criticality.gradient_spread import layer_fluctuations

# largest number, smallest that is not flushed to 0 (XLA keeps subnormals of float16 alone)
FORMATS = {
    "float32": (3.4028235e38, 2.0**-126),
    "bfloat16": (3.3895314e38, 2.0**-126),
    "float16": (65504.0, 2.0**-24),
    "float8_e5m2": (57344.0, 2.0**-16),
    "float8_e4m3fn": (448.0, 2.0**-9),
}
_MEDIAN = 0.6744897501960817  # of |N(0, 1)|


class PrecisionLimit(NamedTuple):
    """Where a format fails; layers are numbered from the input, None for nowhere.

    Attributes:
        overflow: first layer with an infinite entry.
        underflow: first layer half of whose entries are 0.
        gradient_overflow, gradient_underflow: last layer, counted from the input, whose gradient of
            one output by its preactivations has an infinite entry, or half of its entries 0.
    """

    overflow: int | None
    underflow: int | None
    gradient_overflow: int | None
    gradient_underflow: int | None

    @property
    def fine(self) -> bool:
        """Whether nothing is lost."""
        return all(layer is None for layer in self)


def precision_limits(
    network: NetworkSpec,
    inputs: Any,
    *,
    formats: tuple[str, ...] = ("float32", "bfloat16", "float16"),
) -> dict[str, PrecisionLimit]:
    """Format -> the layers at which preactivations or gradients leave it, in a typical network.

    Preactivations of variance K_l and gradients of one output, of the size of the readout's entries
    at the end, are Gaussian; their log-norms have the mean that fluctuations of order depth/width
    leave, -Var/2. Overflow: the largest of n entries; underflow: the median. Scales alone: rounding
    in between is `deepinit.theory.cutoff`.

    Args:
        network: as for `di.max_depth`.
        formats: of float32, bfloat16, float16, float8_e5m2, float8_e4m3fn.

    Valid for: single networks differ by a few layers, more where log-norms fluctuate by order 1.
    Raises SpecError: other networks or formats.
    """
    names = [validate.choice("formats", name, tuple(FORMATS)) for name in formats]
    net = uniform(network, inputs)
    found = layer_fluctuations(
        net.phi,
        net.depth,
        net.width,
        net.weight_var,
        net.bias_var,
        first_variance=net.first_variance,
        branch_scale=net.scale_at(net.depth),
        norm=net.norm,
    )
    n = net.width
    forward = np.log(found.variance) - 0.5 * np.concatenate([[0.0], found.log_norm_variance[:-1]])
    readout = 1.0 / n if net.readout_std is None else net.readout_std**2
    growth = np.cumsum((found.log_chi - 0.5 * found.fresh)[::-1])[::-1]
    back = math.log(readout) + growth
    return {name: _limit(name, n, 0.5 * forward, 0.5 * back) for name in names}


def _limit(name: str, width: int, forward: np.ndarray, back: np.ndarray) -> PrecisionLimit:
    """Of natural logs of root mean squares."""
    most, least = (math.log(end) for end in FORMATS[name])
    largest = 0.5 * math.log(2.0 * math.log(max(width, 2)))
    above = lambda logs: logs + largest > most
    below = lambda logs: logs + math.log(_MEDIAN) < least
    return PrecisionLimit(
        _first(above(forward)), _first(below(forward)), _last(above(back)), _last(below(back))
    )


def _first(where: np.ndarray) -> int | None:
    found = np.flatnonzero(where)
    return int(found[0]) + 1 if len(found) else None


def _last(where: np.ndarray) -> int | None:
    found = np.flatnonzero(where)
    return int(found[-1]) + 1 if len(found) else None
