"""Quadratures use the kinks of an activation, or refuse it."""

import numpy as np
import pytest
from scipy.integrate import quad

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.explosions import _mean_squares
from deepinit.core.gaussian import values
from deepinit.infinite_width.neural_tangents.layers import stax_activation


@pytest.mark.parametrize(
    "psi",
    [di.relu, di.leaky_relu(0.3), di.linear, di.selu, di.relu6, di.hard_swish, di.tanh],
    ids=repr,
)
def test_mean_squares_of_inner_activations(psi):
    means, variances = np.array([[0.3, -1.0, 2.5, 0.0]]), np.array([[0.5, 1.0, 4.0, 0.0]])

    def density(x, mean, std):
        z = (x - mean) / std
        return float(
            values(psi, np.array(x)) ** 2 * np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi) / std
        )

    expected = [
        quad(
            density,
            mean - 9 * std,
            mean + 9 * std,
            (mean, std),
            points=psi.kinks or None,
            epsabs=1e-12,
            limit=200,
        )[0]
        for mean, std in zip(means[0], np.sqrt(variances[0]), strict=True)
        if std
    ]
    found = _mean_squares(psi, means, variances)[0]
    np.testing.assert_allclose(found[:3], expected, rtol=1e-9)
    assert found[3] == pytest.approx(float(values(psi, np.zeros(1))[0] ** 2), abs=1e-15)


@pytest.mark.parametrize("activation", [di.selu, di.relu6, di.hard_swish, di.elu(1.0)], ids=repr)
def test_neural_tangents_refuses_kinks_that_it_would_integrate_across(activation):
    with pytest.raises(SpecError, match="ignores kinks"):
        stax_activation(activation)
