"""Moments of one column of two rows against quadrature and Monte Carlo of an independent code."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.activations import as_activation
from deepinit.theory.layers import homogeneous, kinked
from deepinit.theory.layers.columns import ColumnLaw, Mask, column_moments
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.tape import Tape

VARIANCE = np.array([1.0, 0.3, 0.8])
LAWS = {
    "tanh": ColumnLaw(((as_activation("tanh"),),)),
    "gelu": ColumnLaw(((as_activation("gelu"),),)),
    "gate": ColumnLaw(((), (as_activation("silu"),))),
    "dropout": ColumnLaw(((as_activation("tanh"),),), (Mask(0.8, (0, 1)),)),
}
# E F0F1, E F0, Var F0F1, Cov(F0F0, F0F1), Cov(F0F1, F0)
EXPECTED = {
    "tanh": (0.118112460, 0.0, 0.133184725, 0.035604257, 0.0),
    "gelu": (0.150966449, 0.282094792, 0.291705716, 0.345852258, 0.184580165),
    "gate": (0.034832924, 0.0, 0.203993239, 0.230897623, 0.0),
    "dropout": (0.118112460, 0.0, 0.215948319, 0.070185118, 0.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_moments(name):
    law = LAWS[name]
    with host_float64():
        found = jax.jit(lambda variance: column_moments(variance, law, Tape(60)))(VARIANCE)
        c = found.covariance()
    given = found.second[1], found.first[0], c[1, 1], c[0, 1], c[1, 3]
    np.testing.assert_allclose(given, EXPECTED[name], rtol=0, atol=6e-10)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_kinked_rule_and_closed_form_agree():
    """ReLU; derivatives of reparametrised nodes lose the kinks' second derivatives."""
    with host_float64():
        near = jnp.array([[1.0, 0.4, 0.7]])
        value, gradient, hessian, nodes = kinked.pair(lambda z: jnp.maximum(z, 0), (0.0,), near)
        closed = lambda kernel: homogeneous.product((0.0, 1.0), kernel)
        np.testing.assert_allclose(value[0], closed(near[0]), rtol=1e-13)
        np.testing.assert_allclose(gradient[0], jax.grad(closed)(near[0]), rtol=1e-12)
        np.testing.assert_allclose(hessian[0], jax.hessian(closed)(near[0]), atol=1e-12)
        np.testing.assert_allclose(hessian[0, 1, 1], 0.216582, atol=1e-6)
        phi_a, phi_b, weights = (part[0] for part in nodes)
        products = homogeneous.products((0.0, 1.0), near)[0]
        np.testing.assert_allclose((phi_a * phi_b) ** 2 @ weights, products[1, 1], rtol=1e-12)
