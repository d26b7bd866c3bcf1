"""Residual networks: identity shortcuts around blocks of one or two linear maps, fully connected or convolutional."""

import dataclasses
import math
from typing import Any, Literal

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation, linear, relu, tanh
from deepinit.core.defaults import Chosen, choose, forget_choices, pickled
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.spec_parts import (
    WEIGHT_LAWS,
    acts_on_rows,
    checked_count,
    checked_width,
    common_json,
    complete,
    laws_of,
)

Block = Literal["two_layer", "shallow"]
Padding = Literal["circular", "zero"]
BLOCKS = ("two_layer", "shallow")
PADDINGS = ("circular", "zero")


@dataclasses.dataclass(frozen=True)
class ResNet:
    """A residual network: x^{l+1} = x^l + branch(x^l), x^0 the input, or its embedding A z.

    The branch of a `two_layer` block is V phi(W psi(x) + b), that of a `shallow` one phi(W psi(x) + b). With phi linear the latter is the
    pre-activation block x + W psi(x) + b.

    Attributes:
        width: of the stream x; without an embedding the inputs have the same.
        depth: number of blocks, L.
        branch_width: neurons of a two-layer branch, between W and V; None takes `width`.
        activation: phi; None takes relu in two-layer blocks and tanh in shallow ones.
        weight_law: law of W. None takes `normal(default_weight_var(activation))` (see `MLP`) in two-layer blocks; in shallow ones
            `normal(1.0, scaling="depth")`, entries of variance 1 / (width L): the network is then a diffusion as L grows.
        branch_law: law of V (two-layer blocks only); None takes `normal(1.0, scaling="depth")`: the variances of all branches add up
            to that of the stream, whatever the depth.
        bias_law: law of b; None for no bias. Scaling `absolute`, or in shallow blocks `depth`: variance / L. The output layer
            has biases of this law too if it is `absolute`.
        output_width: neurons of the linear output layer; None for no output layer.
        output_law: law of the output weights; None takes `normal(1.0)`.
        block: `two_layer` or `shallow`.
        inner_activation: psi, before W.
        embedding_law: law of A [width, dimension of the inputs] (`normal(1.0)`: fan_in is that dimension); None for no embedding.

    Raises:
        SpecError: as for MLP; a branch of two layers asked of a shallow block.
    """

    width: int
    depth: int
    branch_width: int | None = None
    activation: Activation = None  # type: ignore[assignment]
    weight_law: Law | MatrixLaw | None = None
    branch_law: Law | None = None
    bias_law: Law | MatrixLaw | None = None
    output_width: int | None = None
    output_law: Law | None = None
    block: Block = "two_layer"
    inner_activation: Activation = linear
    embedding_law: Law | None = None
    _chosen: Chosen = dataclasses.field(default=(), kw_only=True, compare=False, repr=False)

    positions = 1
    __reduce__ = pickled

    def __post_init__(self) -> None:
        forget_choices(self)
        object.__setattr__(self, "width", checked_width(self.width, "of the stream"))
        object.__setattr__(
            self, "depth", checked_count("depth", self.depth, "Give at least one block.")
        )
        object.__setattr__(self, "block", validate.choice("block", self.block, BLOCKS))
        if self.activation is None:
            choose(self, "activation", tanh if self.is_shallow else relu)
        object.__setattr__(self, "inner_activation", as_activation(self.inner_activation))
        if not self.is_shallow:
            if self.branch_width is None:
                choose(self, "branch_width", self.width)
            else:
                width = checked_width(self.branch_width, "of the branches")
                object.__setattr__(self, "branch_width", width)
            if self.branch_law is None:
                choose(self, "branch_law", normal(1.0, scaling="depth"))
        elif self.branch_width is not None or self.branch_law is not None:
            raise SpecError(
                "a branch width or a branch law for shallow blocks, which have one matrix",
                "neither, or block='two_layer'",
                "The law of the one matrix is weight_law.",
            )
        complete(
            self,
            default_law=normal(1.0, scaling="depth") if self.is_shallow else None,
            structured=self.is_shallow,
        )
        _check_matrix_laws(self, self.width, self.width)

    @property
    def is_shallow(self) -> bool:
        """One matrix in a branch."""
        return self.block == "shallow"

    @property
    def widths(self) -> tuple[int, ...]:
        """The stream's width after every block."""
        return (self.width,) * self.depth

    @property
    def has_conditional_map(self) -> bool:
        """Every weight law's action on given rows can be drawn without the matrix."""
        return all(acts_on_rows(law) for law in laws_of(self, WEIGHT_LAWS).values())

    @property
    def is_homogeneous(self) -> bool:
        """F(c x) = c F(x) for every c > 0: homogeneous activations and no bias."""
        return _is_homogeneous(self)

    def matrix_shapes(self, input_width: int) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of every matrix of the embedding and the blocks, in order.

        Raises:
            SpecError: inputs of another width than the stream, without an embedding.
        """
        embedding = ((input_width, self.width),) if self.embedding_law is not None else ()
        if not embedding and input_width != self.width:
            raise SpecError(
                f"inputs of dimension {input_width} for a residual network of width {self.width}",
                "inputs of the stream's width",
                f"Take width={input_width}, or other inputs, or an embedding (embedding_law=di.normal(1.0)).",
            )
        if self.is_shallow:
            return (*embedding, *((self.width, self.width),) * self.depth)
        assert self.branch_width is not None
        return (
            *embedding,
            *((self.width, self.branch_width), (self.branch_width, self.width)) * self.depth,
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON record that `spec_from_json` reads back to an equal spec."""
        record = {"architecture": "ResNet", "width": self.width, "depth": self.depth}
        if self.is_shallow:
            record["block"] = self.block
        else:
            record["branch_width"] = self.branch_width
        return {**record, **_inner_json(self), **common_json(self)}


