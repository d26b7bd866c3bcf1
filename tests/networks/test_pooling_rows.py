"""Pooling and flattening on rows, and convolutions of every stride and padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_network import (
    Reference,
    assert_one_law,
    displacements_match,
    explicit_matches,
    outputs,
    pair_rows,
    tangents_match,
)

import deepinit as di
from deepinit.core.inputs import Inputs
from deepinit.core.layers import Activation, Conv, Dense, Dropout, Flatten, Pool, Sequential, Shape
from deepinit.networks.forward import random_forward
from deepinit.networks.input_rows import rows_from_inputs
from deepinit.networks.interpreter import Draw, apply
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import points_alone

IMAGE, LINE = Shape((5, 4), 2), Shape((7,), 3)
POOLS = {
    "global mean": Pool("mean"),
    "global max": Pool("max"),
    "mean": Pool("mean", 2),
    "max": Pool("max", 2),
    "padded mean": Pool("mean", 3, 2, 1),
    "padded max": Pool("max", 3, 2, 1),
    "overlapping max": Pool("max", 3, 1),
}
BIAS = di.normal(0.3, "absolute")


def rows_of(layer, x, shape):
    return apply(layer, points_alone(x), None, shape, Draw(None, None, None, 1)).rows.points


@pytest.mark.parametrize("shape", [IMAGE, LINE])
@pytest.mark.parametrize("name", POOLS)
def test_pools_are_the_windows_of_jax(name, shape):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, shape.size)), jnp.float32)
    reference = Reference(POOLS[name], shape, jax.random.key(0))
    found = rows_of(POOLS[name], x, shape)
    np.testing.assert_allclose(found, reference({}, x), rtol=1e-5, atol=1e-6)


def test_max_pool_by_loops():
    x = np.random.default_rng(2).normal(size=(7, 3)).astype(np.float32)
    expected = [
        max(x[place, channel] for place in range(2 * out - 1, 2 * out + 2) if 0 <= place < 7)
        for out in range(4)
        for channel in range(3)
    ]
    found = rows_of(Pool("max", 3, 2, 1), jnp.asarray(x.reshape(1, -1)), LINE)
    np.testing.assert_array_equal(found[0], np.float32(expected))


@pytest.mark.parametrize("name", ["global max", "max", "padded mean"])
def test_displacements_keep_their_digits_at_every_size(name):
    displacements_match(POOLS[name], IMAGE, 1e-6)


@pytest.mark.slow
def test_max_of_two_rows_has_the_moments_of_the_quadrature():
    # layer_rules.md 9.1: R = [[1, .3], [.3, .8]], tanh
    x = np.float32(np.linalg.cholesky([[1.0, 0.3], [0.3, 0.8]]) * np.sqrt(2)).reshape(1, 4)
    net = Sequential(Dense(20), Activation("tanh"), Pool("max"))
    found = outputs(net, points_alone(x), "conditional", 8000, Shape((2,), 2))[:, 0]
    for values, exact, rival in ((found, 0.282234058, 0.0), (found**2, 0.374190779, 0.39)):
        means = values.mean(1)
        error = means.std() / np.sqrt(len(means))
        assert abs(means.mean() - exact) < 5 * error
        assert abs(means.mean() - rival) > 5 * error


@pytest.mark.slow
def test_values_cotangents_and_kernel_are_those_of_autodiff():
    net = Sequential(
        Conv(3, 3, 2, "zero", bias=BIAS),
        Activation("tanh"),
        Pool("max", 2, 1),
        Conv(4, 1),
        Pool("mean", 3, 2, 1),
        Flatten(),
        Dense(2),
    )
    explicit_matches(net, Shape((6, 5), 2))
    tangents_match(net, Shape((6, 5), 2))


CONVS = {
    "zero": Conv(4, 3, 1, "zero", bias=BIAS),
    "strided": Conv(4, 3, 2, "zero"),
    "wide stride": Conv(2, 3, 3, "zero"),
    "circular": Conv(4, 3, 1, "circular", bias=BIAS),
    "strided circular": Conv(4, 3, 2, "circular"),
    "valid": Conv(4, 3, 1, "valid"),
    "even, patches": Conv(4, 2, 2, "valid", bias=BIAS),
    "pointwise, strided": Conv(4, 1, 2, "zero"),
    "large": Conv(4, 5, 2, "zero"),
}


@pytest.mark.parametrize("shape", [Shape((6, 5), 2), Shape((7,), 3)])
@pytest.mark.parametrize("name", CONVS)
@pytest.mark.slow
def test_convolutions_are_those_of_jax(name, shape):
    net, key = CONVS[name], jax.random.key(3)
    x = np.random.default_rng(1).normal(size=(2, shape.size))
    draw = lambda x: random_forward(
        net, points_alone(x), key, lambda state: (), linear_map=explicit, shape=shape
    )[1]
    with jax.enable_x64(True):
        reference = Reference(net, shape, key)
        expected = reference(reference.parameters, jnp.asarray(x))
        last = jax.jit(draw)(x)
        found = np.exp(last.point_scales)[:, None] * last.points
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_gradients_through_strided_convolutions_are_those_of_autodiff():
    net = Sequential(
        Conv(4, 3, 2, "circular", bias=BIAS),
        Activation("gelu"),
        Conv(3, 2, 1, "valid", bias=BIAS),
        Activation("tanh"),
        Pool("mean"),
        Dense(2, bias=BIAS),
    )
    explicit_matches(net, Shape((5, 6), 2))


@pytest.mark.slow
def test_conditional_and_explicit_maps_of_convolutions_have_one_law():
    x = np.random.default_rng(3).normal(size=(1, 10))
    rows, shape = pair_rows(x, 0.3 * x[:, ::-1]), Shape((5,), 2)
    pools = Activation("tanh"), Pool("max", 2, 1), Conv(2, 2, 1, "valid")
    net = Sequential(Conv(3, 3, 2, "zero", bias=BIAS), *pools)
    # the fan-in of one position, not of the patch
    rival = Sequential(Conv(3, 3, 2, "zero", di.normal(3.0), BIAS), *pools)
    drawn = [
        outputs(net, rows, "explicit", 8000, shape),
        outputs(net, rows, "conditional", 8000, shape, key=1),
        outputs(rival, rows, "conditional", 8000, shape, key=2),
    ]
    assert_one_law(*drawn)


@pytest.mark.slow
def test_partners_of_free_norm_are_rescaled_only():
    # homogeneous networks keep partners up to a scale: pools and shared masks commute with it
    x, d = np.random.default_rng(6).normal(size=(2, 1, 12))
    net = Sequential(
        Dense(4), Activation("relu"), Dropout(0.2), Pool("max", 2), Pool("mean"), Dense(3)
    )
    cosines = []
    for scale_invariant in (True, False):
        rows = rows_from_inputs(
            Inputs(x, d, (0,), ""), scale_invariant=scale_invariant, dtype="float32"
        )
        _, last = random_forward(
            net,
            rows,
            jax.random.key(1),
            lambda state: (),
            linear_map=explicit,
            shape=Shape((4,), 3),
        )
        step = np.exp(last.displacement_scales)[:, None] * last.displacements
        partner, point = np.asarray(last.points + step)[0], np.asarray(last.points)[0]
        cosines.append(partner @ point / np.linalg.norm(partner) / np.linalg.norm(point))
    np.testing.assert_allclose(*cosines, rtol=1e-5)
    assert abs(cosines[0]) < 0.999
