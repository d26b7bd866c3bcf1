"""Orthonormal rows: close, dependent and many rows in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.orthonormal import orthonormalize_any_rows, orthonormalize_rows

_RANDOM = np.random.default_rng(0).normal(size=(64, 200))


def _saturated(known: int) -> np.ndarray:
    rows = _RANDOM[:24, :20].copy()
    rows[11] = rows[3] - 2 * rows[4]
    return np.concatenate([np.eye(20)[:known], rows])


_CASES = {
    "random": _RANDOM,
    "correlated": _RANDOM[0] + _RANDOM,
    "close": _RANDOM[0] + 1e-5 * _RANDOM,
    "one after another": np.cumsum(1e-4 ** np.arange(64)[:, None] * _RANDOM[:, :40], axis=0),
    "scales": _RANDOM[:, :40] * 10.0 ** -np.linspace(0, 6, 40),
    "Hilbert": 1 / (np.arange(32)[:, None] + np.arange(40) + 1),
    "polynomials": np.linspace(-1, 1, 64) ** np.arange(40)[:, None],
    "more rows than dimensions": _saturated(0),
    "no room beside known rows": _saturated(16),
}


def _found(rows, known):
    directions, lower = jax.jit(orthonormalize_rows)(
        jnp.asarray(rows, jnp.float32), jnp.asarray(known, jnp.float32)
    )
    return np.asarray(directions, np.float64), np.asarray(lower, np.float64)


@pytest.mark.parametrize("name", _CASES)
def test_rows_are_products_of_orthonormal_rows_up_to_rounding(name):
    before = 16 if "known" in name else 0
    known, rows = np.split(_CASES[name], [before])
    directions, lower = _found(rows, known)
    every = np.concatenate([known, directions])
    is_alive = every.any(axis=1)
    np.testing.assert_allclose(every @ every.T, np.diag(1.0 * is_alive), atol=5e-6)
    error = np.linalg.norm(lower @ every - rows, axis=1) / np.linalg.norm(rows, axis=1)
    assert error.max() < 3e-6
    np.testing.assert_array_equal(lower[:, ~is_alive], 0)
    np.testing.assert_array_equal(np.triu(lower, before + 1), 0)
    assert is_alive.sum() == (20 if "room" in name or "than" in name else is_alive.sum())
    if name in ("random", "correlated", "close"):  # residuals of 1e-5 keep digits
        exact = np.abs(np.diag(np.linalg.qr(np.float32(rows).astype(float).T)[1]))
        np.testing.assert_allclose(np.diag(lower), exact, rtol=0.02)


def test_one_pass_of_a_gram_matrix_is_not_enough():
    """The rival: products of close rows, in float32, are no positive definite matrix."""
    rows = np.float32(_CASES["close"])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.linalg.eigvalsh(np.float64(unit @ unit.T))[0] < 0


def test_unit_rows_stay_exact():
    directions, lower = _found(np.eye(16, 32)[[0, 1, 1, 3, 0]], np.zeros((0, 32)))
    np.testing.assert_array_equal(
        directions, np.eye(16, 32)[[0, 1, 9, 3, 9]] * [[1], [1], [0], [1], [0]]
    )
    np.testing.assert_array_equal(lower @ directions, np.eye(16, 32)[[0, 1, 1, 3, 0]])


def test_rows_under_vmap_are_those_of_each():
    rows = jnp.asarray(np.stack([_CASES["random"][:8], _CASES["close"][:8]]), jnp.float32)
    together = jax.jit(jax.vmap(orthonormalize_rows))(rows)
    alone = [np.stack(found) for found in zip(*map(orthonormalize_rows, rows), strict=True)]
    # a direction is known to the rounding of its row over its residual: residuals are compared
    rounding = 8 * np.finfo(np.float32).eps * float(jnp.linalg.norm(rows, axis=-1).max())
    residuals = [
        np.diagonal(lower, axis1=1, axis2=2)[..., None] * np.asarray(directions)
        for directions, lower in (together, alone)
    ]
    np.testing.assert_allclose(*residuals, rtol=0, atol=rounding)
    np.testing.assert_allclose(together[1], alone[1], rtol=0, atol=rounding)
    shifted = np.roll(residuals[0], 1, axis=1)
    assert np.abs(shifted - residuals[1]).max() > 100 * rounding


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


@pytest.mark.slow_cases("12")
@pytest.mark.parametrize("count", [3, 12])
def test_rows_of_any_norm_are_those_of_their_multiples(count):
    """Squares underflow and overflow; NaN stays in its row; the rival scales no row."""
    rows = np.float32(_RANDOM[:count])
    scales = np.float32([1e-30, 1, 1e25, *np.ones(count - 3)])[:, None]
    given = scales * rows
    directions, lower = jax.jit(orthonormalize_any_rows)(given)
    expected = orthonormalize_rows(rows)
    np.testing.assert_allclose(directions, expected[0], atol=1e-5)
    np.testing.assert_allclose(lower, scales * expected[1], rtol=1e-3, atol=1e-5 * scales.max())
    np.testing.assert_allclose(lower / scales, expected[1], atol=1e-4)
    assert not np.allclose(orthonormalize_rows(given)[0], expected[0], atol=1e-5)
    given[1, 7] = np.nan
    others = np.delete(np.arange(count), 1)
    directions, lower = jax.jit(orthonormalize_any_rows)(given)
    wanted = orthonormalize_rows(rows[others])
    np.testing.assert_allclose(directions[others], wanted[0], atol=1e-5)
    np.testing.assert_allclose((lower / scales)[np.ix_(others, others)], wanted[1], atol=1e-4)
    assert np.isnan(lower[1]).all()
    np.testing.assert_array_equal(directions[1], 0)


def test_not_a_number_stays_in_its_row_where_a_maximum_drops_it():
    """XLA for CPUs takes a maximum of 64 rows of 128 numbers by `max`, which may drop NaN."""
    given = np.random.default_rng(4).normal(size=(64, 128)).astype(np.float32)
    given[32, 3] = np.nan
    directions, lower = jax.jit(orthonormalize_any_rows)(given)
    is_nan = np.arange(64) == 32
    np.testing.assert_array_equal(np.isnan(lower).any(axis=1), is_nan)
    np.testing.assert_allclose(np.sum(np.square(directions), axis=1), ~is_nan, atol=1e-5)
