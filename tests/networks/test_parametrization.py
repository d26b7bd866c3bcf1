"""NTK parametrization: same network, and neural-tangents' empirical kernel of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.infinite_width.empirical import empirical_ntk
from deepinit.networks.backward import random_gradients
from deepinit.networks.rows import points_alone

MIXED = np.array([[0.3, -1.0, 0.2], [0.5, 0.1, 0.0], [-0.4, 0.2, 0.9]])
SPECS = {
    "mlp": di.MLP((3, 3, 3), "tanh", bias_law=di.normal(0.3, "absolute"), output_width=2),
    "two layers": di.ResNet(3, 3, activation="silu", embedding_law=di.normal(1.0), output_width=1),
    "correlated": di.ResNet(
        3,
        3,
        block="shallow",
        weight_law=di.matrix_normal(MIXED @ MIXED.T, np.eye(3) + 0.5, MIXED),
        bias_law=di.vector_normal(np.eye(3)),
    ),
    "convolution": di.ConvResNet(
        (3,), 2, 2, bias_law=di.normal(0.25, "depth"), embedding_law=di.normal(1.0), output_width=1
    ),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.exhaustive
def test_neural_tangents_finds_the_tangent_kernel_of_the_backward_pass(name):
    spec, key = SPECS[name], jax.random.key(3)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)), jnp.float32)
    init, apply, *_ = di.network(spec, parametrization="ntk")
    plain_init, plain_apply, *_ = di.network(spec)
    parameters = jax.jit(init, static_argnums=1)(key, 3)
    first = lambda p, rows: jax.vmap(lambda row: apply(p, row)[:1])(rows)
    plain = jax.jit(lambda key: jax.vmap(lambda row: plain_apply(plain_init(key, 3), row)[:1])(x))
    np.testing.assert_allclose(jax.jit(first)(parameters, x), plain(key), rtol=1e-4, atol=1e-5)
    theirs = empirical_ntk(
        first, parameters, x, implementation="JACOBIAN_CONTRACTION", dtype="float32"
    )
    functions = np.eye(1, spec.output_width or spec.widths[-1]).repeat(2, 0)
    ours = jax.jit(
        lambda key: (
            random_gradients(
                spec, points_alone(x), key, functions, (0, 1), linear_map="explicit"
            ).ntk
        )
    )
    np.testing.assert_allclose(ours(key), theirs, rtol=2e-4, atol=1e-5)


def test_refusals():
    with pytest.raises(SpecError, match="standard, ntk"):
        di.network(SPECS["mlp"], parametrization="mup")


@pytest.mark.slow
def test_a_general_covariance_gives_the_same_network_in_either_parametrization():
    full = np.arange(16.0).reshape(4, 4) / 8
    spec = di.ResNet(
        2, 2, block="shallow", weight_law=di.gaussian_matrix(full @ full.T, np.ones((2, 2)))
    )
    (init, apply, *_), (plain_init, plain_apply, *_) = (
        di.network(spec, parametrization="ntk"),
        di.network(spec),
    )
    key, x = jax.random.key(0), jnp.array([0.5, -1.0])
    np.testing.assert_allclose(
        apply(init(key, 2), x), plain_apply(plain_init(key, 2), x), rtol=1e-5
    )