@dataclasses.dataclass(frozen=True)
class ConvResNet:
    """A convolutional residual network of shallow blocks: x_p^{l+1} = x_p^l + phi(W psi(x^l around p) + b), p a position.

    Inputs are images as rows, positions first: [height, width, channels], flattened. W [channels, size^d channels] and b are the same
    at every position. The patch around p is centred, with stride 1: it wraps around at the border (`circular`) or reads 0 beyond it (`zero`),
    so that the stream keeps the image's shape. The variance is not divided by the positions of a patch: constant images grow like
    e^(size^d kappa), kappa = phi'(0)^2 times the variance of weight_law, as depth grows.

    Attributes:
        image_shape: positions, (length,) or (height, width).
        channels: of the stream, D.
        depth: number of blocks, L.
        kernel_size: positions along each side of a patch, odd; at most the image's own.
        padding: `circular` or `zero`.
        activation: phi.
        weight_law: of W; None takes `normal(1.0, scaling="depth")`. Its fan_in is the number of channels, not that of the entries of a
            patch: entries have variance 1 / (channels L), not 1 / (size^d channels L), so that the limit of depth keeps all positions
            of the patch. With scaling `absolute` the variance is that of one entry, whatever channels and size.
        bias_law: of b, one number for each channel, the same at every position; None for no bias. With scaling `depth` the variance
            of one bias is variance / L, and the limit of depth exists; with `absolute` it is variance in every block, so that the biases
            of all blocks add up to phi'(0)^2 L times that, and there is no limit of depth. The output layer has biases of this law
            too if it is `absolute`.
        output_width: neurons of the linear output layer on the average over positions; None for no output layer.
        output_law: law of the output weights; None takes `normal(1.0)`.
        inner_activation: psi, before W.
        embedding_law: law of A, a linear map of the input's channels at every position; None for no embedding.

    Raises:
        SpecError: as for ResNet; an image or a filter of impossible shape, an unknown padding.

    Reference: arXiv 2007.03253, section 5.6.
    """

    image_shape: tuple[int, ...]
    channels: int
    depth: int
    kernel_size: int = 3
    padding: Padding = "circular"
    activation: Activation = tanh
    weight_law: Law | MatrixLaw | None = None
    bias_law: Law | MatrixLaw | None = None
    output_width: int | None = None
    output_law: Law | None = None
    inner_activation: Activation = linear
    embedding_law: Law | None = None
    _chosen: Chosen = dataclasses.field(default=(), kw_only=True, compare=False, repr=False)

    __reduce__ = pickled

    def __post_init__(self) -> None:
        forget_choices(self)
        object.__setattr__(self, "image_shape", _checked_image(self.image_shape))
        object.__setattr__(self, "channels", checked_width(self.channels, "(channels)"))
        object.__setattr__(
            self, "depth", checked_count("depth", self.depth, "Give at least one block.")
        )
        object.__setattr__(
            self, "kernel_size", checked_count("kernel_size", self.kernel_size, "3 is usual.")
        )
        if self.kernel_size % 2 == 0 or self.kernel_size > min(self.image_shape):
            raise SpecError(
                f"kernel_size={self.kernel_size} on images of {' x '.join(map(str, self.image_shape))} positions",
                f"an odd number up to {min(self.image_shape)}",
                "3 is usual; an even patch has no centre.",
            )
        remedy = "A residual network keeps the image's shape: there is no 'valid' padding."
        object.__setattr__(
            self, "padding", validate.choice("padding", self.padding, PADDINGS, remedy)
        )
        object.__setattr__(self, "inner_activation", as_activation(self.inner_activation))
        complete(self, default_law=normal(1.0, scaling="depth"), structured=True)
        _check_matrix_laws(self, self.channels, self.channels * self.patch_size)

    @property
    def positions(self) -> int:
        """Of an image."""
        return math.prod(self.image_shape)

    @property
    def patch_size(self) -> int:
        """Positions of a patch."""
        return self.kernel_size ** len(self.image_shape)

    @property
    def width(self) -> int:
        """Numbers in the stream: positions times channels."""
        return self.positions * self.channels

    @property
    def widths(self) -> tuple[int, ...]:
        """The stream's numbers after every block."""
        return (self.width,) * self.depth

    @property
    def has_conditional_map(self) -> bool:
        """Every weight law's action on given rows can be drawn without the matrix."""
        return all(acts_on_rows(law) for law in laws_of(self, WEIGHT_LAWS).values())

    @property
    def is_homogeneous(self) -> bool:
        """F(c x) = c F(x) for every c > 0: homogeneous activations and no bias."""
        return _is_homogeneous(self)

    def matrix_shapes(self, input_width: int) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of every matrix of the embedding and the blocks, in order.

        Raises:
            SpecError: inputs that are no images of this shape.
        """
        fits = (
            input_width % self.positions == 0
            if self.embedding_law is not None
            else input_width == self.width
        )
        if not fits:
            shape = " x ".join(map(str, self.image_shape))
            channels = "any number of" if self.embedding_law is not None else str(self.channels)
            raise SpecError(
                f"inputs of dimension {input_width} for a convolutional network",
                f"images of {shape} positions with {channels} channels, as rows",
                "Reshape them, or take an embedding (embedding_law=di.normal(1.0)).",
            )
        blocks = ((self.patch_size * self.channels, self.channels),) * self.depth
        return (
            blocks
            if self.embedding_law is None
            else ((input_width // self.positions, self.channels), *blocks)
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON record that `spec_from_json` reads back to an equal spec."""
        names = ("channels", "depth", "kernel_size", "padding")
        record = {"architecture": "ConvResNet", "image_shape": list(self.image_shape)}
        record.update({name: getattr(self, name) for name in names})
        return {**record, **_inner_json(self), **common_json(self)}


