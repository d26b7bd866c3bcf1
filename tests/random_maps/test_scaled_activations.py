"""Activations of vectors of any size, against the function itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import activations
from deepinit.core.errors import SpecError
from deepinit.random_maps.iterates import forward_iterates
from deepinit.random_maps.scaled import Scaled, to_array
from deepinit.random_maps.scaled_activations import scaled_activation, scaled_derivative

NAMES = "relu absolute linear tanh erf sin gelu silu softplus sigmoid x_tanh x2_tanh"
EVERY = [getattr(activations, name) for name in NAMES.split()]
EVERY += [activations.leaky_relu(0.1), activations.from_function(jax.nn.selu)]


@pytest.mark.parametrize("activation", EVERY, ids=str)
@pytest.mark.slow_cases("gelu", "leaky_relu(negative_slope=0.1)", "relu", "selu", "tanh")
def test_scaled_activation_agrees_with_the_function_across_its_regimes(activation):
    vector = np.array([0.9, -0.6, 0.3, -0.01])
    with jax.enable_x64(True):
        # float32 switches at -24 and 63; float64 is the reference
        for exponent in (-30, -20, -5, 0, 3, 20):
            z32 = Scaled(jnp.asarray(vector, jnp.float32), jnp.int32(exponent))
            z64 = jnp.asarray(vector, jnp.float32).astype(float) * 2.0**exponent
            scale = np.abs(np.asarray(activation(z64))).max()
            np.testing.assert_allclose(
                to_array(scaled_activation(activation, z32)),
                activation(z64),
                rtol=1e-3,
                atol=2e-6 * scale,
            )
            slopes = np.asarray(activation.derivative(z64))
            tolerance = (
                2e-6 * np.abs(slopes).max()
                if activation.name != "sin"
                else 1e-5 * 2.0 ** max(exponent, 0)
            )
            np.testing.assert_allclose(
                to_array(scaled_derivative(activation, z32)), slopes, rtol=1e-3, atol=tolerance
            )


def test_activations_that_follow_no_power_at_zero_are_refused():
    root = lambda x: jnp.sqrt(jnp.abs(x))
    with pytest.raises(SpecError, match="has the derivative inf"):
        forward_iterates(np.eye(2)[None], activations.from_function(root), np.ones(2))
