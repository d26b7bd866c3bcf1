import math

import jax
import jax.numpy as jnp
import pytest

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.condensation import multiplicity


@pytest.mark.parametrize(
    ("activation", "p", "c", "value_at_0"),
    [
        ("tanh", 1, 1.0, 0.0),
        ("erf", 1, 2.0 / math.sqrt(math.pi), 0.0),
        ("gelu", 1, 0.5, 0.0),
        ("sigmoid", 1, 0.25, 0.5),
        ("softplus", 1, 0.5, math.log(2.0)),
        (jax.nn.soft_sign, 1, 1.0, 0.0),  # second derivative jumps at 0, the first does not
        (jax.nn.elu, 1, 1.0, 0.0),
        (jax.nn.hard_sigmoid, 1, 1.0 / 6.0, 0.5),
        (lambda x: jax.nn.softplus(1000.0 * x) / 1000.0, 1, 0.5, math.log(2.0) / 1000.0),
        (lambda x: jax.nn.relu(x + 0.1), 1, 1.0, 0.1),  # a kink, but not at 0
        (lambda x: x * jnp.tanh(x), 2, 1.0, 0.0),
        (jnp.cos, 2, -0.5, 1.0),
        (lambda x: jax.nn.softplus(x) - math.log(2.0) - x / 2.0, 2, 0.125, 0.0),
        (lambda x: x - jnp.tanh(x), 3, 1.0 / 3.0, 0.0),
        (lambda x: x**2 * jnp.tanh(x), 3, 1.0, 0.0),
        (lambda x: x**3 * jnp.tanh(x), 4, 1.0, 0.0),
        (lambda x: jnp.sin(x) - x + x**3 / 6.0, 5, 1.0 / 120.0, 0.0),
    ],
)
@pytest.mark.exhaustive_cases("<lambda>-5-0.008333333333333333-0.0")
def test_known_expansions(activation, p, c, value_at_0):
    result = multiplicity(activation)
    assert result.p == p
    assert result.c == pytest.approx(c, rel=1e-12)
    assert result.value_at_0 == pytest.approx(value_at_0, abs=1e-15)
    # the two sides, from values alone
    assert result.left == pytest.approx(c, rel=1e-3)
    assert result.right == pytest.approx(c, rel=1e-3)


def test_float32_constants_of_users_are_no_value_at_zero():
    log_two = jnp.log(jnp.float32(2.0))  # rounded before any float64 scope
    assert multiplicity(lambda x: jax.nn.softplus(x) - log_two).value_at_0 == 0.0


@pytest.mark.parametrize(
    ("activation", "left", "right"),
    [
        ("relu", "0 s", "1 s"),
        (leaky_relu(0.25), "0.25 s", "1 s"),
        ("absolute", "-1 s", "1 s"),
        (jax.nn.selu, "1.758 s", "1.051 s"),  # JAX's derivative at 0 is 1.758
        (jax.nn.relu6, "0 s", "1 s"),
        (lambda x: jax.nn.relu(x) ** 3, "0 s^3", "1 s^3"),
        (lambda x: jnp.abs(x) ** 3, "-1 s^3", "1 s^3"),
    ],
)
def test_kinks_at_zero_are_refused_with_both_sides(activation, left, right):
    with pytest.raises(SpecError) as refused:
        multiplicity(activation)
    assert left in str(refused.value)
    assert right in str(refused.value)


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (lambda x: 0.0 * x + 1.0, "is constant"),
        (lambda x: x**7, "flat"),
        (lambda x: jnp.sin(x) / x, "has the value nan"),
        (jnp.log, "has the value -inf"),
        (jnp.sum, "of an array of shape"),
        ("blah", "blah"),
        (3.0, "3.0"),
    ],
)
def test_other_functions_are_refused(activation, reason):
    with pytest.raises(SpecError, match=reason):
        multiplicity(activation)
