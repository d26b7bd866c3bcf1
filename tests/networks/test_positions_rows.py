"""Position vectors: what is added, to which rows, and their part of the tangent kernel."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_mean

import deepinit as di
from deepinit.core.layers import Activation, Dense, Positions, RMSNorm, Sequential, Shape
from deepinit.networks.backward import random_gradients
from deepinit.networks.forward import random_draw
from deepinit.networks.interpreter import apply
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone

SHAPE, RNG = Shape((3,), 4), np.random.default_rng(0)
DRAW = random_draw(FUNCTIONS["auto"], "highest", 1)


def rows_of(points, log_scale):
    """Two points with a partner and a tangent."""
    rows = points_alone(jnp.asarray(points, "float32"))
    return dataclasses.replace(
        rows,
        point_scales=jnp.full(2, log_scale),
        displacements=jnp.asarray(RNG.normal(size=points[:1].shape), "float32"),
        displacement_scales=jnp.array([-20.0]),
        partner_scales=jnp.zeros(1),
        events=jnp.zeros(1, jnp.int8),
        bases=(1,),
        tangents=jnp.asarray(RNG.normal(size=(1, 1, SHAPE.size)), "float32"),
        log_norm_growths=jnp.zeros((1, 1)),
        frame_bases=(0,),
    )


@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_one_vector_per_position_is_added_to_points_alone(kind):
    points, log_scale = RNG.normal(size=(2, SHAPE.size)), -1.5
    rows, key = rows_of(points, log_scale), jax.random.key(0)
    after = apply(Positions(kind), rows, key, SHAPE, DRAW).rows
    added = np.exp(log_scale) * (np.asarray(after.points) - points)
    np.testing.assert_allclose(added[0], added[1], atol=1e-6)
    for name in ("displacements", "displacement_scales", "tangents", "log_norm_growths"):
        np.testing.assert_array_equal(getattr(after, name), getattr(rows, name))
    expected = np.zeros((3, 4))
    if kind == "learned":
        law = di.normal(1.0, "absolute")
        expected = law.sample(jax.random.fold_in(key, 0), (4, 3)).T
    else:
        for t in range(3):
            expected[t] = [np.sin(t), np.cos(t), np.sin(t / 100), np.cos(t / 100)]
        np.testing.assert_allclose(np.mean(expected**2, axis=1), 0.5)
    np.testing.assert_allclose(added[0].reshape(3, 4), expected, atol=1e-6)


def test_learned_positions_have_the_variance_of_their_law():
    law, rows = di.normal(0.7, "absolute"), points_alone(jnp.ones((1, SHAPE.size)))
    draw = lambda key: apply(Positions("learned", law), rows, key, SHAPE, DRAW).rows.points[0] - 1
    values = np.asarray(jax.vmap(draw)(jax.random.split(jax.random.key(2), 4000)), float)
    products = values[:, :, None] * values[:, None, :]
    assert_mean(products, 0.7 * np.eye(SHAPE.size), rejects=np.eye(SHAPE.size))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["learned", "sinusoidal"])
def test_the_tangent_kernel_sums_over_weights_and_positions(kind):
    law = di.normal(0.7, "absolute") if kind == "learned" else None
    layers = Positions(kind, law), RMSNorm(0.1, gain=False), Dense(5), Activation("tanh"), Dense(1)
    net, key, points = Sequential(*layers), jax.random.key(4), (0, 1, 1)
    outputs = np.array([0, 2, 1])  # the position of each function

    @jax.jit
    def simulated(x):
        functions = jnp.eye(3, dtype=x.dtype)[outputs]
        return random_gradients(
            net, points_alone(x), key, functions, points, linear_map="explicit", shape=SHAPE
        ).ntk

    @jax.jit
    def by_hand(x):
        fold, unit = jax.random.fold_in, di.normal(1.0, "absolute")
        draw = lambda number, shape: unit.sample(fold(fold(key, number), 0), shape, dtype=x.dtype)
        weights = draw(0, (4, 3)), draw(2, (5, 4)), draw(4, (1, 5))

        def function(weights, x):
            vectors, first, last = weights
            x = x.reshape(3, 4)
            x = x + (np.sqrt(0.7) * vectors.T if kind == "learned" else sinusoids())
            x = x / jnp.sqrt(jnp.mean(x**2, axis=1, keepdims=True) + 0.1)
            return (jnp.tanh(x @ first.T / 2) @ last.T / np.sqrt(5))[:, 0]

        jacobians = jax.vmap(jax.jacrev(function), (None, 0))(weights, x)
        chosen = np.asarray(points), outputs
        rows = jnp.concatenate([part[chosen].reshape(3, -1) for part in jacobians], axis=1)
        return rows @ rows.T

    def sinusoids():
        angles = np.outer(np.arange(3), [1, 0.01])
        return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(3, 4)

    with jax.enable_x64(True):
        x = jnp.asarray(np.random.default_rng(5).normal(size=(2, SHAPE.size)))
        np.testing.assert_allclose(simulated(x), by_hand(x), rtol=1e-10)
