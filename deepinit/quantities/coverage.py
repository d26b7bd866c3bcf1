"""Which layers have rules on which route."""

import importlib
import importlib.util
from typing import Any, NamedTuple

from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Attention,
    AttentionMix,
    Embed,
    Layer,
    Repeat,
    Sequential,
    Shape,
    Table,
    expanded,
    program,
    shape_of,
)
from deepinit.core.layers.containers import children, leaves
from deepinit.core.layers.layer import tables
from deepinit.core.layers.records import layer_kinds
from deepinit.core.layers.summary import text_table

_RULES = (
    "deepinit.networks.rules",
    "deepinit.infinite_width.rules",
    "deepinit.theory.layers.rules",
)  # register when imported
_NO_ROUTES = ("shapes", "parameters")
_COMPOSED = (Embed(1), Attention(1))  # layers that routes may read as simpler ones


class Coverage(NamedTuple):
    """Kinds of layers by routes; prints as a table.

    `kinds`: kind of layer -> per route (of `routes`) `rule`, `expanded` (rules of the layers that
    it consists of), or `-`.
    """

    routes: tuple[str, ...]
    kinds: dict[str, tuple[str, ...]]

    @property
    def missing(self) -> tuple[tuple[str, str], ...]:
        """(kind, route) without a rule."""
        return tuple(
            (kind, route)
            for kind, cells in self.kinds.items()
            for route, cell in zip(self.routes, cells, strict=True)
            if cell == "-"
        )

    def __repr__(self) -> str:
        rows = [(kind, *cells) for kind, cells in self.kinds.items()]
        return text_table([("layer", *self.routes), *rows])


def coverage(network: Any = None, inputs: Any = None) -> Coverage:
    """Table of layers by routes, without Sequential and Repeat.

    A route answers for a network whose layers all have rules, unless a rule refuses an option.

    Args:
        network: a layer, or a named architecture; None for every kind of layer.
        inputs: `Inputs` or a `Shape`, for a named architecture.

    Raises SpecError: a named architecture without inputs.
    """
    for name in _RULES:
        if importlib.util.find_spec(name):
            importlib.import_module(name)
    routes = {name: table for name, table in tables().items() if name not in _NO_ROUTES}
    listed = layer_kinds().values() if network is None else _kinds(network, inputs)
    kinds = {
        kind.__name__: tuple(_cell(table, kind) for table in routes.values())
        for kind in dict.fromkeys(listed)
        if not issubclass(kind, Sequential | Repeat | AttentionMix)
    }
    return Coverage(tuple(routes), kinds)


def _kinds(network: Any, inputs: Any) -> list[type]:
    if isinstance(network, Layer):
        return _kinds_inside(network)
    if inputs is None:
        given, remedy = f"{type(network).__name__} without inputs", "Write coverage(net, inputs)."
        raise SpecError(given, "inputs or their Shape for named architectures", remedy)
    parts = program(network, inputs if isinstance(inputs, Shape) else shape_of(inputs))
    present = (part for part in (parts.embedding, parts.body, parts.readout) if part is not None)
    return [kind for part in present for kind in _kinds_inside(part)]


def _kinds_inside(layer: Layer) -> list[type]:
    return [type(layer), *(kind for child in children(layer) for kind in _kinds_inside(child))]


def _cell(table: Table[Any], kind: type) -> str:
    if _has_rule(table, kind):
        return "rule"
    for layer in _COMPOSED:
        parts = leaves(expanded(layer, Shape((1,), 1)))
        if issubclass(kind, type(layer)) and all(_has_rule(table, type(part)) for part in parts):
            return "expanded"
    return "-"


def _has_rule(table: Table[Any], kind: type) -> bool:
    return any(base in table.rules for base in kind.__mro__)
