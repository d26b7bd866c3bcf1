"""Rows and their tangents act on a drawn array in one use."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import ALWAYS, KEY, ROWS, WIDTH, assert_law, decisions, matrices, matrix, values

from deepinit.deferral.function import transformed

N = WIDTH
MOVED = jnp.roll(ROWS, 1, axis=0)
PRODUCTS = {  # of rows with a matrix on either side, and with one matrix of a batch for each row
    "right": ((N, N), lambda x, w: x @ w),
    "left": ((N, N), lambda x, w: (w @ x.T).T),
    "batch": ((4, N, N), lambda x, w: jnp.einsum("etn,enm->etm", x[:, None], w)[:, 0]),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_with_one_array_are_one_use(name):
    shape, product = PRODUCTS[name]

    def f(key, x, moved):
        w = matrix(key, *shape)
        y, change = jax.jvp(lambda x: product(jnp.sin(x), w), (x,), (moved,))
        return y, change, product(jnp.sin(x) + 2 * jnp.cos(x) * moved, w)

    uses = decisions(f, ROWS, MOVED).uses.values()
    assert [use.rows for use in uses] == ([2, 1] if name == "batch" else [8, 4])
    y, change, both = transformed(f, share=ALWAYS)(KEY, ROWS, MOVED)
    np.testing.assert_allclose(both, y + 2 * change, atol=2e-5)
    assert np.abs(both - (change + 2 * y)).max() > 0.1  # the products in the other order


def test_rows_that_the_program_holds_are_a_use_of_their_own():
    fixed = np.asarray(MOVED)

    def f(key, x, y):
        w = matrix(key, N, N)
        return fixed @ w, x @ w, y @ w

    found = decisions(f, ROWS, ROWS + MOVED)
    assert sorted(use.rows for use in found.uses.values()) == [4, 8]
    first, second, both = transformed(f, share=ALWAYS)(KEY, ROWS, ROWS + MOVED)
    np.testing.assert_allclose(both, first + second, atol=2e-5)
    assert np.abs(both - first).max() > 0.1


def tangent(key, x, others=None):
    """Of outputs, and of tangents under `others`, equal matrices if None."""

    def outputs(key, x):
        first, second = matrices(key, 2, N, N)
        return jnp.tanh(jnp.tanh(x @ first) @ second) @ second.T

    y, change = jax.jvp(lambda x: outputs(key, x), (x,), (MOVED,))
    if others is not None:
        change = jax.jvp(lambda x: outputs(others, x), (x,), (MOVED,))[1]
    return jnp.concatenate([values(y), values(change), jnp.sum(y * change)[None]])


@pytest.mark.slow
def test_tangents_have_the_law_of_explicit_matrices():
    own = {"deferred": [(N, N)] * 2, "num": 4000, "adjoint": False}
    assert_law(tangent, ROWS, **own)
    apart = lambda key, x: tangent(key, x, jax.random.fold_in(key, 1))
    with pytest.raises(AssertionError, match="standard errors"):
        assert_law(tangent, ROWS, explicit=apart, **own)
