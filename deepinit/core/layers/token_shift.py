"""Mixing of every token with the one before."""

import dataclasses

from deepinit.core import validate
from deepinit.core.layers.layer import SHAPES, Layer, Shape, require_positions, require_values
from deepinit.core.layers.linear import put
from deepinit.core.layers.parameters import PARAMETERS, Parameter


@dataclasses.dataclass(frozen=True, repr=False)
class TokenShift(Layer):
    """(1 - share) h_t + share h_{t-1}, with h_0 = 0, along the (flattened) positions.

    Fixed `share` in [0, 1], one for all channels. Reference: arXiv 2305.13048 (RWKV).
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        put(self, "share", validate.real("share", self.share, 0.0, 1.0, "0.5 is usual."))


@SHAPES.rule(TokenShift)
def _shape(layer: TokenShift, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    require_positions(path, layer, shape, "Take di.inputs.tokens(...) or sequences.")
    return shape


@PARAMETERS.rule(TokenShift)
def _parameters(layer: TokenShift, shape: Shape) -> tuple[Parameter, ...]:
    del layer, shape
    return ()
