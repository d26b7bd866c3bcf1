"""The width from which on infinite width is a good approximation."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.residual_specs import ResNet
from deepinit.core.specs import MLP, NetworkSpec
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.routes import infinite, predict

_START, _LARGEST = 2**8, 2**24


class WidthFor(NamedTuple):
    """Least widths at which a quantity is within a tolerance of infinite width, at all layers.

    Attributes:
        mean: of the mean over networks; None above 2^24.
        network: of single networks, root mean square distance; None without a predicted variance,
            or above 2^24.
        tolerance: relative; of logarithms, angles and cosines absolute.
        theory: finite-width theory behind both.
    """

    mean: int | None
    network: int | None
    tolerance: float
    theory: str


def width_for(
    spec: NetworkSpec | Callable[[int], NetworkSpec],
    quantity: Quantity,
    inputs: Any,
    tolerance: float = 0.05,
) -> WidthFor:
    """Width from which on the infinite-width limit holds within a tolerance.

    Args:
        spec: an MLP or ResNet, whose hidden widths become equal to the width; or a function
            `width -> network`.
        quantity, inputs: with a finite-width prediction and a limit.
        tolerance: > 0.

    Raises SpecError: other networks, no prediction or no limit.
    Valid for: the range of the theory; a first-order theory finds the width from its own 1/width.
    """
    tolerance = validate.positive("tolerance", tolerance)
    at_width = _family(spec)
    name = predict(at_width(_START), quantity, inputs).name

    @functools.cache
    def distances(width: int) -> tuple[float, float]:
        """Largest over entries, in tolerances: of the mean, of single networks."""
        network = at_width(width)
        limit = infinite(network, quantity, inputs).mean
        prediction = predict(network, quantity, inputs, name)
        size = np.abs(limit)
        size = np.maximum(size, 1.0) if quantity.rounding == "absolute" else size
        unit = tolerance * np.where(size > 0, size, 1.0)
        bias = np.abs(prediction.mean - limit)
        variance = np.nan if prediction.variance is None else prediction.variance
        return float(np.max(bias / unit)), float(np.max(np.sqrt(bias**2 + variance) / unit))

    mean = _least(lambda width: distances(width)[0])
    return WidthFor(mean, _least(lambda width: distances(width)[1]), tolerance, name)


def _family(spec: Any) -> Callable[[int], NetworkSpec]:
    if isinstance(spec, MLP):
        return lambda width: dataclasses.replace(spec, widths=(width,) * len(spec.widths))
    if isinstance(spec, ResNet):
        return lambda width: dataclasses.replace(spec, width=width)
    if callable(spec) and not isinstance(spec, NetworkSpec):
        return spec
    given, allowed = f"a {type(spec).__name__}", "di.MLP, di.ResNet, or a function width -> network"
    raise SpecError(given, allowed, "Write lambda width: di.layers.Sequential(...).")


def _least(distance: Callable[[int], float]) -> int | None:
    """Least width, to 1 %, from which on the distance is at most 1; None without one.

    Distances fall like powers of 1/width.
    """
    above = _START
    while not distance(above) <= 1.0:
        above *= 2
        if above > _LARGEST:
            return None
    while above > 1 and distance(above // 2) <= 1.0:
        above //= 2
    below = above // 2  # too narrow, or 0
    while above - below > max(1, below // 100):
        middle = (above + below) // 2
        above, below = (middle, below) if distance(middle) <= 1.0 else (above, middle)
    return above
