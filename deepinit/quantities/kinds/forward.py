"""Measurements on the forward pass."""

from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.inputs import Inputs
from deepinit.core.layers import shape_of
from deepinit.core.results import Estimate
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
from deepinit.quantities.own import functions, places, rows


class Forward(NamedTuple):
    """A tap on every layer of the forward pass.

    `tap`: `(LayerState, inputs) -> Measurement` [entries] of one layer. `at_output`: the output
    layer too, as the last. `own_tap`: of a Network, if another. Others: `quantities.kinds`.
    """

    tap: Callable[[Any, Any], Any]
    accepts: type = Inputs
    at_output: bool = False
    entries: Entries = entries_of_inputs
    why_not: Conditions = no_conditions
    statistic: Callable[[Any, Estimate], Estimate] | None = None
    own_tap: Callable[[Any, Any], Any] | None = None

    def linear_map(self, spec: Any, inputs: Any, name: str) -> str:
        """Resolves `auto`."""
        if is_own(spec):
            return functions.linear_map(name)
        return maps_of(spec, inputs, name, inputs.num_rows)

    def parts(
        self,
        spec: Any,
        inputs: Any,
        settings: Settings,
        keep: bool = False,
        columns: Callable[[Any], Any] | None = None,
    ) -> Parts:
        """Of `key -> Measurement`, with `columns` of every LayerState if given."""
        from deepinit.networks import forward, linear_maps
        from deepinit.networks.input_rows import input_rows
        from deepinit.networks.rows import with_constants, without_constants

        del keep
        if is_own(spec):
            tap_rows = self.own_tap or self.tap
            own = lambda spec, _, inputs: rows.forward_fn(tap_rows, spec, inputs, settings)
            return Parts((), own, shares_numbers=False)
        start = input_rows(spec, inputs, settings["dtype"])
        linear_map = linear_maps.FUNCTIONS[settings["linear_map"]]
        taps_output = self.at_output and outline_of(spec, inputs).has_readout
        shape = shape_of(inputs)

        def make(spec: Any, arrays: Any, inputs: Any) -> Callable[[Any], Any]:
            def tap(state: Any) -> Any:
                measured = self.tap(state, inputs)
                return measured if columns is None else measured._replace(columns=columns(state))

            def seed_fn(key: Any) -> Any:
                measured, _ = forward.random_forward(
                    spec,
                    with_constants(arrays) if start.is_fixed else start(key),
                    key,
                    tap,
                    linear_map=linear_map,
                    precision=settings["precision"],
                    tap_output=taps_output,
                    shape=shape,
                    watch=columns is not None,
                )
                return measured

            return seed_fn

        return Parts(without_constants(start(None)) if start.is_fixed else (), make)

    def axis(self, spec: Any, inputs: Any) -> Axis:
        """Sites from 1; of own networks the measured layers, and the output."""
        if is_own(spec):
            return places.output_axis(spec, inputs, self.entries(spec, inputs), alone=False)
        return site_axis(spec, inputs, self.entries(spec, inputs), output=self.at_output)

    def cost(self, spec: Any, inputs: Any, linear_map: str) -> float:
        """Random numbers."""
        return pass_cost(spec, inputs, linear_map)

    def bytes(self, spec: Any, inputs: Any, settings: Settings) -> int:
        """Working memory."""
        return pass_bytes(spec, inputs, settings)
