"""Elementwise parts of programs, compared with the built-in activations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.activation import values
from deepinit.core.builtin_activations import BUILTIN
from deepinit.deferral.program import flatten
from deepinit.deferral.simplify import simplified
from deepinit.reading.constants import folded
from deepinit.reading.functions import known_activation
from deepinit.reading.laws import makers_of
from deepinit.reading.steps import elementwise, steps


def steps_of(function, shape=(3, 4)):
    closed = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, "float32"))
    program = simplified(folded(simplified(flatten(closed))))
    return elementwise(steps(makers_of(program), program.inputs, program.outputs[0]))


@pytest.mark.parametrize("name", sorted(set(BUILTIN) - {"linear", "celu"}))
def test_every_builtin_is_recognized_by_its_values(name):
    activation = BUILTIN[name]()
    assert known_activation(steps_of(activation)) == activation


def test_families_with_their_parameter():
    for activation in (di.elu(0.7), di.leaky_relu(0.3), di.leaky_relu(-0.1)):
        assert known_activation(steps_of(activation)) == activation
    assert known_activation(steps_of(di.celu(0.7))) is None  # read as a function of one's own
    assert known_activation(steps_of(jnp.sqrt)) is None  # not finite on the left


NEAR = {
    "gelu of the other form": lambda x: 0.5 * x * (1 + jnp.tanh(0.79788 * (x + 0.0447 * x**3))),
    "a smoothed relu": lambda x: jnp.sqrt(x * x + 1e-4) / 2 + x / 2,
    "a kink at 1e-3": lambda x: jnp.maximum(x, 1e-3),
    "relu with a large cap": lambda x: jnp.clip(x, 0, 11.0),
    "tanh of 1.0001 x": lambda x: jnp.tanh(1.0001 * x),
}


@pytest.mark.parametrize("name", NEAR)
def test_near_misses_are_not(name):
    assert known_activation(steps_of(NEAR[name])) is None


def test_steps_of_other_shapes_are_equal():
    own = lambda x: jnp.where(x > 0.5, jnp.tanh(x), 0.25 * x)
    first, second = steps_of(own), steps_of(own, (2, 5, 7))
    assert first == second
    assert hash(first) == hash(second)
    assert first != steps_of(lambda x: jnp.where(x > 0.5, jnp.tanh(x), 0.26 * x))
    at = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(values(di.from_function(first), at), own(at), rtol=1e-6, atol=1e-7)
