"""Config, presets and cases of transformers."""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np

import deepinit as di
from deepinit.core import validate
from deepinit.core.layers import (
    Activation,
    Attention,
    Block,
    Dense,
    Embed,
    Layer,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
)
from deepinit.runs.experiment import Case

from .token_distance import log_token_distance

COSINE, GRADIENT = di.quantities.token_cosine, di.quantities.log_gradient_norm

LIMIT = ("infinite_width",)  # order 1/width of 8 tokens takes minutes to compile
SCALES = {"one": 1.0, "depth": "1/sqrt(depth)"}
SCORES = ("sqrt", "mup")
# Layers: 1 - cosine stays above 1e-11, a thousand times the rounding of float32.
COLLAPSE_DEPTHS = {"sqrt": 3, "mup": 2, "causal": 14}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    norms: tuple[str, ...] = ("pre", "post")
    """pre: in the branches; post: after the sums."""
    scores: tuple[str, ...] = SCORES
    """Scale of the scores: sqrt, 1/sqrt(head width); mup, 1/head width."""
    scales: tuple[str, ...] = ("one", "depth")
    """Residual scale: one; depth, 1/sqrt(number of residual layers)."""
    width: int = 128
    """Neurons of a token, in depth and in rank collapse."""
    heads: int = 8
    """Heads, in depth and in rank collapse."""
    length: int = 8
    """Tokens of a sequence."""
    depth: int = 12
    """Blocks of attention and MLP."""
    num_seeds: int = 100
    """Networks per case, in depth and in rank collapse."""
    collapse: tuple[str, ...] = ("sqrt", "mup", "causal")
    """Attention without residuals: sqrt, mup; causal, sqrt with a mask."""
    law_heads: tuple[int, ...] = (2, 4, 8, 16, 32)
    """Heads of the one-layer networks whose variance is measured; none or three and more."""
    law_width: int = 512
    """Neurons of a token there."""
    law_cosine: float = 0.3
    """Cosine of the tokens there."""
    law_seeds: int = 10_000
    """Networks per number of heads."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "full": Config(
        width=512,
        length=16,
        depth=48,
        num_seeds=200,
        law_heads=(1, 2, 4, 8, 16, 32, 64),
        law_seeds=50_000,
    ),
}


class Variant(NamedTuple):
    """One kind of block."""

    norm: str
    scores: str
    scale: str

    @property
    def name(self) -> str:
        """Of its cases."""
        return f"{self.norm}-{self.scores}-{self.scale}"

    @property
    def label(self) -> str:
        """In tables and figures."""
        scores = {"sqrt": "1/sqrt(d)", "mup": "1/d"}[self.scores]
        scale = {"one": "1", "depth": "1/sqrt(depth)"}[self.scale]
        return f"scores {scores}, residual scale {scale}"


def variants(config: Config) -> list[Variant]:
    """All kinds of blocks of a run."""
    settings = itertools.product(config.norms, config.scores, config.scales)
    return [Variant(*setting) for setting in settings]


def cases(config: Config) -> tuple[Case, ...]:
    """Cosine and gradient with depth; rank collapse; heads."""
    given, allowed = f"{len(config.law_heads)} numbers of heads", "none, or three and more"
    validate.require(len(config.law_heads) not in (1, 2), given, allowed, "Add one.")
    tokens, result = di.inputs.tokens(config.length), []
    shared = {"num_seeds": config.num_seeds, "key": config.key, "linear_map": "explicit"}
    for variant in variants(config):
        network = transformer(config, variant)
        result += [
            Case(f"cosine-{variant.name}", network, COSINE, tokens, theories=LIMIT, **shared),
            Case(f"gradient-{variant.name}", network, GRADIENT, tokens, **shared),
        ]
    for kind in config.collapse:
        depth = COLLAPSE_DEPTHS[validate.choice("collapse", kind, tuple(COLLAPSE_DEPTHS))]
        result.append(
            Case(
                f"collapse-{kind}",
                attention_only(config, kind, depth),
                log_token_distance,
                tokens,
                sample_layers=tuple(range(1, depth + 2)),
                **shared,
            )
        )
    rows = equicorrelated(config.length, config.law_cosine, config.law_width)
    for heads in config.law_heads:
        network = Sequential(Attention(heads))
        settings = {"key": config.key, "theories": LIMIT}
        result.append(Case(f"heads-{heads}", network, COSINE, rows, config.law_seeds, **settings))
    return tuple(result)


def transformer(config: Config, variant: Variant) -> Layer:
    """Embedding, blocks of attention and GELU MLP (4 width), readout of the last token."""
    validate.choice("norms", variant.norm, ("pre", "post"))
    width, scale = config.width, SCALES[validate.choice("scales", variant.scale, tuple(SCALES))]
    attention = Attention(config.heads, variant.scores)
    mlp = Dense(4 * width), Activation("gelu"), Dense(width, di.normal(2.0))
    if variant.norm == "pre":
        branches = Sequential(RMSNorm(), attention), Sequential(RMSNorm(), *mlp)
        block = Block(*(Residual(branch, scale=scale) for branch in branches))
        return Sequential(Embed(width), Repeat(block, config.depth), RMSNorm(), Dense(1))
    first, second = Residual(attention, scale=scale), Residual(Sequential(*mlp), scale=scale)
    block = Block(first, RMSNorm(), second, RMSNorm())
    return Sequential(Embed(width), Repeat(block, config.depth), Dense(1))


def attention_only(config: Config, kind: str, depth: int) -> Layer:
    """RMSNorm and attention, without residuals."""
    mask = "causal" if kind == "causal" else None
    attention = Attention(config.heads, "mup" if kind == "mup" else "sqrt", mask)
    return Sequential(Embed(config.width), Repeat(Block(RMSNorm(), attention), depth))


def equicorrelated(length: int, cosine: float, width: int) -> di.inputs.Inputs:
    """One sequence of tokens of mean square 1 and equal cosines."""
    gram = (1 - cosine) * np.eye(length) + cosine
    rows = np.sqrt(width) * np.linalg.cholesky(gram) @ np.eye(length, width)
    return di.inputs.arranged(rows[None])
