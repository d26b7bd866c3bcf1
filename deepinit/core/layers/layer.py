"""Base of layers, shapes of one input, and tables of rules."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from deepinit.core.errors import SpecError
from deepinit.core.laws import Law

Rule = TypeVar("Rule")
_TABLES: "dict[str, Table[Any]]" = {}


class Layer:
    """A layer: frozen, hashable data with a JSON record, and no behaviour."""

    default_laws: ClassVar[dict[str, Law]] = {}
    mixes_batch: ClassVar[bool] = False  # outputs depend on the other inputs of a batch

    def __repr__(self) -> str:
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        shown = []
        for number, field in enumerate(fields):
            value = getattr(self, field.name)
            if value not in (field.default, self.default_laws.get(field.name)):
                text = law_text(value) if isinstance(value, Law) else repr(value)
                shown.append(text if number == 0 else f"{field.name}={text}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def to_json(self) -> dict[str, Any]:
        """JSON record for `layer_from_json`."""
        from deepinit.core.layers.records import record_of

        return record_of(self)

    def summary(self, inputs: Any, num_rows: int | None = None) -> Any:
        """Table of shapes, laws, parameters and draws: `di.layers.summary`."""
        from deepinit.core.layers.summary import summary

        return summary(self, inputs, num_rows)


class Shape(NamedTuple):
    """One input of a layer; None for what is not known yet.

    Attributes:
        positions: () for vectors, (length,) for sequences, (height, width) for images.
        width: neurons (channels) per position.
        tokens: one-hot tokens, which only `Embed` reads.
    """

    positions: tuple[int, ...] | None
    width: int | None
    tokens: bool | None = False

    @property
    def num_positions(self) -> int:
        """Number of positions, 1 for vectors."""
        count = 1
        for size in self.positions or ():
            count *= size
        return count

    @property
    def size(self) -> int:
        """Entries of one input."""
        return self.num_positions * (self.width or 0)

    def __str__(self) -> str:
        positions = "?" if self.positions is None else " x ".join(map(str, self.positions))
        width = "?" if self.width is None else str(self.width)
        return width if self.positions == () else f"{positions} positions x {width}"


def law_text(law: Law) -> str:
    """The constructor of a law, e.g. `normal(2)`."""
    value = law.variance if law.value is None else law.value
    scaling = "" if law.scaling == "fan_in" or law.value is not None else f", {law.scaling!r}"
    density = "" if law.density is None else f", density={law.density:g}"
    return f"{law.name}({value:g}{scaling}{density})"


UNKNOWN = Shape(None, None, None)


class Table(Generic[Rule]):
    """The rules of one route, by layer kind (along its MRO)."""

    def __init__(self, route: str) -> None:
        self.route = route
        self.rules: dict[type, Rule] = {}
        self.reasons: dict[type, str] = {}
        _TABLES[route] = self

    def rule(self, *kinds: type) -> Callable[[Rule], Rule]:
        """Register a rule of layer kinds."""

        def register(rule: Rule) -> Rule:
            self.rules.update(dict.fromkeys(kinds, rule))
            return rule

        return register

    def without(self, kind: type, reason: str) -> None:
        """State why a kind has no rule, for refusals."""
        self.reasons[kind] = reason

    def get(self, layer: Layer) -> Rule | None:
        """The rule of the nearest kind, or None."""
        return next((self.rules[kind] for kind in type(layer).__mro__ if kind in self.rules), None)

    def find(self, layer: Layer, path: str = "") -> Rule:
        """The rule; SpecError names the layer, the route, and routes that have one."""
        rule = self.get(layer)
        if rule is None:
            others = [name for name, table in _TABLES.items() if table.get(layer) is not None]
            given = f"{path or 'the layer'}: {layer!r} on the route {self.route!r}"
            if type(layer) in self.reasons:
                given = f"{given} ({self.reasons[type(layer)]})"
            allowed = f"layers with a rule on it; {type(layer).__name__} has: "
            remedy = "Use another route, or add a rule (docs/adding.md)."
            raise SpecError(given, allowed + (", ".join(others) or "none"), remedy)
        return rule


def tables() -> "dict[str, Table[Any]]":
    """Route -> table."""
    return dict(_TABLES)


ShapeRule = Callable[[Any, Shape, str], Shape]
SHAPES: Table[ShapeRule] = Table("shapes")


def output_shape(layer: Layer, shape: Shape, path: str = "") -> Shape:
    """Shape after a layer.

    Raises SpecError: an input that does not fit; names the layer by its path.
    """
    return SHAPES.find(layer, path)(layer, shape, path)


def refuse(path: str, layer: Layer, given: str, allowed: str, remedy: str) -> SpecError:
    """The refusal of a layer, by its path."""
    where = f"{path} ({type(layer).__name__})" if path else type(layer).__name__
    return SpecError(f"{where}: {given}", allowed, remedy)


def require_values(path: str, layer: Layer, shape: Shape) -> None:
    """Refuse tokens that no `Embed` has read."""
    if shape.tokens:
        remedy = "Write di.layers.Embed(width) first."
        raise refuse(path, layer, "an input of tokens", "vectors", remedy)


def require_positions(path: str, layer: Layer, shape: Shape, remedy: str) -> None:
    """Refuse inputs without positions."""
    if shape.positions == ():
        given = "an input without positions"
        raise refuse(path, layer, given, "sequences or images", remedy)
