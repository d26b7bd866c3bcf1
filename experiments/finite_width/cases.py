"""Config, presets, networks and cases of finite_width."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import deepinit as di
from deepinit.core import validate
from deepinit.core.inputs import Inputs
from deepinit.core.layers import (
    Activation,
    Attention,
    BatchNorm,
    Block,
    Conv,
    Dense,
    Dropout,
    Embed,
    Gate,
    Layer,
    LayerNorm,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
)
from deepinit.quantities.quantity import Quantity
from deepinit.runs.experiment import Case

THEORIES = ("first_order", "infinite_width")
GRAM = np.array([[1.0, 0.3], [0.3, 1.0]])  # of the two inputs
HEAD_WIDTHS = 16  # width over the number of heads: every spread falls like 1/width


def repeated(block: Layer, depth: int) -> Layer:
    """Equal layers; the first may have another number of inputs."""
    return Sequential(block, Repeat(block, depth - 1)) if depth > 1 else block


def mlp(phi: str, depth: int, width: int) -> Layer:
    """Dense and activation."""
    law = di.normal(2.0) if phi == "relu" else di.normal(1.0)
    return repeated(Block(Dense(width, law), Activation(phi)), depth)


def normed_mlp(depth: int, width: int) -> Layer:
    """Dense, LayerNorm, gelu: a norm before the activation."""
    return repeated(Block(Dense(width), LayerNorm(), Activation("gelu")), depth)


def dropout_mlp(depth: int, width: int) -> Layer:
    """Dense, gelu, dropout."""
    block = Block(Dense(width, di.normal(2.0)), Activation("gelu"), Dropout(0.1))
    return repeated(block, depth)


def residual(branch: tuple[Layer, ...], depth: int, width: int) -> Layer:
    """A stream of width `width` and `depth` branches."""
    return Sequential(Dense(width), Repeat(Residual(Sequential(*branch)), depth))


def residual_gelu(depth: int, width: int) -> Layer:
    """LayerNorm and a hidden layer of gelu in every branch."""
    branch = LayerNorm(), Dense(2 * width), Activation("gelu"), Dense(width, di.normal(2.0))
    return residual(branch, depth, width)


def swiglu(depth: int, width: int) -> Layer:
    """RMSNorm and a gated hidden layer in every branch."""
    branch = RMSNorm(), Dense(4 * width), Gate("silu"), Dense(width, di.normal(3.0))
    return residual(branch, depth, width)


def convolutions(depth: int, width: int) -> Layer:
    """Convolution, BatchNorm, tanh."""
    block = Block(Conv(width, 3, padding="circular"), BatchNorm(), Activation("tanh"))
    return repeated(block, depth)


def transformer(depth: int, width: int) -> Layer:
    """Attention and a hidden layer of gelu, RMSNorm in the branches."""
    heads = max(width // HEAD_WIDTHS, 1)
    attention = Residual(Sequential(RMSNorm(), Attention(heads)))
    hidden = RMSNorm(), Dense(2 * width), Activation("gelu"), Dense(width, di.normal(2.0))
    block = Sequential(attention, Residual(Sequential(*hidden)))
    return Sequential(Embed(width), Repeat(block, depth))


def two_inputs() -> Inputs:
    """Two inputs of GRAM."""
    return di.inputs.points(np.sqrt(2.0) * np.linalg.cholesky(GRAM), "two inputs")


def three_positions() -> Inputs:
    """One input of three positions and two channels."""
    x = np.array([[1.0, 0.2, -0.4, 0.9, 0.3, 1.1]])
    return di.inputs.arranged(di.inputs.points(x, "three positions"), 3)


def three_tokens() -> Inputs:
    """One sequence of three tokens."""
    return di.inputs.tokens(3)


class Kind(NamedTuple):
    """A network, its quantity and inputs, and the name in tables."""

    network: Callable[[int, int], Layer]
    quantity: Quantity
    inputs: Callable[[], Inputs]
    label: str


NNGP = di.quantities.nngp
KINDS = {
    "relu": Kind(lambda *size: mlp("relu", *size), NNGP, two_inputs, "ReLU"),
    "tanh": Kind(lambda *size: mlp("tanh", *size), NNGP, two_inputs, "tanh"),
    "layernorm": Kind(normed_mlp, NNGP, two_inputs, "LayerNorm, gelu"),
    "dropout": Kind(dropout_mlp, NNGP, two_inputs, "gelu, dropout"),
    "residual": Kind(residual_gelu, NNGP, two_inputs, "residual LayerNorm, gelu"),
    "swiglu": Kind(swiglu, NNGP, two_inputs, "residual RMSNorm, SwiGLU"),
    "conv": Kind(
        convolutions, di.quantities.token_cosine, three_positions, "conv, BatchNorm, tanh"
    ),
    "transformer": Kind(transformer, di.quantities.token_cosine, three_tokens, "transformer"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    networks: tuple[str, ...] = tuple(KINDS)
    """Networks: relu, tanh, layernorm, dropout, residual, swiglu, conv, transformer."""
    widths: tuple[int, ...] = (64, 128, 256)
    """Widths, three or more; multiples of 16 for transformers."""
    depth: int = 4
    """Layers or blocks."""
    num_seeds: int = 4000
    """Networks per width."""
    key: int = 0
    """Root key; every width has its own."""


PRESETS = {
    "smoke": Config(networks=("tanh", "layernorm", "swiglu", "conv"), depth=3, num_seeds=2000),
    "default": Config(),
    "full": Config(widths=(32, 64, 128, 256, 512, 1024), depth=6, num_seeds=20_000),
}


def cases(config: Config) -> tuple[Case, ...]:
    """Every network at every width."""
    unknown = [name for name in config.networks if name not in KINDS]
    given = f"the networks {unknown}"
    validate.require(not unknown, given, ", ".join(KINDS), "Check the spelling.")
    given, few = f"{len(config.widths)} widths", len(config.widths) >= 3
    validate.require(few, given, "three and more, for a slope in 1/width", "Add one.")
    return tuple(
        Case(
            case_name(name, width),
            KINDS[name].network(config.depth, width),
            KINDS[name].quantity,
            KINDS[name].inputs(),
            config.num_seeds,
            theories=THEORIES,
            control="theory",
            key=config.key + 1 + number,
        )
        for name in config.networks
        for number, width in enumerate(config.widths)
    )


def case_name(network: str, width: int) -> str:
    """Of one network and width."""
    return f"{network}-w{width}"
