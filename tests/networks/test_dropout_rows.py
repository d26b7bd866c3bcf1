"""Dropout on rows: the masks belong to the network's key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference_network import assert_one_law, explicit_matches, outputs, pair_rows, tangents_match

from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Dense, Dropout, Residual, Sequential, Shape
from deepinit.networks.forward import random_forward
from deepinit.networks.interpreter import Draw, apply
from deepinit.networks.linear_maps import explicit
from deepinit.networks.rows import points_alone
from deepinit.networks.rules.dropout import masks

SEQUENCE, VECTORS = Shape((3,), 2), Shape((), 4)


def drawn_masks(shared, num_points):
    """Masks of a Reference, from their keys: their law has its own test."""

    def prepare(reference):
        for path, key in reference.masks.items():
            num = 1 if shared else num_points
            rows = points_alone(jnp.zeros((num, 3 * 4)))
            reference.masks[path] = masks(Dropout(0.4, shared), rows, key).reshape(num, 3, 4)

    return prepare


@pytest.mark.exhaustive_cases("False")
@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_values_cotangents_and_kernel_use_one_mask(shared):
    layer = Dropout(0.4, shared)
    branch = Sequential(Activation("tanh"), layer, Dense(4))
    net = Sequential(Dense(4), layer, Residual(branch), Dense(2))
    explicit_matches(net, SEQUENCE, prepare=drawn_masks(shared, 3))
    tangents_match(net, SEQUENCE, prepare=drawn_masks(shared, 2))


def test_masks_have_their_rate_and_their_sharing():
    rows = points_alone(jnp.ones((2, 50)))
    draw = lambda shared: np.asarray(
        jax.vmap(lambda seed: masks(Dropout(0.2, shared), rows, jax.random.key(seed)))(
            jnp.arange(2000)
        )
    )
    one, each = draw(True), draw(False)
    assert one.shape == (2000, 1, 50)
    assert each.shape == (2000, 2, 50)
    assert set(np.unique(each)) == {0.0, np.float32(1.25)}
    error = np.sqrt(0.25 / each.size)
    assert abs(each.mean() - 1) < 5 * error
    product = (each[:, 0] * each[:, 1]).mean()  # separate masks: mean 1, of one mask 1.25
    assert abs(product - 1) < 5 * np.sqrt(0.6 / (2000 * 50))
    assert abs((one**2).mean() - 1.25) < 5 * np.sqrt(0.4 / (2000 * 50))


@pytest.mark.slow
def test_one_step_has_the_moments_of_the_quadrature():
    # layer_rules.md 9.1: R = [[1, .3], [.3, .8]], tanh, separate masks of rate .2
    x = np.float32(np.linalg.cholesky([[1.0, 0.3], [0.3, 0.8]]) * np.sqrt(2))
    net = Sequential(Dense(20), Activation("tanh"), Dropout(0.2, shared=False))
    num = 20_000
    found = outputs(net, points_alone(x), "conditional", num, Shape((), 2))
    product = (found[:, 0] * found[:, 1]).mean(1)
    error = product.std() / np.sqrt(num)
    assert abs(product.mean() - 0.118112460) < 5 * error
    assert abs(product.mean() - 1.25 * 0.118112460) > 5 * error  # one mask
    assert abs(20 * product.var() - 0.215948319) < 5 * 0.215948319 * np.sqrt(4 / num)
    assert abs(20 * product.var() - 0.133184725) > 0.05  # no dropout


def test_displacements_keep_the_mask():
    rows = pair_rows(np.ones((1, 8)), 1e-7 * np.arange(1.0, 9.0)[None])
    draw = Draw(None, None, None, 1)
    after = apply(Dropout(0.5), rows, jax.random.key(1), Shape((), 8), draw).rows
    kept = np.asarray(after.points != 0)
    np.testing.assert_allclose(after.displacements, 2 * kept * rows.displacements, rtol=1e-6)
    np.testing.assert_array_equal(after.displacement_scales, rows.displacement_scales)


def test_pairs_with_separate_masks_are_refused_by_path():
    net = Sequential(Dense(4), Dropout(0.1, shared=False), Dense(2))
    rows = pair_rows(np.ones((1, 4)), 0.1 * np.ones((1, 4)))
    with pytest.raises(SpecError, match="dropout: pairs of inputs with one mask per input"):
        random_forward(
            net, rows, jax.random.key(0), lambda state: (), linear_map=explicit, shape=VECTORS
        )


@pytest.mark.slow
def test_conditional_and_explicit_maps_have_one_law():
    x = np.random.default_rng(3).normal(size=(2, 4))
    rows = pair_rows(x, 0.3 * x[::-1])
    net = Sequential(Dense(4), Activation("tanh"), Dropout(0.3), Dense(2))
    rival = Sequential(Dense(4), Activation("tanh"), Dropout(0.0), Dense(2))
    drawn = [
        outputs(net, rows, "explicit", 8000, VECTORS),
        outputs(net, rows, "conditional", 8000, VECTORS, key=1),
        outputs(rival, rows, "conditional", 8000, VECTORS, key=2),
    ]
    assert_one_law(*drawn)
