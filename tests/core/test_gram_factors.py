"""Triangular factors by a float64 Gram matrix: against NumPy's QR of the same float32 rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import linear_algebra
from deepinit.core.linear_algebra import lower_factor_of, orthonormalize_rows


def rows_of(k, n, seed=0):
    return np.random.default_rng(seed).normal(size=(k, n)).astype(np.float32)


def by_qr(rows):
    """(Q, L) with a positive diagonal, in float64."""
    q, r = np.linalg.qr(rows.astype(np.float64).T)
    signs = np.sign(np.diag(r))
    return (q * signs).T, (r * signs[:, None]).T


def close_rows(angle):
    """Eight rows, the odd ones turned by `angle` from those before."""
    rows = rows_of(8, 64).astype(np.float64)
    rows[1::2] = rows[::2] + angle * rows[1::2]
    return rows.astype(np.float32)


@pytest.mark.parametrize(("k", "n"), [(4, 4), (5, 64), (10, 256), (15, 33)])
def test_factors_are_those_of_qr(k, n):
    rows = rows_of(k, n)
    wanted_q, wanted_l = by_qr(rows)
    found_q, found_l = jax.jit(orthonormalize_rows)(rows)
    alone = jax.jit(lower_factor_of)(rows)
    assert found_q.dtype == found_l.dtype == alone.dtype == jnp.float32
    np.testing.assert_allclose(found_q, wanted_q, rtol=0, atol=2e-7)
    np.testing.assert_allclose(found_l, wanted_l, rtol=0, atol=2e-7 * np.abs(wanted_l).max())
    np.testing.assert_allclose(alone, found_l, rtol=1e-6)


@pytest.mark.parametrize("angle", [1e-2, 1e-4, 1e-5])
def test_small_angles_are_resolved_to_the_rounding_of_the_rows(angle):
    """Diagonals of the odd rows have the size of the angle; Cholesky in float32 loses them."""
    rows = close_rows(angle)
    wanted = np.diag(by_qr(rows)[1])[1::2]
    found = np.diag(lower_factor_of(rows))[1::2]
    np.testing.assert_allclose(found, wanted, rtol=1e-6 + 2e-15 / angle**2)
    directions = np.asarray(orthonormalize_rows(rows)[0], np.float64)
    np.testing.assert_allclose(directions @ directions.T, np.eye(8), atol=1e-6)
    if angle < 1e-3:
        gram = jnp.asarray(rows) @ jnp.asarray(rows).T
        rival = np.diag(np.nan_to_num(np.asarray(jnp.linalg.cholesky(gram))))[1::2]
        assert np.abs(rival / wanted - 1).max() > 1e-2


def test_dependent_rows_have_no_direction():
    rows = rows_of(6, 32)
    rows[2], rows[4] = 2 * rows[0], 0
    directions, lower = orthonormalize_rows(rows)
    for index in (2, 4):
        assert not np.any(directions[index])
        assert lower[index, index] == 0
    np.testing.assert_allclose(lower @ directions, rows, atol=1e-6)
    again, _ = linear_algebra._twice(jnp.asarray(rows))
    np.testing.assert_allclose(directions, again, atol=1e-6)


def test_scales_of_rows_do_not_matter():
    """Squares of some rows leave float32."""
    scales = np.float32([1e-30, 1e-10, 1.0, 1e10, 1e30])[:, None]
    rows = rows_of(5, 40)
    directions, lower = orthonormalize_rows(scales * rows)
    wanted_q, wanted_l = by_qr(rows)
    np.testing.assert_allclose(directions, wanted_q, atol=1e-6)
    np.testing.assert_allclose(lower / scales, wanted_l, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(bad):
    rows = rows_of(5, 16)
    rows[3, 2] = bad
    directions, lower = orthonormalize_rows(rows)
    assert np.isfinite(lower[:3]).all()
    assert np.isnan(directions[3]).any()
    assert np.isnan(lower[3]).any()


def test_in_a_scan_of_a_batch_of_a_batch():
    """JAX's own batching rules would round float64 there, with a warning."""
    rows = np.stack([rows_of(5, 24, seed) for seed in range(6)]).reshape(2, 3, 5, 24)

    def twice(rows):
        step = lambda carry, _: (orthonormalize_rows(carry)[0], lower_factor_of(carry))
        return jax.lax.scan(step, rows, None, length=2)[1]

    found = jax.jit(jax.vmap(jax.vmap(twice)))(rows)
    for index in np.ndindex(2, 3):
        np.testing.assert_allclose(found[index][0], by_qr(rows[index])[1], atol=2e-6)
        np.testing.assert_allclose(found[index][1], np.eye(5), atol=2e-6)


def test_derivatives_are_those_of_gram_schmidt():
    rows = jnp.asarray(rows_of(5, 12))
    weights = rows_of(5, 12, seed=1), rows_of(5, 5, seed=2)

    def value(factors):
        return lambda rows: sum(
            jnp.sum(w * part) for w, part in zip(weights, factors(rows), strict=True)
        )

    found = jax.jit(jax.grad(value(orthonormalize_rows)))(rows)
    wanted = jax.grad(value(linear_algebra._twice))(rows)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    every = jax.vmap(jax.grad(lambda rows: jnp.sum(lower_factor_of(rows))))(rows[None])
    assert np.isfinite(every).all()
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found, 0 * wanted, atol=1e-5)


def test_without_float64_gram_schmidt_takes_over():
    """TPUs: the lowered program has no float64."""
    rows = jnp.asarray(rows_of(5, 12))
    lowered = lambda platform: (
        jax.jit(orthonormalize_rows).trace(rows).lower(lowering_platforms=(platform,)).as_text()
    )
    assert "f64" not in lowered("tpu")
    assert "f64" in lowered("cuda")
