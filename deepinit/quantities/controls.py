"""Control variates of the quantities: functions of a network's layers, of mean exactly 0."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError


class Controls(NamedTuple):
    """Of one block, float64 [seeds, layers, entries], exactly of mean 0 over networks."""

    mean: np.ndarray
    """Of the value f."""
    square: np.ndarray
    """Of (f - centre)^2."""


class Control(NamedTuple):
    """Control variates of a quantity of a network.

    Attributes:
        columns: `LayerState -> array [length]`, recorded at every site beside the value (JAX,
            inside the seed function).
        of_block: `[seeds, layers, length] NumPy -> Controls`.
        centre: [layers, entries], predicted mean.
    """

    columns: Callable[[Any], Any]
    of_block: Callable[[np.ndarray], Controls]
    centre: np.ndarray


def control_of(spec: Any, quantity: Any, inputs: Any) -> Control:
    """Control variates of a quantity; SpecError for a layer or quantity without a rule."""
    del spec, inputs
    given = f"control variates of {quantity.name}"
    raise SpecError(given, "quantities with a rule; there is no rule yet", "Leave control out.")
