"""Equal networks have equal numbers, whichever objects they share; nested skips are independent."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Attention,
    Dense,
    Embed,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
)

X = di.inputs.points(np.random.default_rng(0).normal(size=(2, 6)))


def branch(first, last):
    layers = Sequential(first, Dense(6), RMSNorm(), Dense(6), last)
    return Sequential(Dense(6), Residual(layers), Dense(1))


@pytest.mark.slow
def test_one_object_used_twice_has_the_gradients_of_two_equal_ones():
    once = Activation("tanh")
    networks = branch(once, once), branch(Activation("tanh"), Activation("tanh"))
    assert networks[0] == networks[1]
    first, second = (
        di.simulate(net, di.quantities.ntk, X, num_seeds=3, keep_samples=True) for net in networks
    )
    np.testing.assert_array_equal(first.samples, second.samples)
    # by automatic differentiation of the explicit network in float64, seed 0
    np.testing.assert_allclose(first.samples[0, 0], [0.765081, -0.039800, 2.916544], rtol=1e-4)


@pytest.mark.slow
def test_nested_skips_draw_independent_weights():
    # E |x'|^2 = 3 |x|^2 for three independent maps; 5 |x|^2 with one map for both skips
    x = np.random.default_rng(0).normal(size=(1, 4))
    net = Residual(Residual(Dense(4), skip=Dense(4)), skip=Dense(4))
    measured = di.simulate(net, di.quantities.nngp, di.inputs.points(x), num_seeds=20_000)
    z = lambda factor: abs(measured.mean[0, 0] - factor * np.mean(x**2))
    assert z(3.0) < 5 * measured.standard_error[0, 0] < z(5.0)


def test_laws_of_attention_that_differ_are_refused_by_path():
    attention = Attention(2, query_law=di.uniform(1.0))
    with pytest.raises(SpecError, match=r"attention \(Attention\): different laws"):
        Sequential(Embed(8), Repeat(Sequential(attention, Dense(8)), 2), Dense(1))


def test_embeddings_have_independent_entries():
    with pytest.raises(SpecError, match="independent entries"):
        Embed(4, di.matrix_normal(np.eye(4), np.eye(4)))
