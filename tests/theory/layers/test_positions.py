"""Token shifts, vectors of positions and dropout at order 1/width."""

import jax.numpy as jnp
import numpy as np
import pytest

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


def test_sinusoids_of_a_stream():
    stream = L.Residual(L.Sequential(L.RMSNorm(), L.Dense(WIDTH)))
    net = L.Sequential(L.Dense(WIDTH), L.Activation("tanh"), stream, L.Positions("sinusoidal"))
    with pytest.raises(SpecError, match="may depend on them"):
        check(program(net, Shape((3,), 8)))
