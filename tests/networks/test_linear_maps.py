"""Linear maps conditional on rows: covariances and triangular factors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.core.orthonormal import orthonormalize_rows
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


def test_rows_of_many_blocks_are_orthonormalized_and_dependent_ones_have_no_direction():
    rows = np.random.default_rng(3).normal(size=(28, 64))
    rows[5], rows[9], rows[12], rows[26] = rows[3], 0, rows[1] + rows[2], rows[20] - rows[4]
    rows[17] = rows[16] + 1e-6 * rows[17]
    rows[24] = rows[0] + 1e-4 * rows[24]
    exact = np.linalg.qr(np.delete(np.float32(rows), [5, 9, 12, 26], axis=0).astype(float).T)[1]
    directions, factor = jax.jit(orthonormalize_rows)(jnp.asarray(rows, jnp.float32))
    directions, factor = np.asarray(directions, np.float64), np.asarray(factor, np.float64)
    dead = np.flatnonzero(~directions.any(axis=1))
    np.testing.assert_array_equal(dead, [5, 9, 12, 26])
    np.testing.assert_array_equal(factor[:, dead], 0)
    live = np.delete(directions, dead, axis=0)
    np.testing.assert_allclose(live @ live.T, np.eye(len(live)), atol=2e-6)
    np.testing.assert_allclose(factor @ directions, rows, atol=1e-5)
    # distances of close rows to 10 %, at 1e-6 of their size
    own = np.delete(np.diag(factor), dead)
    np.testing.assert_allclose(own, np.abs(np.diag(exact)), rtol=0.1)


@pytest.mark.slow_cases("0")
@pytest.mark.parametrize("before", [0, 5])
def test_hundreds_of_rows_are_orthonormalized_in_one_compiled_step(before):
    rows = jax.random.normal(jax.random.key(0), (150, 200)).at[7].set(0).at[140].set(1)
    rows = rows.at[141].set(2 * rows[140])  # across no block
    known = jnp.eye(200)[:before]
    directions, factor = orthonormalize_rows(rows, known)
    exact = np.diag([float(number not in (7, 141)) for number in range(150)])
    np.testing.assert_allclose(directions @ directions.T, exact, atol=2e-6)
    np.testing.assert_allclose(directions @ known.T, 0, atol=2e-6)
    np.testing.assert_allclose(factor @ jnp.concatenate([known, directions]), rows, atol=2e-5)
    np.testing.assert_array_equal(np.triu(factor, before + 1), 0)
    # at width 4096 a program of unrolled blocks took minutes and 6 GB to compile
    trace = lambda num: str(jax.make_jaxpr(orthonormalize_rows)(jnp.ones((num, 999))))
    assert trace(256).count("\n") == trace(640).count("\n")


def test_factor_of_a_pair_is_the_lower_factor():
    rows = rows_from_inputs(di.inputs.pair(0.7, 5), scale_invariant=False, dtype=np.float32)
    for known in (rows, dataclasses.replace(rows, cached=None)):
        factor, plain = (
            linear_maps.factor_of(known),
            linear_maps.lower_factor(jnp.asarray(rows.stacked)),
        )
        np.testing.assert_allclose(factor, plain, atol=1e-6)
