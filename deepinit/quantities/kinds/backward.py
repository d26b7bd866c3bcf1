"""Measurements on the backward pass."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.layers import shape_of
from deepinit.quantities.kinds.axis import (
    Axis,
    Conditions,
    Entries,
    Parts,
    Settings,
    entries_of_inputs,
    is_own,
    maps_of,
    no_conditions,
    outline_of,
    pass_bytes,
    pass_cost,
    site_axis,
)
from deepinit.quantities.own import functions, gradients, places


class Backward(NamedTuple):
    """A tap on gradients of linear functions of the output.

    Attributes:
        tap: `(Gradients, inputs) -> Measurement` [rows, entries].
        functions: `(spec, inputs) -> (functions [num, width], points [num])`, with indices of
            points (partners count as points).
        per_layer: one row per hidden layer; else one.
        every_output: whether `functions` are all outputs at one point; else the first, at all.
    """

    tap: Callable[[Any, Any], Any]
    functions: Callable[[Any, Any], tuple[Any, tuple[int, ...]]]
    per_layer: bool = False
    every_output: bool = False
    entries: Entries = entries_of_inputs
    why_not: Conditions = no_conditions
    accepts: type = Inputs
    statistic: None = None

    def linear_map(self, spec: Any, inputs: Any, name: str) -> str:
        """Resolves `auto`; SpecError for maps without a backward pass."""
        if is_own(spec):
            return functions.linear_map(name)
        num_rows = inputs.num_rows + len(self.functions(spec, inputs)[0])
        return maps_of(spec, inputs, name, num_rows, backward=True)

    def parts(
        self,
        spec: Any,
        inputs: Any,
        settings: Settings,
        keep: bool = False,
        columns: Callable[..., Any] | None = None,
    ) -> Parts:
        """Of `key -> Measurement`, with `columns` of every site if given."""
        from deepinit.networks.backward import random_gradients
        from deepinit.networks.input_rows import input_rows
        from deepinit.networks.rows import with_constants, without_constants

        del keep
        if is_own(spec):
            return Parts((), partial(self._own, settings=settings), shares_numbers=False)
        start = input_rows(spec, all_points(inputs), settings["dtype"])
        functions, points = self.functions(spec, inputs)
        drawn: Any = {name: settings[name] for name in ("linear_map", "precision")}
        shape = shape_of(inputs)

        def make(spec: Any, arrays: Any, inputs: Any) -> Callable[[Any], Any]:
            rows, functions = with_constants(arrays[0]), arrays[1]

            def seed_fn(key: Any) -> Any:
                found = random_gradients(
                    spec, rows, key, functions, points, **drawn, shape=shape, record=columns
                )
                measured = self.tap(found, inputs)
                return measured if columns is None else measured._replace(columns=found.records)

            return seed_fn

        return Parts((without_constants(start(None)), functions), make)

    def _own(self, spec: Any, arrays: Any, inputs: Any, settings: Settings) -> Any:
        del arrays
        if self.per_layer:
            return gradients.layers_fn(self.tap, spec, inputs, settings)
        return gradients.gradients_fn(self.tap, spec, inputs, settings, self.every_output)

    def axis(self, spec: Any, inputs: Any) -> Axis:
        """Hidden layers from 1, or the last layer."""
        entries = self.entries(spec, inputs)
        if is_own(spec):
            if self.per_layer:
                return places.layer_axis(spec, inputs, entries)
            return places.output_axis(spec, inputs, entries, alone=True)
        if self.per_layer:
            return site_axis(spec, inputs, entries, output=False)
        seen = outline_of(spec, inputs)
        return Axis("layer", 1, entries, (seen.num_sites + seen.has_readout,))

    def cost(self, spec: Any, inputs: Any, linear_map: str) -> float:
        """Random numbers."""
        return pass_cost(spec, inputs, linear_map)

    def bytes(self, spec: Any, inputs: Any, settings: Settings) -> int:
        """Working memory."""
        return pass_bytes(spec, inputs, settings)


def all_points(inputs: Inputs) -> Inputs:
    """Points, then partners."""
    every, none = np.concatenate([inputs.points, inputs.partners]), inputs.displacements[:0]
    return dataclasses.replace(inputs, points=every, displacements=none, bases=())
