"""Gates u phi(g) on rows."""

import jax
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
from deepinit.core.layers import Activation, Dense, Gate, Sequential, Shape
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import explicit

BIAS = di.normal(0.3, "absolute")
SEQUENCE = Shape((3,), 2)


def gated(phi):
    return Sequential(Dense(8, bias=BIAS), Gate(phi), Dense(2))


@pytest.mark.exhaustive_cases("silu")
@pytest.mark.parametrize("phi", ["silu", "relu"])
@pytest.mark.slow
def test_values_cotangents_and_kernel_are_those_of_autodiff(phi):
    explicit_matches(gated(phi), SEQUENCE)
    tangents_match(gated(phi), SEQUENCE)


@pytest.mark.parametrize("phi", ["silu", "relu"])
@pytest.mark.slow_cases("relu")
def test_displacements_keep_their_digits_at_every_size(phi):
    shape = Shape((2,), 64)
    displacements_match(Gate(phi), shape, 3e-6)
    displacements_match(Gate(phi), shape, 3e-6, scale=2.0)


@pytest.mark.slow
def test_one_step_has_the_moments_of_the_quadrature():
    # layer_rules.md 9.1: R = [[1, .3], [.3, .8]], silu
    rows = np.linalg.cholesky([[1.0, 0.3], [0.3, 0.8]]) * np.sqrt(2)
    net = Sequential(Dense(40), Gate("silu"))
    num = 20_000
    found = outputs(net, pair_rows(rows, rows[:0]), "conditional", num, Shape((), 2))
    first, second = found[:, 0], found[:, 1]
    product = (first * second).mean(1)
    error = product.std() / np.sqrt(num)
    assert abs(product.mean() - 0.034832924) < 5 * error
    assert abs(product.mean() - 0.3 * 0.034832924 / 0.24) > 5 * error
    spread = 20 * (product - product.mean()) ** 2
    error = spread.std() / np.sqrt(num)
    assert abs(spread.mean() - 0.203993239) < 5 * error
    assert abs(spread.mean() - 0.133184725) > 5 * error  # of tanh


@pytest.mark.exhaustive
@pytest.mark.slow
def test_conditional_and_explicit_maps_have_one_law():
    x = np.random.default_rng(3).normal(size=(2, 4))
    rows = pair_rows(x, 0.3 * x[::-1])
    net = Sequential(Dense(6, bias=BIAS), Gate("silu"), Dense(4), Gate("tanh"))
    rival = Sequential(Dense(6, bias=BIAS), Gate("silu"), Dense(4), Gate("linear"))
    drawn = [
        outputs(net, rows, "explicit", 8000, Shape((), 4)),
        outputs(net, rows, "conditional", 8000, Shape((), 4), key=1),
        outputs(rival, rows, "conditional", 8000, Shape((), 4), key=2),
    ]
    assert_one_law(*drawn)


@pytest.mark.slow
def test_extreme_scales_neither_overflow_nor_vanish():
    net = Sequential(Dense(8), Gate("relu"), Dense(2))
    x = np.random.default_rng(1).normal(size=(2, 4))
    one = outputs(net, pair_rows(x, 1e-9 * x[::-1]), "explicit", 1, Shape((), 4))
    many = Sequential(Dense(4), *(Sequential(Dense(16), Gate("relu")) for _ in range(8)))
    _, last = random_forward(
        many, pair_rows(1e4 * x, 1e-6 * x), jax.random.key(0), lambda state: (),
        linear_map=explicit, shape=Shape((), 4),
    )  # fmt: skip
    assert np.isfinite(one).all()
    assert np.isfinite(last.point_scales).all()
    assert np.all(np.asarray(last.point_scales) > 500)  # e^(9.2 * 2^8): no dtype holds it
    assert np.isfinite(last.displacements).all()


def test_identity_gate_is_a_product():
    # u g: the gate with the linear phi is bilinear
    found = outputs(
        Sequential(Activation("linear"), Gate("linear")),
        pair_rows(np.array([[2.0, 3.0]]), np.array([[1.0, 1.0]])),
        "explicit",
        1,
        Shape((), 2),
    )
    np.testing.assert_allclose(found[0, :, 0], [6.0, 6.0], rtol=1e-6)
