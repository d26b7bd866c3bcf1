"""Composed networks of order 1/width against values of an independent derivation."""

import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.layers import Shape, program
from deepinit.theory.layers.expansion import first_order

PAIR = np.array([[1.0, 0.3], [0.3, 1.0]])


def rows(gram, width):
    """sqrt(width) chol(gram) [I 0]: rows of products `gram`, and of these means."""
    factor = np.linalg.cholesky(gram)
    return width**0.5 * np.pad(factor, ((0, 0), (0, width - len(gram))))[None]


def cosine_and_log(gram, mean):
    del mean
    cosine = gram[0, 1] / jnp.sqrt(gram[0, 0] * gram[1, 1])
    return jnp.stack([cosine, jnp.log(gram[0, 0])])


def gelu_after(norm, width=32, inner=1, last=None):
    ends = () if last is None else (di.layers.Dense(width, last),)
    return di.layers.Residual(
        di.layers.Sequential(
            norm, di.layers.Dense(inner * width), di.layers.Activation("gelu"), *ends
        )
    )


SWIGLU = di.layers.Residual(
    di.layers.Sequential(
        di.layers.RMSNorm(eps=0.0),
        di.layers.Dense(128),
        di.layers.Gate("silu"),
        di.layers.Dense(32, di.normal(3.0)),
    )
)
CASES = {
    "layernorm": (
        gelu_after(di.layers.LayerNorm(eps=0.0), inner=2, last=di.normal(2.0)),
        [(0.375460, -0.00811, 0.04235)],
    ),
    "rmsnorm": (
        gelu_after(di.layers.RMSNorm(eps=0.0)),
        [(0.611314, -0.00028, 0.01160), (1.399891, -0.02623, 0.05245)],
    ),
    "swiglu": (SWIGLU, [(0.100641, 0.02027, 0.04380)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_networks(name):
    block, expected = CASES[name]
    net = di.layers.Repeat(block, 4)
    result = first_order(program(net, Shape((), 32)), rows(PAIR, 32), cosine_and_log)
    for entry, (infinite, shift, variance) in enumerate(expected):
        assert result.infinite[-1, 0, entry] == pytest.approx(infinite, abs=6e-7)
        assert result.shift[-1, 0, entry] == pytest.approx(shift, abs=6e-6)
        assert result.variance[-1, 0, entry] == pytest.approx(variance, abs=6e-6)
