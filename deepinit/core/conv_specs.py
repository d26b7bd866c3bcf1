"""Convolutional residual networks and image patches."""

import dataclasses
import itertools
import math
from typing import Any, Literal

import numpy as np

from deepinit.core import layers, validate
from deepinit.core.activations import Activation, as_activation, linear, tanh
from deepinit.core.defaults import Chosen, forget_choices, pickled
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.layers import Conv, Dense, Program, Shape
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

Padding = Literal["circular", "zero"]
PADDINGS = ("circular", "zero")


@dataclasses.dataclass(frozen=True)
class ConvResNet:
    """Convolutional residual network: x_p^{l+1} = x_p^l + phi(W psi(x^l around p) + b).

    Inputs are flattened [height, width, channels]. Positions share W [channels, size^d channels]
    and b. Patches are centred, stride 1. The variance is not divided by their size: constant images
    grow like e^(size^d kappa) with depth, kappa = phi'(0)^2 times the variance of weight_law.

    Attributes:
        image_shape: (length,) or (height, width).
        channels, depth: D, L.
        kernel_size: patch side, odd, at most the image's.
        padding: `circular` or `zero`.
        activation, inner_activation: phi, psi.
        weight_law: of W, fan_in = channels; None for `normal(1.0, scaling="depth")`, variance
            1 / (channels L). `absolute`: the entry variance.
        bias_law: of b, one per channel, or None. `depth`: variance / L. `absolute`: variance per
            block without a limit of depth, also for the output layer.
        output_width: of a linear layer on the mean over positions, or None.
        output_law: of its weights; None for `normal(1.0)`.
        embedding_law: of A, linear on each position's channels, or None.

    Raises SpecError: as `ResNet`; impossible image or kernel shapes.
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

    branch_width = branch_law = None  # as of a `ResNet` of shallow blocks
    __reduce__ = pickled

    def __post_init__(self) -> None:
        forget_choices(self)
        put = lambda name, value: object.__setattr__(self, name, value)
        put("image_shape", validate.positions("image_shape", self.image_shape))
        put("channels", checked_width(self.channels, "(channels)"))
        put("depth", checked_count("depth", self.depth, "Give at least one block."))
        put("kernel_size", checked_count("kernel_size", self.kernel_size, "3 is usual."))
        if self.kernel_size % 2 == 0 or self.kernel_size > min(self.image_shape):
            shape = " x ".join(map(str, self.image_shape))
            given = f"kernel_size={self.kernel_size} on images of {shape} positions"
            remedy = "3 is usual; an even patch has no centre."
            raise SpecError(given, f"an odd number up to {min(self.image_shape)}", remedy)
        remedy = "A residual network keeps the image's shape: there is no 'valid' padding."
        put("padding", validate.choice("padding", self.padding, PADDINGS, remedy))
        put("inner_activation", as_activation(self.inner_activation))
        complete(self, default_law=normal(1.0, scaling="depth"), structured=True)
        check_matrix_laws(self, self.channels, self.channels * self.patch_size)

    @property
    def positions(self) -> int:
        """Positions per image."""
        return math.prod(self.image_shape)

    @property
    def patch_size(self) -> int:
        """Positions per patch."""
        return self.kernel_size ** len(self.image_shape)

    @property
    def patches(self) -> tuple[tuple[int, ...], ...]:
        """[positions, patch]: positions in every patch; -1 for zeros."""
        return neighbours(self.image_shape, self.kernel_size, self.padding)

    @property
    def width(self) -> int:
        """Stream size, positions times channels."""
        return self.positions * self.channels

    @property
    def widths(self) -> tuple[int, ...]:
        """Stream size after each block."""
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
        """(fan_in, fan_out) of embedding and block matrices; SpecError for other inputs."""
        embedded = self.embedding_law is not None
        fits = input_width % self.positions == 0 if embedded else input_width == self.width
        if not fits:
            shape = " x ".join(map(str, self.image_shape))
            channels = "any number of" if embedded else str(self.channels)
            raise SpecError(
                f"inputs of dimension {input_width} for a convolutional network",
                f"images of {shape} positions with {channels} channels, as rows",
                "Reshape them, or take an embedding (embedding_law=di.normal(1.0)).",
            )
        blocks = ((self.patch_size * self.channels, self.channels),) * self.depth
        embedding = ((input_width // self.positions, self.channels),) if embedded else ()
        return (*embedding, *blocks)

    def layers(self, shape: Shape) -> Program:
        """One Repeat of convolutional residual blocks; SpecError for inputs that do not fit."""
        self.matrix_shapes(shape.size)
        law = self.weight_law
        if isinstance(law, Law) and law.scaling != "absolute":
            # fan_in counts the channels of one position
            law = dataclasses.replace(law, variance=law.variance * self.patch_size)
        conv = Conv(self.channels, self.kernel_size, 1, self.padding, law, self.bias_law)
        activations = layers.Activation(self.inner_activation), layers.Activation(self.activation)
        embedding = None
        if self.embedding_law is not None:
            embedding = Dense(self.channels, self.embedding_law)
        shape = Shape(self.image_shape, shape.size // self.positions)
        branch = [activations[0], conv, activations[1]]
        return residual_program(self, shape, embedding, branch)

    def to_json(self) -> dict[str, Any]:
        """JSON record for `spec_from_json`."""
        names = ("channels", "depth", "kernel_size", "padding")
        record = {"architecture": "ConvResNet", "image_shape": list(self.image_shape)}
        return {**record, **{name: getattr(self, name) for name in names}, **common_json(self)}


def neighbours(
    image_shape: tuple[int, ...], kernel_size: int, padding: str
) -> tuple[tuple[int, ...], ...]:
    """[positions, patch] indices around each position; -1 for zero padding."""
    reach = range(-(kernel_size // 2), kernel_size // 2 + 1)
    patches = []
    for position in itertools.product(*(range(size) for size in image_shape)):
        patch = []
        for offset in itertools.product(reach, repeat=len(image_shape)):
            place = [p + d for p, d in zip(position, offset, strict=True)]
            inside = all(0 <= p < size for p, size in zip(place, image_shape, strict=True))
            index = int(np.ravel_multi_index(place, image_shape, mode="wrap"))
            patch.append(index if inside or padding == "circular" else -1)
        patches.append(tuple(patch))
    return tuple(patches)
