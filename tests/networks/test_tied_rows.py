"""Tied layers: the same weights at every use, in both linear maps and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_network import assert_one_law, explicit_matches, outputs, pair_rows, tangents_match

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    LayerNorm,
    Repeat,
    Residual,
    Sequential,
    Shape,
    Tied,
)
from deepinit.networks.backward import random_gradients
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone

BIAS = di.normal(0.3, "absolute")
VECTORS, SEQUENCE = Shape((), 3), Shape((3,), 2)


def cell(width, *layers):
    return Sequential(Dense(width, bias=BIAS), Activation("tanh"), *layers)


@pytest.mark.slow
def test_values_cotangents_and_kernel_count_every_use():
    # weights, biases and gains: products of gradients with cross terms of the uses
    inner = Residual(Sequential(LayerNorm(), *cell(4, Dense(4)).layers), scale=0.5)
    net = Sequential(Dense(4), Tied(inner, 3), Dense(2))
    explicit_matches(net, SEQUENCE)
    tangents_match(net, SEQUENCE)


@pytest.mark.slow
def test_gradients_through_tied_convolutions_and_nested_repeats():
    inner = Sequential(Conv(2, 3, 1, "zero"), Repeat(cell(2), 2))
    explicit_matches(Sequential(Tied(inner, 2), Dense(2)), SEQUENCE)


@pytest.mark.parametrize("width", [2, 3, 8])
@pytest.mark.slow
def test_a_square_has_its_exact_moments(width):
    # E h.W^2 h = |h|^2 / n and E |W^2 h|^2 = |h|^2 (1 + 2 / n^2): independent weights have 0 and 1
    h = np.random.default_rng(1).normal(size=(1, width))
    norm2, num = np.sum(h**2), 8000
    found = outputs(
        Tied(Dense(width), 2), pair_rows(h, h[:0]), "conditional", num, Shape((), width)
    )[:, 0]
    for values, exact, rival in (
        (found @ h[0] / norm2, 1 / width, 0.0),
        # light tails: the expectation of a log ratio has no closed form, of the norm it has
        ((found**2).sum(1) / norm2, 1 + 2 / width**2, 1.0 if width < 8 else 2.0),
    ):
        error = values.std() / np.sqrt(num)
        assert abs(values.mean() - exact) < 5 * error
        assert abs(values.mean() - rival) > 5 * error


@pytest.mark.slow
@pytest.mark.parametrize("width", [3, 8])
def test_conditional_and_explicit_maps_have_one_law(width):
    # 3 uses of 3 rows (a pair's difference among them): more rows than neurons at width 3
    x = np.random.default_rng(3).normal(size=(2, width))
    rows, shape = pair_rows(x, 0.3 * x[:1], (0,)), Shape((), width)
    net, rival = (kind(cell(width, Dense(width)), 3) for kind in (Tied, Repeat))
    drawn = [
        outputs(net, rows, "explicit", 8000, shape),
        outputs(net, rows, "conditional", 8000, shape, key=1),
        outputs(rival, rows, "conditional", 8000, shape, key=2),
    ]
    assert_one_law(*drawn)


@pytest.mark.slow
def test_auto_conditions_where_all_uses_fit_and_draws_matrices_elsewhere():
    run = lambda width, name: outputs(
        Tied(Dense(width), 3),
        pair_rows(np.ones((1, width)), np.ones((0, width))),
        name,
        1,
        Shape((), width),
    )
    np.testing.assert_array_equal(run(8, "auto"), run(8, "explicit"))
    np.testing.assert_array_equal(run(12, "auto"), run(12, "conditional"))
    assert np.any(run(12, "conditional") != run(12, "explicit"))


@pytest.mark.slow
def test_what_has_no_law_is_refused():
    x = points_alone(jnp.ones((2, 3)))
    run = lambda layer: random_forward(
        layer, x, jax.random.key(0), lambda state: (), linear_map=FUNCTIONS["conditional"]
    )
    with pytest.raises(SpecError, match="Repeat or Tied inside"):
        run(Tied(Repeat(cell(3), 2), 2))
    with pytest.raises(SpecError, match="the law 'orthogonal'"):
        run(Tied(Dense(3, di.orthogonal(1.0)), 2))
    net = Sequential(Tied(Sequential(Dense(3), BatchNorm()), 2), Dense(1))
    with pytest.raises(SpecError, match="gradients through BatchNorm"):
        random_gradients(net, x, jax.random.key(0), jnp.ones((1, 1)), (0,), linear_map="explicit")
