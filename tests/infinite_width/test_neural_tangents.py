"""Kernels of finite networks through neural-tangents: split layers, integers, functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.infinite_width.empirical import empirical_ntk
from deepinit.infinite_width.neural_tangents import neural_tangents

X = np.random.default_rng(0).standard_normal((3, 4))
P = np.random.default_rng(1).standard_normal((4, 6))


def _glu(p, x):
    return jax.nn.glu(x @ p)


def _uneven(p, x):
    left, _, right = jnp.array_split(x @ p, [1, 4], axis=1)
    return jnp.sin(left) * right


def _unstacked(p, x):
    one, other, _ = jnp.unstack((x @ p).reshape(len(x), 3, 2), axis=1)
    return jnp.tanh(one) * other


@pytest.mark.parametrize("fn", [_glu, _uneven, _unstacked])
@pytest.mark.slow_cases("_glu")
def test_n1_structured_derivatives_take_split_and_unstack(fn):
    structured = empirical_ntk(fn, P, X)
    contracted = empirical_ntk(fn, P, X, implementation="JACOBIAN_CONTRACTION")
    np.testing.assert_allclose(structured, contracted, rtol=1e-12, atol=1e-12)


def test_n3_integers_are_neither_cast_nor_trained():
    table = np.random.default_rng(2).standard_normal((5, 2))
    tokens = np.array([[0, 1], [1, 1], [4, 2]])
    params = {"table": table, "power": np.array(2)}

    def apply_fn(p, x):
        return jnp.sum(p["table"][x], axis=(1, 2))[:, None] * p["power"]

    counts = np.stack([np.bincount(row, minlength=5) for row in tokens])
    expected = 4.0 * 2.0 * counts @ counts.T  # power^2, times two columns
    np.testing.assert_allclose(empirical_ntk(apply_fn, params, tokens), expected, rtol=1e-12)


@pytest.mark.slow
def test_attention_with_positional_embeddings_under_jit():
    stax = neural_tangents().stax

    def kernel(distance_decay):
        attention = stax.GlobalSelfAttention(
            1,
            1,
            1,
            1,
            attention_mechanism="IDENTITY",
            linear_scaling=False,
            pos_emb_type="SUM",
            pos_emb_decay_fn=lambda distance: jnp.exp(-distance_decay * distance),
        )
        return stax.serial(stax.Conv(1, (2, 2), padding="SAME"), attention)[2]

    x = jax.random.normal(jax.random.key(0), (2, 2, 2, 1))
    kernels = [
        np.asarray(jax.jit(kernel(decay), static_argnums=(1, 2))(x, None, "nngp"))
        for decay in (0.1, 3.0)
    ]
    assert np.isfinite(kernels).all()
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-2
