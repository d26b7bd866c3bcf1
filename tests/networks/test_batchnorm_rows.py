"""BatchNorm on rows: the inputs of one measurement, with partners, are the batch."""

import jax
import numpy as np
import pytest
from reference_network import Reference, assert_one_law, explicit_matches, outputs, pair_rows

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    BatchNorm,
    Dense,
    Gate,
    LayerNorm,
    Residual,
    Sequential,
    Shape,
)
from deepinit.networks.backward import random_gradients
from deepinit.networks.forward import random_forward
from deepinit.networks.interpreter import Draw, apply
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import frames_at, points_alone

VECTORS, SEQUENCE = Shape((), 4), Shape((3,), 2)
BIAS = di.normal(0.3, "absolute")


@pytest.mark.exhaustive_cases("shape0")
@pytest.mark.slow
@pytest.mark.parametrize("shape", [VECTORS, SEQUENCE])
def test_values_cotangents_and_kernel_are_those_of_autodiff(shape):
    # every output depends on every input: gradients by the whole batch
    branch = Sequential(BatchNorm(), Activation("tanh"), Dense(4))
    net = Sequential(
        Dense(4, bias=BIAS), BatchNorm(eps=0.1), Activation("gelu"), Residual(branch), Dense(2)
    )
    explicit_matches(net, shape)


def batch_norm(points, partners, eps):
    """[rows, positions, channels] by NumPy."""
    rows = np.concatenate([points, partners])
    mean, variance = rows.mean((0, 1)), rows.var((0, 1))
    return (points - mean) / np.sqrt(variance + eps), (partners - mean) / np.sqrt(variance + eps)


@pytest.mark.parametrize("size", [1e-6, 1e-2, 0.1, 1.0])
@pytest.mark.parametrize("num", [1, 4])
def test_points_and_displacements_are_of_one_batch(size, num):
    rng, shape, eps = np.random.default_rng(1), Shape((2,), 8), 1e-3 * size**2
    x = np.float32(rng.normal(size=(num, shape.size)))
    rows = pair_rows(x, np.float32(size * rng.normal(size=(num, shape.size))))
    # one point alone: its positions are the batch, with those of its partner
    d = np.exp(np.float64(rows.displacement_scales))[:, None] * np.float64(rows.displacements)
    x = np.exp(np.float64(rows.point_scales))[:, None] * np.float64(rows.points)
    d = np.exp(np.float64(rows.point_scales))[:, None] * d
    first, second = batch_norm(x.reshape(num, 2, -1), (x + d).reshape(num, 2, -1), eps)
    after = apply(BatchNorm(eps=eps), rows, None, shape, Draw(None, None, None, 1)).rows
    step = np.exp(np.float64(after.displacement_scales))[:, None] * np.float64(after.displacements)
    np.testing.assert_allclose(after.points, first.reshape(num, -1), rtol=1e-4, atol=1e-5)
    expected = (second - first).reshape(num, -1)
    error = np.linalg.norm(step - expected, axis=1) / np.linalg.norm(expected, axis=1)
    assert error.max() < 1e-6


def test_a_pair_alone_becomes_plus_and_minus_one():
    x, d = np.ones((1, 3)), np.array([[1e-7, -1e-6, 2e-7]])
    rows = pair_rows(x, d)
    after = apply(BatchNorm(eps=0.0), rows, None, Shape((), 3), Draw(None, None, None, 1)).rows
    np.testing.assert_allclose(after.points, [[-1.0, 1.0, -1.0]], rtol=1e-6)
    step = np.exp(after.displacement_scales)[:, None] * after.displacements
    np.testing.assert_allclose(step, [[2.0, -2.0, 2.0]], rtol=1e-6)


