"""Draws on the host: keys are those of JAX, numbers those of `Law.sample` up to rounding."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.layers import Shape, program
from deepinit.diagnosis import host_draws
from deepinit.diagnosis.doors.parameters import HOST, TRACED, parameters_of
from deepinit.diagnosis.score_programs import size
from deepinit.networks.linear_layers import LinearLayer

L = di.layers


def words(key):
    return np.asarray(jax.random.key_data(key))


def test_keys_are_folded_as_jax_folds_them():
    key = jax.random.key(11)
    assert np.array_equal(host_draws.key_data(11), words(key))
    numbers = np.arange(3, dtype=np.uint32)
    folded = host_draws.fold_in(host_draws.key_data(11), numbers)
    expected = np.stack([words(jax.random.fold_in(key, int(each))) for each in numbers])
    assert np.array_equal(folded, expected)
    assert not np.array_equal(folded[1], folded[2])


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("normal", "truncated_normal")]


@pytest.mark.parametrize("name", ["uniform", *SLOW])
def test_numbers_are_those_of_the_law(name):
    keys = host_draws.fold_in(host_draws.key_data(2), np.arange(2))
    layer = LinearLayer(3, di.Law(name, 2.0), di.Law(name, 0.5, "absolute"), 1)  # 15, 3: odd
    found = host_draws.drawn(host_draws.requested(layer, 5, keys))
    for at in range(2):
        key = jax.random.wrap_key_data(keys[at])
        expected = layer.weight_law.sample(jax.random.fold_in(key, 0), (3, 5))
        np.testing.assert_allclose(found["weights"][at], expected, rtol=2e-6, atol=3e-7)
        biases = layer.bias_law.sample(jax.random.fold_in(key, 1), (3, 1))[:, 0]
        np.testing.assert_allclose(found["biases"][at], biases, rtol=2e-6, atol=3e-7)


@pytest.mark.slow
def test_parameters_of_a_network_are_those_of_simulation():
    block = L.Sequential(L.LayerNorm(), L.Attention(2), L.Activation("gelu"))
    wide = L.Dense(8, di.uniform(1.0), di.normal(0.1, "absolute"))
    net = L.Sequential(
        L.Embed(8),
        L.Positions("learned"),
        L.Repeat(L.Residual(block, None, 0.5), 2),
        L.Residual(wide, L.Dense(8, di.orthogonal(1.0)), 1.0),
        L.Dense(3),
    )
    given = program(net, Shape((4,), 5, True))
    keys = host_draws.fold_in(host_draws.key_data(0), np.arange(3))
    found = host_draws.drawn(parameters_of(given, keys, HOST))
    leaves, tree = jax.tree.flatten(found)
    expected = jax.jit(lambda key: parameters_of(given, key, TRACED))
    for at in range(3):
        own = jax.tree.leaves(expected(jax.random.wrap_key_data(keys[at])))
        for leaf, other in zip(leaves, own, strict=True):
            assert leaf[at].shape == other.shape
            np.testing.assert_allclose(leaf[at], other, rtol=2e-6, atol=3e-7)
    assert tree == jax.tree.structure(jax.eval_shape(expected, jax.random.key(0)))
    assert size(given) == sum(leaf[0].size for leaf in leaves)
    assert not np.array_equal(leaves[0][0], leaves[0][1])
