"""Axes of a measurement, cost of a forward pass."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.layers import Layer, Outline, check_batches, outline, shape_of
from deepinit.core.layers.outline import RandomMap, choose_maps, is_conditional
from deepinit.core.specs import NetworkSpec, choose_linear_map, choose_transposes

Conditions = Callable[[Any, Any], str | None]
Entries = Callable[[Any, Any], tuple[str, ...]]
Settings = Mapping[str, str]


_OWN_COST, _OWN_BYTES = 1e6, 2**20


class Axis(NamedTuple):
    """The two axes of a measurement; `name`, `length`, `positions` and `paths` of the first.

    `name`: `layer` or `step`. `positions`, `paths`: None for 1, 2, ... `entries`: distinct names
    along the second.
    """

    name: str
    length: int
    entries: tuple[str, ...]
    positions: tuple[int, ...] | None = None
    paths: tuple[str, ...] | None = None


class Parts(NamedTuple):
    """A seed function without its numbers and arrays.

    Attributes:
        arrays: pytree of NumPy arrays.
        make: `(spec, arrays, inputs) -> (key -> Measurement)`; numbers of the spec may be
            placeholders, and `inputs` have shapes alone.
        shares_numbers: whether it is worth a try to leave numbers open.
    """

    arrays: Any
    make: Callable[[Any, Any, Any], Callable[[Any], Any]]
    shares_numbers: bool = True

    def seed_fn(self, spec: Any, inputs: Any) -> Callable[[Any], Any]:
        """The seed function itself."""
        return self.make(spec, self.arrays, inputs)


def no_conditions(spec: Any, inputs: Any) -> str | None:
    """Defined for every spec and input."""
    del spec, inputs
    return None


def entries_of_inputs(spec: Any, inputs: Any) -> tuple[str, ...]:
    """`inputs.entries`."""
    del spec
    return inputs.entries


def outline_of(spec: Any, inputs: Any) -> Outline:
    """The network's outline at these inputs."""
    return outline(spec, shape_of(inputs))


def is_own(spec: Any) -> bool:
    """Whether it is a `Network`, a user's own code, and no architecture."""
    return not isinstance(spec, NetworkSpec)


def maps_of(spec: Any, inputs: Any, name: str, num_rows: int, *, backward: bool = False) -> str:
    """Resolves `auto` of an architecture; composed networks choose layer by layer.

    Raises SpecError: a map that a law excludes.
    """
    if isinstance(spec, Layer):
        check_batches(spec, inputs)
        return choose_maps(spec, shape_of(inputs), name, backward=backward)
    choose = choose_transposes if backward else choose_linear_map
    return choose(spec, name, num_rows)


def site_axis(spec: Any, inputs: Any, entries: tuple[str, ...], *, output: bool) -> "Axis":
    """Sites from 1, and the readout; composed networks name them."""
    seen = outline_of(spec, inputs)
    output = output and seen.has_readout
    paths = seen.paths
    if paths is not None and output:
        paths = (*paths, "output")
    return Axis("layer", seen.num_sites + output, entries, paths=paths)


def pass_cost(spec: Any, inputs: Any, linear_map: str) -> float:
    """Random numbers; of own networks a guess."""
    if is_own(spec):
        return _OWN_COST * inputs.num_rows
    total = 0.0
    for used in outline_of(spec, inputs).maps:
        rows = used.rows * inputs.num_rows
        drawn = used.fan_in if _is_explicit(linear_map, used, rows) else rows
        total += used.uses * used.fan_out * drawn
    return total


def pass_bytes(spec: Any, inputs: Any, settings: Settings) -> int:
    """Working memory at the widest layer; of own networks a guess."""
    if is_own(spec):
        return _OWN_BYTES
    widest = 1
    for used in outline_of(spec, inputs).maps:
        larger, smaller = max(used.fan_in, used.fan_out), min(used.fan_in, used.fan_out)
        rows = used.rows * inputs.num_rows
        is_explicit = _is_explicit(settings["linear_map"], used, rows)
        widest = max(widest, larger * (max(rows, smaller) if is_explicit else rows))
    return np.dtype(settings["dtype"]).itemsize * widest


def _is_explicit(linear_map: str, used: RandomMap, rows: int) -> bool:
    if linear_map != "auto":
        return linear_map == "explicit"
    return not is_conditional(used.law, rows, used.fan_in)
