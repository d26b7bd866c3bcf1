"""Residual networks with one or two linear maps per block."""

import dataclasses
from typing import Any, Literal

from deepinit.core import layers, validate
from deepinit.core.activations import Activation, as_activation, linear, relu, tanh
from deepinit.core.conv_specs import ConvResNet as ConvResNet
from deepinit.core.defaults import Chosen, choose, forget_choices, pickled
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.layers import Dense, Program, Shape
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.spec_parts import (
    check_matrix_laws,
    checked_count,
    checked_width,
    common_json,
    complete,
    has_conditional_map,
    is_residual_homogeneous,
    residual_program,
)

Block = Literal["two_layer", "shallow"]
BLOCKS = ("two_layer", "shallow")


@dataclasses.dataclass(frozen=True)
class ResNet:
    """Residual network: x^{l+1} = x^l + branch(x^l), x^0 the input, or its embedding A z.

    Branch: V phi(W psi(x) + b) (`two_layer`) or phi(W psi(x) + b) (`shallow`; with linear phi the
    pre-activation block).

    Attributes:
        width: of x, and of inputs without an embedding.
        depth: number of blocks, L.
        branch_width: neurons between W and V (two-layer); None for `width`.
        activation: phi; None for relu (two-layer) or tanh (shallow).
        weight_law: of W; None for `normal(default_weight_var(activation))` (two-layer) or
            `normal(1.0, scaling="depth")` (shallow), variance 1 / (width L): a diffusion as L
            grows.
        branch_law: of V (two-layer); None for `normal(1.0, scaling="depth")`: all branches together
            add the stream's variance.
        bias_law: of b, or None. Scaling `absolute`, also for the output layer; shallow also
            `depth`, variance / L.
        output_width: of a linear output layer, or None.
        output_law: of its weights; None for `normal(1.0)`.
        block: `two_layer` or `shallow`.
        inner_activation: psi.
        embedding_law: of A [width, input dimension = fan_in], or None.

    Raises SpecError: as `MLP`; a branch width or law with shallow blocks.
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

    # as of a `ConvResNet`, for one position
    positions, image_shape, kernel_size, padding, patches = 1, (), 1, "circular", ((0,),)
    __reduce__ = pickled

    def __post_init__(self) -> None:
        forget_choices(self)
        put = lambda name, value: object.__setattr__(self, name, value)
        put("width", checked_width(self.width, "of the stream"))
        put("depth", checked_count("depth", self.depth, "Give at least one block."))
        put("block", validate.choice("block", self.block, BLOCKS))
        if self.activation is None:
            choose(self, "activation", tanh if self.is_shallow else relu)
        put("inner_activation", as_activation(self.inner_activation))
        if not self.is_shallow:
            if self.branch_width is None:
                choose(self, "branch_width", self.width)
            else:
                put("branch_width", checked_width(self.branch_width, "of the branches"))
            if self.branch_law is None:
                choose(self, "branch_law", normal(1.0, scaling="depth"))
        elif self.branch_width is not None or self.branch_law is not None:
            given = "a branch width or a branch law for shallow blocks, which have one matrix"
            remedy = "The law of the one matrix is weight_law."
            raise SpecError(given, "neither, or block='two_layer'", remedy)
        default_law = normal(1.0, scaling="depth") if self.is_shallow else None
        complete(self, default_law=default_law, structured=self.is_shallow)
        check_matrix_laws(self, self.width, self.width)

    @property
    def is_shallow(self) -> bool:
        """Whether branches have one matrix."""
        return self.block == "shallow"

    @property
    def has_plain_blocks(self) -> bool:
        """Whether two-layer, without inner activation or embedding."""
        plain = self.inner_activation == linear and self.embedding_law is None
        return plain and not self.is_shallow

    @property
    def widths(self) -> tuple[int, ...]:
        """Stream width after each block."""
        return (self.width,) * self.depth

    @property
    def has_conditional_map(self) -> bool:
        """Whether weight laws act on rows without drawing the matrix."""
        return has_conditional_map(self)

    @property
    def is_homogeneous(self) -> bool:
        """Whether F(c x) = c F(x), c > 0."""
        return is_residual_homogeneous(self)

    def matrix_shapes(self, input_width: int) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of embedding and block matrices, in order.

        Raises SpecError: inputs of another width than the stream, without an embedding.
        """
        embedding = ((input_width, self.width),) if self.embedding_law is not None else ()
        if not embedding and input_width != self.width:
            raise SpecError(
                f"inputs of dimension {input_width} for a residual network of width {self.width}",
                "inputs of the stream's width",
                f"Take width={input_width}, or an embedding (embedding_law=di.normal(1.0)).",
            )
        if self.is_shallow:
            return (*embedding, *((self.width, self.width),) * self.depth)
        assert self.branch_width is not None
        block = (self.width, self.branch_width), (self.branch_width, self.width)
        return (*embedding, *block * self.depth)

    def layers(self, shape: Shape) -> Program:
        """One Repeat of residual blocks; SpecError for inputs that do not fit."""
        shape = Shape((), shape.size)
        self.matrix_shapes(shape.size)
        inner = Dense(self.branch_width or self.width, self.weight_law, self.bias_law)
        activations = layers.Activation(self.inner_activation), layers.Activation(self.activation)
        branch = [activations[0], inner, activations[1]]
        if self.branch_law is not None:
            branch.append(Dense(self.width, self.branch_law))
        embedding = None
        if self.embedding_law is not None:
            embedding = Dense(self.width, self.embedding_law)
        return residual_program(self, shape, embedding, branch)

    def to_json(self) -> dict[str, Any]:
        """JSON record for `spec_from_json`."""
        record = {"architecture": "ResNet", "width": self.width, "depth": self.depth}
        if self.is_shallow:
            record["block"] = self.block
        else:
            record["branch_width"] = self.branch_width
        return {**record, **common_json(self)}
