"""RMSNorm, LayerNorm and GroupNorm on rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_network import (
    assert_one_law,
    displacements_match,
    explicit_matches,
    outputs,
    pair_rows,
    tangents_match,
)

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Dense,
    GroupNorm,
    LayerNorm,
    RMSNorm,
    Sequential,
    Shape,
    output_shape,
)
from deepinit.networks.interpreter import Draw, apply

SEQUENCE = Shape((3,), 2)
NORMS = {"rms": RMSNorm(), "layer": LayerNorm(), "group": GroupNorm(2)}
BIAS = di.normal(0.3, "absolute")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_values_cotangents_tangents_and_kernel_are_those_of_autodiff():
    # gains before an activation and before a linear layer, biases, and a norm without them
    net = Sequential(
        Dense(6, bias=BIAS),
        RMSNorm(eps=0.1),
        Activation("tanh"),
        Dense(6),
        LayerNorm(eps=0.2),
        Activation("gelu"),
        GroupNorm(3),
        Dense(4),
        LayerNorm(gain=False),
        Dense(2),
    )
    explicit_matches(net, SEQUENCE)
    tangents_match(net, SEQUENCE)


@pytest.mark.parametrize("name", NORMS)
def test_displacements_keep_their_digits_at_every_size(name):
    displacements_match(NORMS[name], Shape((2,), 32), 1e-6)


def test_displacements_see_the_true_size():
    # eps is absolute: at size e^-4 it is no longer small
    displacements_match(RMSNorm(eps=1e-3), Shape((), 32), 1e-6, scale=-4.0)


def test_vanishing_rows_and_partners_without_eps():
    layer, shape = RMSNorm(eps=0.0), Shape((), 2)
    rows = pair_rows(np.array([[3.0, 4.0]]), np.array([[-3.0, -4.0]]))
    after = apply(layer, rows, None, shape, Draw(None, None, None, 1)).rows
    step = jnp.exp(after.displacement_scales)[:, None] * after.displacements
    np.testing.assert_allclose(after.points + step, 0, atol=1e-6)
    zero = jax.tree.map(lambda leaf: 0 * jnp.asarray(leaf), rows)
    assert np.all(
        np.asarray(apply(layer, zero, None, shape, Draw(None, None, None, 1)).rows.points) == 0
    )


@pytest.mark.exhaustive
@pytest.mark.slow
def test_conditional_and_explicit_maps_have_one_law():
    x = np.random.default_rng(3).normal(size=(2, 4))
    rows, shape = pair_rows(x, 0.3 * x[::-1]), Shape((2,), 2)
    net = Sequential(Dense(4), LayerNorm(), Activation("gelu"), Dense(4), GroupNorm(2))
    rival = Sequential(Dense(4), RMSNorm(), Activation("gelu"), Dense(4), GroupNorm(2))
    drawn = [
        outputs(net, rows, "explicit", 8000, shape),
        outputs(net, rows, "conditional", 8000, shape, key=1),
        outputs(rival, rows, "conditional", 8000, shape, key=2),
    ]
    assert_one_law(*drawn)


def test_groups_that_do_not_divide_are_refused_by_path():
    with pytest.raises(SpecError, match=r"groupnorm .GroupNorm.*3 groups of 4"):
        output_shape(Sequential(Dense(4), GroupNorm(3)), Shape((), 4))
