"""Attention, positions of tokens."""

import dataclasses
from typing import Any, ClassVar, Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.layers.layer import (
    SHAPES,
    Layer,
    Shape,
    refuse,
    require_positions,
    require_values,
)
from deepinit.core.layers.linear import complete_laws, put

PositionsKind = Literal["learned", "sinusoidal"]
_LAWS = ("query_law", "key_law", "value_law", "output_law")


@dataclasses.dataclass(frozen=True, repr=False)
class Attention(Layer):
    """Multi-head softmax attention: W_O of sum_s softmax(c q_t.k_s) v_s.

    Attributes:
        heads: number of heads, H.
        scores: c / beta is 1 / sqrt(head width) ("sqrt"), 1 / head width ("mup"), or a number.
        mask: None, or "causal" (s <= t).
        qk_norm: RMSNorm of queries and keys, per head, eps = 0, before rotary.
        beta: factor of the scores.
        head_width: None for width / heads.
        rotary: base of rotary position embeddings (10000.0 is usual), or None.
        query_law, key_law, value_law, output_law: None for `normal(1.0)`.
    """

    heads: int
    scores: float | str = "sqrt"
    mask: str | None = None
    qk_norm: bool = False
    beta: float = 1.0
    head_width: int | None = None
    rotary: float | None = None
    query_law: Law | None = None
    key_law: Law | None = None
    value_law: Law | None = None
    output_law: Law | None = None
    default_laws: ClassVar[dict[str, Law]] = dict.fromkeys(_LAWS, normal(1.0))

    def __post_init__(self) -> None:
        put(self, "heads", validate.integer("heads", self.heads, 1))
        if isinstance(self.scores, str):
            put(self, "scores", validate.choice("scores", self.scores, ("sqrt", "mup")))
        else:
            put(self, "scores", validate.real("scores", self.scores, remedy="'sqrt' is usual."))
        if self.mask is not None:
            put(self, "mask", validate.choice("mask", self.mask, ("causal",), "None for no mask."))
        put(self, "qk_norm", validate.flag("qk_norm", self.qk_norm))
        put(self, "beta", validate.positive("beta", self.beta, "1.0 is usual."))
        if self.head_width is not None:
            put(self, "head_width", validate.integer("head_width", self.head_width, 1))
        if self.rotary is not None:
            put(self, "rotary", validate.positive("rotary", self.rotary, "10000.0 is usual."))
        complete_laws(self)


@dataclasses.dataclass(frozen=True, repr=False)
class AttentionMix(Layer):
    """Attention without parameters: columns (q, k, v) of all heads -> outputs of all heads.

    `scales` are factors of q, k, v.
    """

    attention: Attention
    head_width: int
    scales: tuple[float, float, float]


@dataclasses.dataclass(frozen=True, repr=False)
class Positions(Layer):
    """A vector per position, added.

    `kind`: `learned`, entries of `law` (None: N(0, 1), scaling `absolute`); or `sinusoidal`, fixed,
    of mean square 1/2.
    """

    kind: PositionsKind = "learned"
    law: Law | None = None
    default_laws: ClassVar[dict[str, Law]] = {"law": normal(1.0, "absolute")}

    def __post_init__(self) -> None:
        kind = validate.choice("kind", self.kind, ("learned", "sinusoidal"), "Rotary: Attention.")
        put(self, "kind", kind)
        if kind == "learned":
            complete_laws(self)
        if self.law is not None and (kind == "sinusoidal" or self.law.scaling != "absolute"):
            given = f"Positions({kind!r}) with the law {self.law!r}"
            raise SpecError(given, "learned positions with scaling 'absolute'", "Leave law out.")


def input_laws(layer: Attention) -> tuple[Any, Any, Any]:
    """Laws of queries, keys and values."""
    return layer.query_law, layer.key_law, layer.value_law


def head_width_of(layer: Attention, width: int) -> int:
    """Head width on `width` neurons."""
    return layer.head_width or width // layer.heads


def score_factor(layer: Attention, head_width: int) -> float:
    """c."""
    if isinstance(layer.scores, str):
        return layer.beta / (head_width**0.5 if layer.scores == "sqrt" else head_width)
    return layer.beta * layer.scores


@SHAPES.rule(Attention)
def _attention(layer: Attention, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    require_positions(
        path, layer, shape, "Take di.inputs.tokens(...) or di.inputs.arranged(array)."
    )
    laws = input_laws(layer)
    mixable = all(law.is_gaussian and law.scaling == laws[0].scaling for law in laws)
    if any(law != laws[0] for law in laws) and not mixable:
        given, allowed = "different laws of q, k, v", "equal laws, or Gaussian ones of one scaling"
        raise refuse(path, layer, given, allowed, "Take di.normal(...) for all three.")
    if layer.mask is not None and shape.positions is not None and len(shape.positions) > 1:
        given = f"the mask {layer.mask!r} on images"
        raise refuse(path, layer, given, "masks on sequences", "Leave mask out.")
    if shape.width is None:
        return shape
    if layer.head_width is None and shape.width % layer.heads:
        given, allowed = f"{layer.heads} heads of {shape.width} neurons", "heads of equal width"
        raise refuse(path, layer, given, allowed, "Take a divisor, or give head_width.")
    if layer.rotary is not None and head_width_of(layer, shape.width) % 2:
        given = f"rotary with heads of width {head_width_of(layer, shape.width)}"
        raise refuse(path, layer, given, "an even head width", "Give head_width.")
    return shape


@SHAPES.rule(AttentionMix)
def _mix(layer: AttentionMix, shape: Shape, path: str) -> Shape:
    del path
    return shape._replace(width=layer.attention.heads * layer.head_width)


@SHAPES.rule(Positions)
def _positions(layer: Positions, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    require_positions(
        path, layer, shape, "Take di.inputs.tokens(...) or di.inputs.arranged(array)."
    )
    return shape
