"""Homogeneity is proved by operations; pieces between the points of the grid are found."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError

HOMOGENEOUS = {
    "where": (lambda x: jnp.where(x > 0, x, 0), 0.0, 1.0),
    "max": (lambda x: jnp.maximum(0.1 * x, x), 0.1, 1.0),
    "clip": (lambda x: jnp.clip(x, 0, jnp.inf), 0.0, 1.0),
    "abs": (lambda x: 0.5 * (x + jnp.abs(x)), 0.0, 1.0),
    "mask": (lambda x: x * (x > 0), 0.0, 1.0),
    "sign": (lambda x: jnp.abs(x) * jnp.sign(x) + x, 2.0, 2.0),
    "heaviside": (lambda x: x * jnp.heaviside(x, 0.0), 0.0, 1.0),
    "nested": (lambda x: -jax.nn.leaky_relu(-x, 0.25), 1.0, 0.25),
    "nan": (lambda x: jnp.nan_to_num(jax.nn.relu(x)), 0.0, 1.0),
    "piecewise": (
        lambda x: jnp.piecewise(x, [x < 0, x >= 0], [lambda t: 0 * t, lambda t: t]), 0.0, 1.0,
    ),
    "linear": (lambda x: x / 4 + x, 1.25, 1.25),
}  # fmt: skip
HIDDEN = {
    "abs": (lambda x: jnp.where(jnp.abs(x - 0.0101) < 1e-3, 5.0, x), (0.0091, 0.0111)),
    "third": (lambda x: jnp.where(jnp.abs(x - 1 / 3) < 1e-4, 0.0, x), (1 / 3 - 1e-4, 1 / 3 + 1e-4)),
    "square": (lambda x: jnp.where((x - 0.51) ** 2 < 1e-8, 5.0, jnp.tanh(x)), (0.5099, 0.5101)),
}
UNPROVED = {
    "spike": lambda x: x + 5 * jnp.exp(-(((x - 0.51) * 2e4) ** 2)),
    "piece": lambda x: jnp.where(jnp.exp(-(((x - 0.51) * 2e4) ** 2)) > 0.5, 5.0, x),
    "far": lambda x: jnp.clip(x, -1e9, 1e9),
    "loop": lambda x: jax.lax.fori_loop(0, 2, lambda _, y: 2 * y, x),
}


@pytest.mark.parametrize("name", HOMOGENEOUS)
def test_homogeneous_functions_have_slopes(name):
    fn, left, right = HOMOGENEOUS[name]
    activation = as_activation(fn)
    assert activation.slopes == (left, right)
    assert activation.kinks == (() if left == right else (0.0,))


@pytest.mark.parametrize("name", HIDDEN)
def test_pieces_between_the_points_of_the_grid_are_found(name):
    fn, kinks = HIDDEN[name]
    activation = as_activation(fn)
    np.testing.assert_allclose(activation.kinks, kinks, rtol=1e-12)
    assert activation.jumps == activation.kinks
    assert not activation.is_homogeneous


@pytest.mark.parametrize("name", UNPROVED)
def test_homogeneity_is_not_claimed_from_samples(name):
    fn = UNPROVED[name]
    with pytest.raises(SpecError, match=r"do not prove.*kinks=\(0\.01, 0\.02\)"):
        as_activation(fn)


@pytest.mark.parametrize("name", ["far", "loop"])
def test_declared_kinks_make_a_function_inhomogeneous(name):
    declared = di.from_function(UNPROVED[name], kinks=(0.51,))
    assert declared.slopes is None
    assert declared.kinks == (0.51,)
