"""Names of layer calls inside a site, equal on every route that calls layers in one order."""

from typing import Literal, NamedTuple

from deepinit.core.layers.layer import Layer

Call = tuple[tuple[Layer, int], ...]


class Columns(NamedTuple):
    """Columns of the rows (inputs x positions) at a place inside a site.

    Attributes:
        call: the layer's.
        where: its input or output.
        beyond: columns of a sum's first part; only what the other part adds counts. None for none.
    """

    call: Call
    where: Literal["in", "out"]
    beyond: "Columns | None" = None


class Heads(NamedTuple):
    """Columns (q, k, v) and outputs of attention heads inside a site.

    Attributes:
        call: of `AttentionMix`.
        number: of heads.
        rotary: base of rotary embeddings, or None.
    """

    call: Call
    number: int
    rotary: float | None = None


class Calls:
    """The calls in progress.

    A call is named by the layers around it and, among equal layers inside one of them, its number.
    """

    def __init__(self) -> None:
        self._open: list[tuple[Call, dict[Layer, int]]] = [((), {})]

    def enter(self, layer: Layer) -> Call:
        """The name of a call that begins."""
        around, counts = self._open[-1]
        number = counts.get(layer, 0)
        counts[layer] = number + 1
        call = (*around, (layer, number))
        self._open.append((call, {}))
        return call

    def leave(self) -> Call:
        """The name of the call that ends."""
        return self._open.pop()[0]

    @property
    def current(self) -> Call:
        """The innermost call in progress."""
        return self._open[-1][0]
