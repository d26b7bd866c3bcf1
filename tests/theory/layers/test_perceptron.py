"""Perceptrons of layers against `theory.kernel_corrections`, an independent recursion."""

import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.layers import Shape, program
from deepinit.theory.kernel_corrections import kernel_corrections
from deepinit.theory.layers.expansion import first_order

ROWS = np.random.default_rng(0).normal(size=(1, 2, 7))


def entries(gram, mean):
    del mean
    return jnp.stack([gram[0, 0], gram[0, 1], gram[1, 1]])


@pytest.mark.exhaustive_cases("tanh-1.5-0.1")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("phi", "weight_var", "bias_var"), [("tanh", 1.5, 0.1), ("gelu", 1.8, 0.05), ("relu", 2.0, 0.1)]
)
def test_kernels(phi, weight_var, bias_var):
    widths = (12, 12, 12)
    laws = di.normal(weight_var), di.normal(bias_var, "absolute")
    layers = [di.layers.Dense(12, *laws), di.layers.Activation(phi)] * 3
    found = first_order(program(di.layers.Sequential(*layers), Shape((), 7)), ROWS, entries)
    kernel = bias_var + weight_var * ROWS[0] @ ROWS[0].T / 7
    known = kernel_corrections(phi, kernel, widths, weight_var, bias_var)
    after = np.s_[1::2, 0]
    infinite = bias_var + weight_var * found.infinite[after]
    variance = weight_var**2 * found.variance[after]
    np.testing.assert_allclose(infinite, known.kernel, rtol=1e-10)
    np.testing.assert_allclose(
        weight_var * found.shift[after], known.kernel_shift, rtol=1e-10, atol=1e-14
    )
    own = np.diagonal(known.kernel_covariance, axis1=1, axis2=2)
    np.testing.assert_allclose(variance, own, rtol=1e-10)
    assert (found.ratio >= 0).all()
