"""Axes of a measurement, cost of a forward pass."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Conditions = Callable[[Any, Any], str | None]
Entries = Callable[[Any, Any], tuple[str, ...]]
Settings = Mapping[str, str]


class Axis(NamedTuple):
    """The two axes of a measurement.

    Attributes:
        name, length: of the first axis, `layer` or `step`.
        entries: distinct names along the second.
        positions: along the first; None for 1, 2, ...
    """

    name: str
    length: int
    entries: tuple[str, ...]
    positions: tuple[int, ...] | None = None


def no_conditions(spec: Any, inputs: Any) -> str | None:
    """Defined for every spec and input."""
    del spec, inputs
    return None


def entries_of_inputs(spec: Any, inputs: Any) -> tuple[str, ...]:
    """`inputs.entries`."""
    del spec
    return inputs.entries


def pass_cost(spec: Any, inputs: Any, linear_map: str) -> float:
    """Random numbers."""
    shapes, rows = spec.matrix_shapes(inputs.dimension), inputs.num_rows
    explicit = linear_map == "explicit"
    return float(sum(fan_out * (fan_in if explicit else rows) for fan_in, fan_out in shapes))


def pass_bytes(spec: Any, inputs: Any, settings: Settings) -> int:
    """Working memory at the widest layer."""
    explicit = settings["linear_map"] == "explicit"
    return np.dtype(settings["dtype"]).itemsize * max(
        max(fan_in, fan_out) * (min(fan_in, fan_out) if explicit else inputs.num_rows)
        for fan_in, fan_out in spec.matrix_shapes(inputs.dimension)
    )
