"""Embeddings: rows of a table by their numbers, duplicates, tied readout, modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import ALWAYS, KEY, WIDTH, assert_law, backward, deferred_shapes, matrix, reasons

from deepinit.deferral.function import transformed

N, V = WIDTH, 32
IDS = jnp.array([3, 5, 3])
TABLE, SQUARE = (V, N), (N, N)


def table_and_matrix(key):
    one, other = jax.random.split(key)
    return jax.random.normal(one, TABLE), matrix(other, *SQUARE)


def tied(key, ids):
    table, w = table_and_matrix(key)
    h = jnp.tanh(table[ids] @ w)
    logits = h @ table.T / 5
    return jnp.stack([logits[0, 3], logits[0, 1], logits[1] @ logits[2], h[0, 0], h[0] @ h[2]])


def with_gradient(key, ids):
    """The gradient of a table: rows that appear twice have twice the gradient."""
    table, w = table_and_matrix(key)
    loss = lambda table: jnp.mean((jnp.tanh(table[ids] @ w) - 1) ** 2)
    value, gradient = jax.value_and_grad(loss)(table)
    after = loss(table - 20 * gradient)
    return jnp.log(jnp.stack([value, after, jnp.sum(gradient**2), jnp.sum(gradient[3] ** 2)]))


def under_vmap(key, ids):
    table, w = table_and_matrix(key)
    rows = jax.vmap(lambda number: table[number])(ids)
    return backward(lambda rows: jnp.tanh(rows @ w) @ table[ids].T, rows)


def columns(key, ids):
    table, w = table_and_matrix(key)
    y = table[:, ids].T @ table
    return jnp.stack([y[0, 0] / 5, jnp.tanh(y[1, 1] / 5), (y @ w)[0, 0] / 5, y[2, 3] / 5])


def by_take(key, ids):
    table, w = table_and_matrix(key)
    h = jnp.take(table, ids.reshape(3, 1), axis=0, mode="clip") @ w
    return jnp.stack([h[0, 0, 0], h[1, 0, 0], h[0, 0] @ h[2, 0], jnp.linalg.norm(h[1])])


def one_by_one(key, ids):
    """Single rows by numbers that are traced, as an unbatched model looks them up."""
    table, w = table_and_matrix(key)
    rows = jax.lax.map(lambda number: table[number] @ w, ids)
    block = jax.lax.dynamic_slice(table, (ids[0] - 2, 0), (3, N))
    return jnp.stack(
        [rows[0, 0], rows[0] @ rows[2], block[2] @ w @ rows[1], block[0] @ table[ids[1]]]
    )


def same_columns_of_every_row(key, ids):
    table, w = table_and_matrix(key)
    y = jnp.take_along_axis(table, ids[None], axis=1)
    return jnp.stack([y[0, 0], y[4] @ y[5], y[0, 0] * y[0, 2], (y.T @ table @ w)[0, 0] / 5])


def of_gradients(key, ids):
    """Rows of a gradient that is not formed."""
    table, w = table_and_matrix(key)
    g = jax.grad(lambda w: jnp.sum(jnp.tanh(table[ids] @ w) ** 2))(w)
    return jnp.stack([g[2, 0], g[2] @ g[3], jnp.log(jnp.sum(g[jnp.array([1, 4])] ** 2))])


CASES = {
    "tied": (tied, [TABLE, SQUARE]),
    "with_gradient": (with_gradient, [TABLE, SQUARE]),
    "under_vmap": (under_vmap, [TABLE, SQUARE]),
    "columns": (columns, [TABLE, SQUARE]),
    "by_take": (by_take, [TABLE, SQUARE]),
    "one_by_one": (one_by_one, [TABLE, SQUARE]),
    "same_columns_of_every_row": (same_columns_of_every_row, [TABLE, SQUARE]),
    "of_gradients": (of_gradients, [TABLE, SQUARE]),
}


@pytest.mark.slow_cases("with_gradient", "one_by_one")
@pytest.mark.parametrize("name", CASES)
def test_law(name):
    f, deferred = CASES[name]
    assert_law(f, IDS, deferred=deferred, adjoint=False)


@pytest.mark.parametrize("mode", ["fill", "clip", "wrap", None])
def test_numbers_outside_of_the_table(mode):
    """Rows outside are NaN, the last, or counted around as in f."""
    ids = jnp.array([V - 1, V, V + 3, -1, -V - 2, 2])

    def f(key, ids):
        table = jax.random.normal(key, TABLE)
        rows = table[ids] if mode is None else jnp.take(table, ids, axis=0, mode=mode)
        return rows, rows @ rows.T

    assert deferred_shapes(f, ids) == [TABLE]
    found, products = transformed(f, share=ALWAYS)(KEY, ids)
    expected, _ = f(KEY, ids)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    same = lambda rows: np.all(np.asarray(rows)[:, None] == np.asarray(rows)[None], axis=-1)
    np.testing.assert_array_equal(same(found), same(expected))
    rounding = 4 * np.finfo(np.float32).eps * float(np.nanmax(products))  # a product can cancel
    np.testing.assert_allclose(products, found @ found.T, rtol=1e-5, atol=rounding)


def test_rows_that_are_looked_up_keep_their_law():
    """A row of uniform entries is not Gaussian, however wide."""
    uniform = lambda key, ids: jax.random.uniform(key, TABLE, minval=-1.0)[ids]
    assert reasons(uniform, IDS, gaussianize=True) == ["looked up row by row, and of uniform law"]


def test_other_forms_are_explicit():
    table = lambda key: jax.random.normal(key, TABLE)
    ids = jnp.array([1, 2])
    for expected, f in (
        ("gathered along several axes", lambda key: table(key)[ids, ids]),
        ("gathered along several axes", lambda key: jax.lax.dynamic_slice(table(key), ids, (2, 2))),
        (
            "gathered along several axes",
            lambda key: jnp.take_along_axis(table(key), jnp.arange(V)[:, None] % N, axis=1),
        ),
    ):
        assert reasons(f) == [expected]
