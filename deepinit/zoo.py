"""Published networks as layers: GPT-2, Llama, ResNet-18, ViT.

Linear maps have no biases, which are 0 (ViT: 1e-6) at initialization in the publications. Readouts
have `outputs` neurons (for tokens at every position) and are not tied to the embedding.
"""

from typing import Literal

from deepinit.core import validate
from deepinit.core.activation import Activation as Phi
from deepinit.core.activations import gelu, gelu_tanh, relu, silu
from deepinit.core.laws import Law, normal
from deepinit.core.layers import (
    Activation,
    Attention,
    BatchNorm,
    Conv,
    Dense,
    Embed,
    Gate,
    Layer,
    LayerNorm,
    Pool,
    Positions,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
)

GPT2Size = Literal["small", "medium", "large", "xl"]
_GPT2 = {  # width, depth, heads
    "small": (768, 12, 12),
    "medium": (1024, 24, 16),
    "large": (1280, 36, 20),
    "xl": (1600, 48, 25),
}
_SMALL = normal(0.02**2, "absolute")


def gpt2(
    size: GPT2Size = "small",
    *,
    width: int | None = None,
    depth: int | None = None,
    heads: int | None = None,
    outputs: int = 1,
) -> Sequential:
    """GPT-2 on sequences of tokens: pre-LayerNorm blocks of causal attention and GELU (tanh form).

    Weights are N(0, 0.02^2), those that end a branch N(0, 0.02^2 / (2 depth)). `size`: `small`,
    `medium`, `large` or `xl`; `width`, `depth`, `heads` override it.

    Parameters of `small` with 50257 tokens and 1024 positions: 124 439 808 published, of which
    82 944 are biases of linear maps; 124 356 864 here, and 768 per output.
    Reference: Radford et al. 2019. The standard deviation 0.02 of the learned positions follows
        Hugging Face transformers (0.01 in the released TensorFlow code).
    """
    own = _GPT2[validate.choice("size", size, tuple(_GPT2))]
    width, depth, heads = (
        given if given is not None else usual
        for given, usual in zip((width, depth, heads), own, strict=True)
    )
    depth = validate.integer("depth", depth, 1)
    branch_end = normal(0.02**2 / (2 * depth), "absolute")
    attention = _attention(heads, branch_end, mask="causal")
    block = _gelu_block(LayerNorm(), attention, gelu_tanh, width, branch_end)
    return Sequential(
        Embed(width, _SMALL),
        Positions("learned", _SMALL),
        Repeat(block, depth),
        LayerNorm(),
        Dense(outputs, _SMALL),
    )


def llama(
    width: int = 4096, depth: int = 32, heads: int = 32, hidden: int = 11008, *, outputs: int = 1
) -> Sequential:
    """Llama on sequences of tokens: RMSNorm, rotary causal attention, SwiGLU; Llama-7B by default.

    Weights are N(0, 0.02^2), the default of Hugging Face transformers; the paper names none. Every
    head has its own keys and values. `hidden`: neurons of the gated branch.

    Parameters with 32 000 tokens and outputs: 6 738 415 616, as published.
    Reference: Touvron et al. 2023, arXiv 2302.13971.
    """
    attention = _attention(heads, mask="causal", rotary=10000.0)
    mlp = Sequential(RMSNorm(), Dense(2 * hidden, _SMALL), Gate(silu), Dense(width, _SMALL))
    block = Sequential(Residual(Sequential(RMSNorm(), attention)), Residual(mlp))
    return Sequential(Embed(width, _SMALL), Repeat(block, depth), RMSNorm(), Dense(outputs, _SMALL))


def resnet18(width: int = 64, *, outputs: int = 1) -> Sequential:
    """ResNet-18 with BatchNorm on images: stem, 4 stages of 2 basic blocks, mean over positions.

    Weights are He normal, N(0, 2 / fan_in), those of the readout N(0, 1 / fan_in). `width`:
    channels of the stem and the first stage, doubled by each next stage.

    Parameters with 3 channels and 1000 outputs: 11 689 512 published, of which 1000 are biases of
    the readout; 11 688 512 here.
    Reference: He et al. 2016, arXiv 1512.03385.
    """
    stem = [_conv(width, 7, 2), BatchNorm(), Activation(relu), Pool("max", 3, 2, 1)]
    stages = [
        Sequential(
            _basic_block(2**number * width, stride=1 if number == 0 else 2),
            _basic_block(2**number * width),
            name=f"stage_{number + 1}",
        )
        for number in range(4)
    ]
    return Sequential(*stem, *stages, Pool("mean"), Dense(outputs))


def _basic_block(channels: int, stride: int = 1) -> Sequential:
    """relu(skip(x) + BatchNorm(Conv(relu(BatchNorm(Conv(x))))))."""
    branch = Sequential(
        _conv(channels, 3, stride), BatchNorm(), Activation(relu), _conv(channels, 3), BatchNorm()
    )
    skip = None if stride == 1 else Sequential(_conv(channels, 1, stride), BatchNorm())
    return Sequential(Residual(branch, skip), Activation(relu), name="block")


def _conv(channels: int, size: int, stride: int = 1) -> Layer:
    return Conv(channels, size, stride, law=normal(2.0))


def vit(
    width: int = 384, depth: int = 12, heads: int = 6, patch: int = 16, *, outputs: int = 1
) -> Sequential:
    """Vision transformer on images, ViT-S/16 by default: pre-LayerNorm blocks, exact GELU.

    The readout takes the mean over positions; there is no class token. Weights are N(0, 0.02^2),
    those of the patches N(0, 1 / fan_in). `patch` divides the image's side.

    Parameters with images of 224 x 224 x 3 and 1000 outputs: 22 050 664 published, of which 42 856
    are biases of linear maps, 768 the class token and its position; 22 007 040 here.
    Reference: Dosovitskiy et al. 2021, arXiv 2010.11929; Touvron et al. 2021, arXiv 2012.12877
        (size S, laws); Beyer et al. 2022, arXiv 2205.01580 (mean over positions).
    """
    block = _gelu_block(LayerNorm(1e-6), _attention(heads), gelu, width)
    return Sequential(
        Conv(width, patch, patch, "valid"),
        Positions("learned", _SMALL),
        Repeat(block, depth),
        LayerNorm(1e-6),
        Pool("mean"),
        Dense(outputs, _SMALL),
    )


def _attention(
    heads: int, output_law: Law = _SMALL, *, mask: str | None = None, rotary: float | None = None
) -> Attention:
    return Attention(
        heads,
        mask=mask,
        rotary=rotary,
        query_law=_SMALL,
        key_law=_SMALL,
        value_law=_SMALL,
        output_law=output_law,
    )


def _gelu_block(
    norm: LayerNorm, attention: Attention, phi: Phi, width: int, output_law: Law = _SMALL
) -> Sequential:
    """Pre-norm block: attention, then an MLP of 4 width neurons."""
    inner, outer = Dense(4 * width, _SMALL), Dense(width, output_law)
    return Sequential(
        Residual(Sequential(norm, attention)),
        Residual(Sequential(norm, inner, Activation(phi), outer)),
    )
