"""Token shifts, vectors of positions and dropout at order 1/width."""

import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, program
from deepinit.infinite_width.interpreter import interpret
from deepinit.theory.layers import check, first_order
from deepinit.theory.layers.precision import host_float64

L = di.layers
WIDTH = 48
INPUTS = np.random.default_rng(3).standard_normal((1, 1, 3, 8))
NETWORKS = {
    "shift after a function": (L.Activation("tanh"), L.TokenShift(0.3), L.Dense(WIDTH)),
    "shift before a function": (L.TokenShift(0.3), L.RMSNorm(), L.Activation("tanh")),
    "shift after a norm": (L.LayerNorm(gain=False), L.TokenShift(0.3), L.Activation("tanh")),
    "sinusoids": (L.Positions("sinusoidal"), L.LayerNorm(), L.Dense(WIDTH), L.Activation("gelu")),
    "learned": (L.Positions(), L.Activation("gelu"), L.Dropout(0.2)),
}


def network(name):
    return L.Sequential(L.Dense(WIDTH), *NETWORKS[name])


def features(gram, mean):
    return jnp.stack([gram[0, 0], gram[1, 2], gram[2, 2], mean[1]])


def expanded(name):
    return first_order(program(network(name), Shape((3,), 8)), INPUTS, features)


@pytest.mark.exhaustive_cases("shift before a function")
@pytest.mark.exhaustive_cases("shift after a function")
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_limit(name):
    """Values without noise are those of infinite width."""
    found = expanded(name).infinite[-1, 0]
    limit = interpret(program(network(name), Shape((3,), 8)), INPUTS[0]).output
    cov = np.asarray(limit.cov)[0, 0]
    with host_float64():
        values = features(cov, np.asarray(limit.mean)[0])
    np.testing.assert_allclose(found, values, rtol=1e-8, atol=1e-14)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_simulated():
    """ln q of tokens after every rule of this file, at 5 standard errors; the limit is rejected."""
    width = 64
    net = L.Sequential(
        *(L.Dense(width), L.Positions("sinusoidal"), L.LayerNorm(), L.Dense(width)),
        *(L.TokenShift(0.4), L.LayerNorm(), L.Activation("gelu"), L.Dropout(0.2)),
        *(L.Dense(width, di.normal(2.0)), L.Positions(), L.Activation("tanh")),
    )
    inputs, last = di.inputs.arranged(INPUTS[0, :, :2]), slice(6, None)
    predicted, limit = (
        route(net, di.quantities.log_norm, inputs) for route in (di.predict, di.infinite)
    )
    measured = di.simulate(net, di.quantities.log_norm, inputs, num_seeds=10_000)
    error = measured.standard_error + 0.5 / width**2  # the next order
    value, exact, rival = (found.mean[last] for found in (measured, predicted, limit))
    assert_value(value, error[last], exact, rejects=rival)
    spread = measured.variance_standard_error + 0.02 * measured.variance
    variance = predicted.variance[last]
    assert_value(measured.variance[last], spread[last], variance, rejects=1.25 * variance)


def test_sinusoids_of_a_stream():
    stream = L.Residual(L.Sequential(L.RMSNorm(), L.Dense(WIDTH)))
    net = L.Sequential(L.Dense(WIDTH), L.Activation("tanh"), stream, L.Positions("sinusoidal"))
    with pytest.raises(SpecError, match="may depend on them"):
        check(program(net, Shape((3,), 8)))