@pytest.mark.slow
def test_one_step_has_the_moments_of_the_quadrature():
    # layer_rules.md 9.1: batch 3, covariance G3
    gram = np.array([[1, 0.3, 0.1], [0.3, 1, 0.5], [0.1, 0.5, 1.2]])
    rows = points_alone(np.float32(np.linalg.cholesky(gram) * np.sqrt(3)))
    exact = {
        "linear": [1.11150676, -0.45539729, -0.65610947, 0.84389053, -0.38849324, 1.04460271],
        "relu": [0.55575338, 0.05724495, 0.04071161, 0.42194527, 0.06521903, 0.52230135],
    }
    upper, num, width = np.triu_indices(3), 20_000, 20
    for phi, values in exact.items():
        net = Sequential(Dense(width), BatchNorm(eps=0.0), Activation(phi))
        found = outputs(net, rows, "conditional", num, Shape((), 3))
        grams = (np.einsum("sin,sjn->sij", found, found) / width)[:, *upper]
        error = grams.std(0) / np.sqrt(num)
        assert np.all(np.abs(grams.mean(0) - values) < 5 * error)
        assert np.max(np.abs(grams.mean(0) - 0.98 * np.array(values)) / error) > 5


@pytest.mark.exhaustive
@pytest.mark.slow
def test_conditional_and_explicit_maps_have_one_law():
    x = np.random.default_rng(3).normal(size=(2, 4))
    rows = pair_rows(x, 0.3 * x[::-1])
    net = Sequential(Dense(3), BatchNorm(), Activation("tanh"), Dense(2))
    rival = Sequential(Dense(3), LayerNorm(), Activation("tanh"), Dense(2))
    drawn = [
        outputs(net, rows, "explicit", 8000, VECTORS),
        outputs(net, rows, "conditional", 8000, VECTORS, key=1),
        outputs(rival, rows, "conditional", 8000, VECTORS, key=2),
    ]
    assert_one_law(*drawn)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_kernels_of_conditional_and_explicit_maps_have_one_law():
    # 2 functions of a batch of 3: 6 cotangents go back together, most of them 0 at first
    x, num = np.float32(np.random.default_rng(3).normal(size=(3, 4))), 4000

    def kernels(norm, name, key):
        net = Sequential(
            Dense(8, bias=BIAS), norm, Gate("silu"), Dense(3), norm, Activation("tanh"), Dense(2)
        )
        one = lambda key: (
            random_gradients(net, points_alone(x), key, np.eye(2), (0, 2), linear_map=name).ntk
        )
        keys = jax.random.split(jax.random.key(key), num)
        return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)

    drawn = [
        kernels(BatchNorm(), "explicit", 0),
        kernels(BatchNorm(), "conditional", 1),
        kernels(LayerNorm(), "conditional", 2),
    ]
    assert_one_law(*drawn)


def test_one_row_and_tangents_are_refused_by_path():
    net = Sequential(Dense(3), Residual(Sequential(BatchNorm(), Dense(3))), Dense(2))
    x = np.ones((1, 4), np.float32)
    run = lambda rows: random_forward(
        net, rows, jax.random.key(0), lambda state: (), linear_map=explicit, shape=VECTORS
    )
    with pytest.raises(SpecError, match=r"mlp.*batchnorm: a batch of one row"):
        run(points_alone(x))
    with pytest.raises(SpecError, match="tangents through BatchNorm"):
        run(
            frames_at(
                np.ones((2, 4), np.float32), np.eye(4, dtype="float32")[None, :1].repeat(2, 0)
            )
        )


def test_the_reference_is_the_formula():
    layer, rng = BatchNorm(), np.random.default_rng(0)
    x = rng.normal(size=(4, 6))
    reference = Reference(layer, Shape((3,), 2), jax.random.key(0))
    found = reference(reference.parameters, x).reshape(4, 3, 2)
    first, _ = batch_norm(x.reshape(4, 3, 2), x.reshape(4, 3, 2)[:0], 1e-5)
    np.testing.assert_allclose(found, first, rtol=1e-5)
