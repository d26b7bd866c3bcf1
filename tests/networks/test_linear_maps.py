"""Linear maps conditional on rows: covariances and triangular factors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.networks import linear_maps
from deepinit.networks.input_rows import rows_from_inputs
from deepinit.networks.rows import points_alone


@pytest.mark.slow
@pytest.mark.exhaustive
def test_conditional_rows_have_the_covariance_of_a_matrix_product():
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)
    rows = rows.at[3].set(2 * rows[0] - rows[1])  # a row that depends on the others
    law = di.normal(1.7)
    draw = jax.vmap(
        lambda key: linear_maps.conditional(key, points_alone(rows), law, 3, 1, "highest")
    )
    images = np.asarray(draw(jax.random.split(jax.random.key(0), 40_000)), np.float64)
    exact = 1.7 / 6 * np.asarray(rows, np.float64) @ np.asarray(rows, np.float64).T
    flat = images.transpose(0, 2, 1)[:, 0]
    estimate = flat.T @ flat / len(flat)
    error = np.sqrt((np.outer(np.diag(exact), np.diag(exact)) + exact**2) / len(flat))
    # the rivals: 10 % more variance; one draw for two neurons
    assert_value(estimate, error, exact, rejects=1.1 * exact)
    np.testing.assert_allclose(images[:, 3], 2 * images[:, 0] - images[:, 1], atol=1e-4)
    across = (images[:, :, 0].T @ images[:, :, 1]) / len(flat)  # neurons are independent
    assert_value(across, error, 0.0, rejects=exact)


@pytest.mark.parametrize("num_rows", [1, 2, 5, 9])
def test_lower_factor_is_the_factor_of_the_gram_matrix(num_rows):
    rows = (
        np.random.default_rng(num_rows).normal(size=(num_rows, 40))
        * np.logspace(0, -9, num_rows)[:, None]
    )
    with jax.enable_x64(True):
        factor = np.asarray(linear_maps.lower_factor(jnp.asarray(rows)))
    gram = rows @ rows.T
    scale = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    np.testing.assert_allclose(factor @ factor.T / scale, gram / scale, atol=1e-14)
    assert np.all(np.triu(factor, 1) == 0)


def test_factor_of_a_pair_is_the_lower_factor():
    rows = rows_from_inputs(di.inputs.pair(0.7, 5), scale_invariant=False, dtype=np.float32)
    for known in (rows, dataclasses.replace(rows, cached=None)):
        factor, plain = (
            linear_maps.factor_of(known),
            linear_maps.lower_factor(jnp.asarray(rows.stacked)),
        )
        np.testing.assert_allclose(factor, plain, atol=1e-6)
