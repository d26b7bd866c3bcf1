"""Attention at order 1/width: values of independent derivations, the limit, simulated networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from limit_network import limit_of_tokens, rows_of, upper

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, program
from deepinit.theory.layers import check, first_order
from deepinit.theory.layers.entries import vector_of
from deepinit.theory.layers.softmax_moments import mixed

L = di.layers
G = np.array([[1, 0.4, 0.1], [0.4, 0.9, -0.2], [0.1, -0.2, 1.3]])
PAIR = np.array([[1.0, 0.3], [0.3, 1.0]])
WIDE = 10**13  # of W_O: only heads and their width are finite


def products(gram, mean):
    del mean
    return gram[jnp.triu_indices(len(gram))]


def outputs(layer, gram, width=WIDE):
    net = program(L.Sequential(layer), Shape((len(gram),), width))
    result = first_order(net, rows_of(gram, len(gram))[None, None], products)
    return result.infinite[-1, 0], result.shift[-1, 0], result.variance[-1, 0]


def test_two_causal_tokens():
    layer = L.Attention(2, mask="causal", head_width=16)
    infinite, shift, _ = outputs(layer, [[1, 0.4], [0.4, 0.9]])
    np.testing.assert_allclose(infinite, [1, 0.7, 0.7223728707], atol=1e-10)
    np.testing.assert_allclose(16 * shift, [0, 0, -0.0175185681], atol=1e-9)


def test_the_part_of_variance_that_survives_wide_heads():
    layer = L.Attention(1, mask="causal", head_width=10**12)
    *_, variance = outputs(layer, [[1, 0.4], [0.4, 0.9]])
    np.testing.assert_allclose(variance, [0, 0, 0.0029967108], atol=1e-9)


# Layer; mean and (11, 12, 22) of the variance: simulated, 2e5 heads, standard errors 3-6e-4, 4e-3.
SIMULATED = {
    "sqrt": (
        L.Attention(4, mask="causal", head_width=8),
        [0.9995, 0.6996, 0.4790, 0.7202, 0.4074, 0.5954],
        [0.033623, 0.030007, 0.032532],
    ),
    "no mask": (
        L.Attention(2, beta=1.5, head_width=16),
        [0.6617, 0.5093, 0.4399, 0.6493, 0.3800, 0.6939],
        [0.049907, 0.043526, 0.05847],
    ),
    "mup": (
        L.Attention(4, scores="mup", beta=2.0, mask="causal", head_width=8),
        [0.9995, 0.6996, 0.4858, 0.7017, 0.4161, 0.5321],
        [0.03131, 0.024267, 0.022961],
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", SIMULATED)
def test_three_tokens(case):
    layer, simulated, spread = SIMULATED[case]
    infinite, shift, variance = outputs(layer, G)
    np.testing.assert_allclose(infinite + shift, simulated, atol=2e-3)
    np.testing.assert_allclose(variance[3:], spread, atol=2e-4)
    assert np.abs(infinite - simulated)[-1] > 4e-3  # the limit is rejected
    limit = upper(limit_of_tokens(L.Sequential(layer), G, WIDE).output.cov[0, 0])
    np.testing.assert_allclose(infinite, limit, atol=1e-8 if layer.mask else 1e-7)
