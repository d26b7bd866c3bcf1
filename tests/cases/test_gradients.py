"""Gradients of the infinite-width recursion at equal, parallel, opposite and zero rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.infinite_width import recursion
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers, kernel_scan

QUICK = [di.absolute, di.linear, di.leaky_relu(0.2)]
SLOW = [pytest.param(activation, marks=pytest.mark.slow) for activation in (di.tanh, di.erf, di.gelu, di.silu)]
R04 = [
    ([[1, 2], [1, 2]], "nngp", [[1, 2], [1, 2]]),
    ([[1, 2], [1, 2]], "ntk", [[3, 6], [3, 6]]),
    ([[1, 2], [2, 4]], "nngp", [[2, 4], [1, 2]]),
    ([[1, 2], [2, 4]], "ntk", [[6, 12], [3, 6]]),
]


def _entry(activation, name, bias_var=0.0, depth=3):
    def entry(x, weight_vars=None):
        weight_vars = jnp.full(depth, 2.0) if weight_vars is None else weight_vars
        kernels = kernel_scan(activation, x, weight_vars, jnp.full(depth, bias_var, weight_vars.dtype))
        return getattr(kernels, name)[-1][0, 1]

    return entry


@pytest.mark.parametrize(("rows", "name", "right"), R04)
@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd])
def test_r04_gradients_at_collinear_rows(rows, name, right, mode):
    with host_float64():
        found = jax.jit(mode(_entry(di.relu, name)))(jnp.array(rows, float))
    np.testing.assert_allclose(found, right, atol=1e-12)


def test_r04_a_zero_row_leaves_the_other_without_gradient():
    with host_float64():
        found = jax.grad(_entry(di.relu, "nngp"))(jnp.array([[1.0, 2.0], [0.0, 0.0]]))
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0], 0.0)


@pytest.mark.parametrize("activation", QUICK + SLOW)
@pytest.mark.parametrize("rows", [[[1, 2], [1, 2]], [[1, 2], [-1, -2]], [[1, 2], [0, 0]]])
def test_r04_gradients_equal_finite_differences(activation, rows):
    if activation in (di.absolute, di.leaky_relu(0.2)) and not np.any(rows[1]):
        pytest.skip("no derivative at a zero row")
    with host_float64():
        x, step = jnp.array(rows, float), 1e-5
        entry = jax.jit(_entry(activation, "ntk", depth=2))
        found = jax.jit(jax.grad(_entry(activation, "ntk", depth=2)))(x)
        steps = step * np.eye(4).reshape(4, 2, 2)
        expected = [(entry(x + h) - entry(x - h)) / (2 * step) for h in steps]
    np.testing.assert_allclose(np.ravel(found), expected, atol=2e-8)


def test_n2_hyperparameters_at_equal_rows():
    with host_float64():
        x = jnp.array([[1.0, 0.0], [1.0, 0.0]])
        found = jax.grad(_entry(di.relu, "nngp"), 1)(x, jnp.full(3, 2.0))
    np.testing.assert_allclose(found, 0.5, rtol=1e-12)  # K = 1 is proportional to every variance


def test_blocks_of_a_kernel_equal_the_whole(monkeypatch):
    x = np.random.default_rng(0).standard_normal((11, 3))
    net = di.MLP((4, 4), bias_law=di.normal(0.1, "absolute"), output_width=1)
    whole = kernel_layers(net, x)
    monkeypatch.setattr(recursion, "_BLOCK", 4)
    for one, other in zip(kernel_layers(net, x), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
        np.testing.assert_array_equal(one, one.swapaxes(1, 2))
    np.testing.assert_array_equal(kernel_layers(net, x, last_only=True).ntk[0], kernel_layers(net, x).ntk[-1])


def test_a_limit_that_is_not_finite_is_refused():
    with pytest.raises(SpecError, match="not finite from layer"):
        kernel_layers(di.MLP((4,) * 400, weight_law=di.normal(200.0)), np.eye(2))
