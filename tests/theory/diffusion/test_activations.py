import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.activations import BUILTIN, leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import (
    diffusion_constants,
    inner_limit,
    may_explode,
    mean_square_moments,
)

ROOT_PI = math.sqrt(math.pi)
TABLE = {
    "tanh": (1.0, 0.0, -2.0),
    "sin": (1.0, 0.0, -1.0),
    "erf": (2.0 / ROOT_PI, 0.0, -4.0 / ROOT_PI),
    "linear": (1.0, 0.0, 0.0),
    "silu": (0.5, 0.5, 0.0),
    "gelu": (0.5, math.sqrt(2.0 / math.pi), 0.0),
    "x_tanh": (0.0, 2.0, 0.0),
    "x2_tanh": (0.0, 0.0, 6.0),
}


def shifted_softplus(x):
    return jax.nn.softplus(x) - math.log(2.0)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.exhaustive_cases("gelu")
def test_table_of_constants_and_automatic_derivatives(name):
    assert diffusion_constants(name) == pytest.approx(TABLE[name], abs=1e-15)
    builtin = BUILTIN[name]()
    # a user's function goes through automatic differentiation
    assert diffusion_constants(lambda x: builtin.fn(x)) == pytest.approx(TABLE[name], abs=1e-12)


@pytest.mark.slow
def test_constants_of_users_functions():
    assert diffusion_constants(shifted_softplus) == pytest.approx((0.5, 0.25, 0.0), abs=1e-14)
    assert diffusion_constants(lambda x: 3.0 * x - 2.0 * x**2 + x**3) == pytest.approx(
        (3.0, -4.0, 6.0), abs=1e-14
    )
    assert diffusion_constants(leaky_relu(1.0)) == (1.0, 0.0, 0.0)
    assert diffusion_constants(leaky_relu(1.0)) != diffusion_constants("tanh")


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("softplus", "minus 0.693147"),
        ("sigmoid", "minus 0.5"),
        (jnp.cos, "minus 1"),
        ("relu", "not smooth at 0"),
        ("absolute", "not smooth at 0"),
        (leaky_relu(0.1), "not smooth at 0"),
        (jax.nn.relu, "not smooth at 0"),
        (lambda x: x * jnp.abs(x), "not smooth at 0"),
        (lambda x: jnp.abs(x) ** 2.5, "not smooth at 0"),
    ],
)
def test_outer_activations_without_a_limit_are_refused(activation, message):
    with pytest.raises(SpecError, match=message):
        diffusion_constants(activation)


@pytest.mark.parametrize(
    ("outer", "inner", "verdict"),
    [
        ("tanh", "linear", False),
        ("tanh", "relu", False),
        ("silu", "linear", True),
        ("silu", "tanh", False),
        ("gelu", "relu", True),
        ("silu", lambda x: x / (1.0 + x * x) ** 0.25, False),
        ("tanh", "x2_tanh", True),
        ("tanh", jnp.sinh, True),
    ],
)
def test_when_the_diffusion_may_explode(outer, inner, verdict):
    assert may_explode(outer, inner) is verdict


@pytest.mark.parametrize("inner", ["x2_tanh", jnp.sinh])
def test_inner_activations_that_grow_too_fast_are_refused(inner):
    with pytest.raises(SpecError, match="grow"):
        inner_limit("tanh", inner, np.eye(2), 1.0)


def test_curvature_is_refused_where_the_diffusion_must_be_linear():
    with pytest.raises(SpecError, match=r"phi''\(0\) = 0.5"):
        mean_square_moments("silu", 8, 1.0, 1.0)
