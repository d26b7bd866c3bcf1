"""Gradients, blocks and finiteness of the infinite-width recursion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.infinite_width import recursion
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers, kernel_scan

ROWS = [[[1, 2], [1, 2]], [[1, 2], [2, 4]], [[1, 2], [0, 0]]]
R04 = {  # of the entry (1, 2) after three layers with weight variances 2, by rows
    "nngp": [[[1, 2], [1, 2]], [[2, 4], [1, 2]]],
    "ntk": [[[3, 6], [3, 6]], [[6, 12], [3, 6]]],
}


def _entry(x, weight_vars):
    """The entries (1, 2) of both kernels of a ReLU network without biases."""
    kernels = kernel_scan(di.relu, x, weight_vars, jnp.zeros_like(weight_vars))
    return {name: getattr(kernels, name)[-1][0, 1] for name in ("nngp", "ntk")}


@pytest.mark.parametrize("mode", [jax.jacrev, pytest.param(jax.jacfwd, marks=pytest.mark.slow)])
@pytest.mark.exhaustive
def test_r04_n2_gradients_at_collinear_and_zero_rows(mode):
    with host_float64():
        jacobians = jax.jit(jax.vmap(mode(_entry, (0, 1)), (0, None)))
        found = jax.tree.map(np.asarray, jacobians(jnp.array(ROWS, float), jnp.full(3, 2.0)))
    for name, right in R04.items():
        of_rows, of_variances = found[name]
        np.testing.assert_allclose(of_rows[:2], right, atol=1e-12)
        assert np.isfinite(of_rows).all()
        np.testing.assert_array_equal(of_rows[2, 0], 0.0)  # the row beside a zero row
        assert np.isfinite(of_variances).all()
    kernel = np.array(
        [5.0, 10.0, 0.0]
    )  # w x.x' / n_0, w = 2, kept by He weights; proportional to every variance
    np.testing.assert_allclose(found["nngp"][1], np.outer(kernel, np.full(3, 0.5)), rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [di.tanh, di.selu, di.relu], ids=repr)
@pytest.mark.exhaustive
def test_second_derivatives(activation):
    x = np.array([[1.0, 2.0], [0.5, -0.3]])
    direction = np.array([[0.3, -0.7], [1.1, 0.4]])

    def ntk(x):
        return kernel_scan(activation, x, jnp.full(2, 1.5), jnp.full(2, 0.1)).ntk[-1][0, 1]

    with host_float64():
        slope = jax.jit(lambda x: jax.jvp(ntk, (x,), (jnp.asarray(direction),))[1])
        found = jax.jit(jax.grad(slope))(jnp.asarray(x))
        gradient = jax.jit(jax.grad(ntk))
        expected = (gradient(x + 1e-5 * direction) - gradient(x - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_n5_blocks_of_a_kernel_equal_the_whole(monkeypatch):
    x = np.random.default_rng(0).standard_normal((5, 3))
    net = di.MLP((4, 4), bias_law=di.normal(0.1, "absolute"), output_width=1)
    whole = kernel_layers(net, x)
    monkeypatch.setattr(recursion, "_BLOCK", 2)
    for block, full in zip(kernel_layers(net, x), whole, strict=True):
        np.testing.assert_allclose(block, full, rtol=1e-13)
        np.testing.assert_array_equal(block, block.swapaxes(1, 2))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_n5_the_last_layer_alone():
    x = np.random.default_rng(0).standard_normal((5, 3))
    net = di.MLP((4, 4), output_width=1)
    np.testing.assert_allclose(
        kernel_layers(net, x, last_only=True).ntk[0], kernel_layers(net, x).ntk[-1], rtol=1e-13
    )
