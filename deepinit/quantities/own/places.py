"""Measured layers of a user's own network, by their names."""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.quantities.kinds.axis import Axis
from deepinit.quantities.own.functions import batch_of, function_of


class Place(NamedTuple):
    """A measured layer, or a layer of every step of loops.

    Attributes:
        loops: steps.
        columns: number of the last axes that are its neurons.
    """

    name: str
    loops: tuple[int, ...]
    columns: int

    @property
    def names(self) -> tuple[str, ...]:
        """Of every step."""
        steps = itertools.product(*map(range, self.loops))
        return tuple("".join([self.name, *(f"[{number}]" for number in step)]) for step in steps)

    def stacked(self, value: Any) -> Any:
        """[*loops, batch, ...] as [steps, batch, *positions, neurons]."""
        rows = value.shape[len(self.loops) : value.ndim - self.columns]
        return value.reshape(math.prod(self.loops), *rows, -1)


def sites(network: Any, inputs: Inputs) -> tuple[Place, ...]:
    """The layers that match `network.layers`, with a row for every input.

    SpecError: none does.
    """
    return () if network.layers is None else _sites(network, inputs)


@functools.lru_cache(maxsize=64)
def _sites(network: Any, inputs: Inputs) -> tuple[Place, ...]:
    import jax

    from deepinit.deferral.taps import tap_sites

    arrays = batch_of(network, inputs)
    found = tap_sites(function_of(network), network.layers, jax.random.key(0), *arrays)
    places = []
    for site in found:
        depth = len(site.path) - 1
        if site.shape[depth : depth + 1] == (inputs.num_rows,):
            places.append(Place(site.name, site.shape[:depth], site.columns))
    if not places:
        names = ", ".join(f"{site.name} {list(site.shape)}" for site in found)
        given = f"layers={network.layers!r} of a network: {names}"
        allowed = f"layers with a row for each of the {inputs.num_rows} inputs"
        raise SpecError(given, allowed, "Choose others, or measure at the output.")
    return tuple(places)


def is_among(places: tuple[Place, ...]) -> Callable[[str], bool]:
    """A predicate of names."""
    names = {place.name for place in places}
    return lambda name: name in names


def layer_axis(network: Any, inputs: Inputs, entries: tuple[str, ...]) -> Axis:
    """The measured layers by their names, or the input."""
    names = [name for each in sites(network, inputs) for name in each.names]
    paths = tuple(names or ["input"])
    return Axis("layer", len(paths), entries, paths=paths)


def output_axis(network: Any, inputs: Inputs, entries: tuple[str, ...], alone: bool) -> Axis:
    """The measured layers by their names, and the output; or that `alone`."""
    places = () if alone else sites(network, inputs)
    paths = (*(name for each in places for name in each.names), "output")
    return Axis("layer", len(paths), entries, paths=paths)
