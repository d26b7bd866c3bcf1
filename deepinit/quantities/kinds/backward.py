"""Measurements on the backward pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import inputs as kinds
from deepinit.core.inputs import Inputs
from deepinit.core.specs import choose_transposes
from deepinit.quantities.kinds.axis import (
    Axis,
    Conditions,
    Entries,
    Settings,
    entries_of_inputs,
    no_conditions,
    pass_bytes,
    pass_cost,
)


class Backward(NamedTuple):
    """A tap on gradients of linear functions of the output.

    Attributes:
        tap: `(Gradients, inputs) -> Measurement` [rows, entries].
        functions: `(spec, inputs) -> (functions [num, width], points [num])`, with indices of
            points (partners count as points).
        per_layer: one row per hidden layer; else one.
    """

    tap: Callable[[Any, Any], Any]
    functions: Callable[[Any, Any], tuple[Any, tuple[int, ...]]]
    per_layer: bool = False
    entries: Entries = entries_of_inputs
    why_not: Conditions = no_conditions
    accepts: type = Inputs
    statistic: None = None

    def linear_map(self, spec: Any, inputs: Any, name: str) -> str:
        """Resolves `auto`; SpecError for maps without a backward pass."""
        return choose_transposes(spec, name, inputs.num_rows + len(self.functions(spec, inputs)[0]))

    def seed_fn(
        self, spec: Any, inputs: Any, settings: Settings, keep: bool = False
    ) -> Callable[[Any], Any]:
        """`key -> Measurement`."""
        from deepinit.networks.backward import random_gradients
        from deepinit.networks.input_rows import input_rows

        del keep
        start = input_rows(spec, all_points(inputs), settings["dtype"])
        functions, points = self.functions(spec, inputs)
        drawn: Any = {name: settings[name] for name in ("linear_map", "precision")}
        return lambda key: self.tap(
            random_gradients(spec, start(key), key, functions, points, **drawn), inputs
        )

    def axis(self, spec: Any, inputs: Any) -> Axis:
        """Hidden layers from 1, or the last layer."""
        entries = self.entries(spec, inputs)
        if self.per_layer:
            return Axis("layer", spec.depth, entries)
        return Axis("layer", 1, entries, (spec.depth + (spec.output_width is not None),))

    def cost(self, spec: Any, inputs: Any, linear_map: str) -> float:
        """Random numbers."""
        return pass_cost(spec, inputs, linear_map)

    def bytes(self, spec: Any, inputs: Any, settings: Settings) -> int:
        """Working memory."""
        return pass_bytes(spec, inputs, settings)


def all_points(inputs: Inputs) -> Inputs:
    """Points, then partners."""
    return kinds.points(np.concatenate([inputs.points, inputs.partners]), inputs.label)
