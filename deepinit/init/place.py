"""Random arrays of a network, by their place; their laws at initialization."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

Kind = Literal["dense", "conv", "query", "key", "value", "output", "embed", "positions"]


class Place(NamedTuple):
    """One random array of a network.

    Attributes:
        kind: `dense`, `conv`; `query`, `key`, `value`, `output` of attention; `embed` (vectors of
            tokens), `positions` (vectors of positions).
        rows, fan_in: of the matrix [rows, fan_in]; fan_in of a convolution counts its patch.
        patch: positions of a patch; 1 without a convolution.
        heads: of attention; else 1.
        is_first, is_readout: first random array, final linear map.
        residual_layers: number of residual layers of the network, L.
        branch_maps: linear maps of the residual branch around, m (attention counts 2); 0 outside.
        ends_branch: whether the last of them.
    """

    kind: Kind
    rows: int
    fan_in: int
    patch: int = 1
    heads: int = 1
    is_first: bool = False
    is_readout: bool = False
    residual_layers: int = 0
    branch_maps: int = 0
    ends_branch: bool = False

    @property
    def fan_out(self) -> int:
        """rows times patch, as frameworks count it."""
        return self.rows * self.patch


class Laws(NamedTuple):
    """Laws (`di.Law`) of an array and of the bias added behind it; None for no bias."""

    weight: Any  # Law, or MatrixLaw of one's own
    bias: Any = None


Scheme = Callable[[Place], Laws | None]  # None: the array keeps its own law
