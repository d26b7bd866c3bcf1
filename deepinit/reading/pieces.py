"""What a program is read as, before linear maps, biases and factors are put together."""

from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.layers import Layer
from deepinit.reading.scope import Scope
from deepinit.reading.steps import Steps
from deepinit.reading.views import View


class Array(NamedTuple):
    """Parameters as they act: `steps` of the value `number` of a scope."""

    number: int
    steps: Steps
    view: View


class Matrix(NamedTuple):
    """A linear map.

    Attributes:
        name: of the layer.
        array: the kernel; its axes `order`, as one matrix [fan_out, fan_in].
        make: `(law, bias) -> layer`.
        scaling: of the law, `fan_in` or `absolute`.
    """

    name: str
    array: Array
    order: tuple[int, ...]
    fan_in: int
    fan_out: int
    make: Callable[[Any, Any], Layer]
    scaling: str = "fan_in"


class Shift(NamedTuple):
    """A bias of every neuron, times `sign`, is added."""

    name: str
    array: Array
    sign: float


class Factor(NamedTuple):
    """A product with a number."""

    name: str
    number: float


class Function(NamedTuple):
    """An activation."""

    name: str
    layer: Layer


class Whole(NamedTuple):
    """A layer, with the source of its parameters (`Weights`, nested; None without)."""

    name: str
    layer: Layer
    source: Any


class Nothing(NamedTuple):
    """Axes of neurons in another order of groups."""

    name: str


class Swap(NamedTuple):
    """Halves of the neurons change places; behind a linear map, whose columns are alike."""

    name: str


class Core(NamedTuple):
    """softmax(factor q.k) v of heads, between linear maps.

    Attributes:
        arms: linear maps to q, k, v; () for the one before.
        columns: of the linear map before, those of q, k, v.
    """

    name: str
    heads: int
    head_width: int
    factor: float
    mask: str | None
    arms: tuple[Matrix, ...]
    columns: tuple[int, ...]


Piece = Core | Swap | Matrix | Shift | Factor | Function | Whole | Nothing


class Weights(NamedTuple):
    """Kernel [fan_out, fan_in] and bias of a linear layer, as functions of parameters.

    Attributes:
        factor, bias_factor: of the arrays as they act.
    """

    matrix: Matrix
    factor: float
    bias: Array | None = None
    bias_factor: float = 1.0


Feed = tuple[int, int, Steps]  # number inside, number outside, function of the latter


class Loop(NamedTuple):
    """Sources of all steps of a loop.

    Attributes:
        feeds: of every parameter inside, with an axis of steps in front.
        is_tied: whether all steps have the same parameters, without that axis.
    """

    inside: Any
    feeds: tuple[Feed, ...]
    is_tied: bool


class Beside(NamedTuple):
    """Sources of one linear layer, whose outputs stand beside each other.

    Attributes:
        parts: a linear layer's, and the rows of it that are taken (None: all).
    """

    parts: tuple[tuple[Weights, Any], ...]


class Spot(NamedTuple):
    """A place in a program: `chain[at]` is read, with so many axes of positions.

    Attributes:
        before: name of the layer before, for messages.
        gaussianize: whether laws are replaced by Gaussian ones of their variances.
    """

    scope: Scope
    chain: tuple[int, ...]
    at: int
    positions: int
    before: str
    gaussianize: bool

    @property
    def start(self) -> int:
        """The value that is read from."""
        return self.chain[self.at]

    @property
    def end(self) -> int:
        """The next place that every path passes."""
        return self.chain[self.at + 1]

    @property
    def shape(self) -> tuple[int, ...]:
        """[batch, *positions, *neurons]."""
        return self.scope.shape(self.start)

    @property
    def neurons(self) -> tuple[int, ...]:
        """Axes of neurons."""
        return tuple(range(1 + self.positions, len(self.shape)))


class Match(NamedTuple):
    """What was read up to `chain[end]`."""

    pieces: tuple[Piece, ...]
    end: int
    positions: int