def is_plain_resnet(spec: Any) -> bool:
    """A fully connected residual network of two-layer blocks, with nothing before their first matrix and no embedding."""
    return (
        isinstance(spec, ResNet)
        and not spec.is_shallow
        and spec.inner_activation == linear
        and spec.embedding_law is None
    )


def _inner_json(spec: Any) -> dict[str, Any]:
    return (
        {}
        if spec.inner_activation == linear
        else {"inner_activation": spec.inner_activation.to_json()}
    )


def _is_homogeneous(spec: Any) -> bool:
    drifts = any(
        isinstance(law, MatrixLaw) and not law.is_symmetric
        for law in (spec.weight_law, spec.bias_law)
    )
    homogeneous = spec.activation.is_homogeneous and spec.inner_activation.is_homogeneous
    return homogeneous and spec.bias_law is None and not drifts


def _check_matrix_laws(spec: Any, fan_out: int, fan_in: int) -> None:
    for name, shape in (("weight_law", (fan_out, fan_in)), ("bias_law", (fan_out, 1))):
        law = getattr(spec, name)
        if isinstance(law, MatrixLaw) and law.shape != shape:
            raise SpecError(
                f"{name} of a matrix {law.shape}",
                f"shape {shape}",
                "Give covariances of the layer's own sizes.",
            )


def _checked_image(given: Any) -> tuple[int, ...]:
    try:
        sizes = [validate.whole_number(size) for size in given]
    except TypeError:
        sizes = []
    shape = tuple(size for size in sizes if size is not None and size >= 1)
    if not 1 <= len(shape) <= 2 or len(shape) != len(sizes):
        raise SpecError(
            f"image_shape={given!r}", "(length,) or (height, width), integers >= 1", "Write (8, 8)."
        )
    return shape
