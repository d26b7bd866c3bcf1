import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferred_arrays import deferred_arrays
from scipy import stats

from deepinit.deferral.conditioning import split_rows, split_units
from deepinit.deferral.function import transformed

KEY = jax.random.key(11)
VOCABULARY, WIDTH = 24, 12
IDS = jnp.array([[3, 1, 3], [23, 0, 1]])
ROWS = jax.random.normal(KEY, (5, WIDTH))


def look_up_first(table):
    again = jnp.array([1, 5, 3, 5])
    return {"ids": table[IDS], "rows": ROWS @ table.T, "again": table[again]}, again


def rows_first(table):
    again = jnp.array([2, 2])
    return {"rows": ROWS @ table.T, "ids": table[IDS], "again": table[again]}, again


def dense_rows_between(table):
    again = jnp.array([7, 1])
    dense = jnp.ones((1, VOCABULARY)) @ table
    return {"ids": table[IDS], "dense": dense, "rows": ROWS @ table.T, "again": table[again]}, again


def both_axes(table):
    again = jnp.array([7, 1, 1, 1, 8, 9])
    columns = jnp.array([0, 2, 2, 11, 1, 4])
    return {"ids": table[IDS], "columns": table[:, columns], "again": table[again]}, again


def in_a_loop(table):
    again = jnp.array([3, 8, 3])
    _, found = jax.lax.scan(lambda carry, index: (carry, table[index]), 0.0, again)
    return {"ids": table[IDS], "again": found, "rows": ROWS @ table.T}, again


@pytest.mark.parametrize(
    "uses", [look_up_first, rows_first, dense_rows_between, both_axes, in_a_loop]
)
def test_all_uses_see_one_table(uses):
    def f(key):
        table = jax.random.normal(key, (VOCABULARY, WIDTH))
        found, _ = uses(table)
        return found, table[jnp.arange(VOCABULARY)]

    assert len(deferred_arrays(f, KEY)) == 1
    found, table = transformed(f, share=math.inf)(KEY)
    expected, _ = uses(table)
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=2e-5, err_msg=name)
    assert stats.kstest(np.ravel(table), "norm").pvalue > 1e-6


def test_ids_outside_are_as_in_jax():
    ids = jnp.array([2, 50, -1, -60, 2])
    for options in ({}, {"mode": "clip"}, {"mode": "fill", "fill_value": 7.0}):

        def f(key, options=options):
            table = jax.random.normal(key, (VOCABULARY, WIDTH))
            return table.at[ids].get(**options), table[jnp.arange(VOCABULARY)]

        found, table = transformed(f, share=math.inf)(KEY)
        np.testing.assert_allclose(found, table.at[ids].get(**options), atol=1e-6)


def test_gradients_of_entries_taken_in_batches_are_formed():
    """The best two of four experts: a scatter with axes of batches, onto zeros that are lazy."""
    from deferral_laws import reasons

    def f(key, x):
        gates = jax.random.normal(key, (WIDTH, 8))

        def net(x):
            best, _ = jax.lax.top_k(jax.nn.softmax(x @ gates), 2)
            return jnp.sum(best**2)

        return jax.value_and_grad(net)(x)

    assert reasons(f, ROWS) == []  # no failure of the plan, and the gates are deferred


def test_single_ones_are_split_as_any_rows():
    known, ids = jnp.array([4, -1, 2]), jnp.array([2, 5, 5, 9, 12, 0, 2])
    one_hot = lambda ids: jax.nn.one_hot(ids, 10)
    expected = split_rows(one_hot(ids), one_hot(known))
    for a, b in zip(split_units(ids, known, 10, jnp.float32)[:3], expected[:3], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
