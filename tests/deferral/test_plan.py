"""What is deferred, and the rows and numbers of its uses."""

import jax
import jax.numpy as jnp
import pytest
from deferral_laws import ROWS, WIDTH, decisions, deferred_shapes, matrices, matrix, reasons

from deepinit.deferral.plan import COSTLY, SHARE, totals

N = WIDTH


def counts(f, *args, **settings):
    """(rows, columns, numbers) of the first array that is deferred."""
    return tuple(next(iter(totals(decisions(f, *args, **settings)).values())))


def test_rows_from_both_sides():
    def f(key, x):
        w = matrix(key, N, 2 * N)
        return jax.grad(lambda x: jnp.sum(jnp.tanh(x @ w) ** 2))(x)

    assert counts(f, ROWS) == (4, 4, 4 * 2 * N + 4 * N)


def test_stacks_and_steps():
    stack = lambda key, x: jax.lax.scan(lambda x, w: (x @ w, None), x, matrix(key, 3, N, N))[0]
    assert counts(stack, ROWS) == (4, 0, 3 * 4 * N)

    def recurrent(key, x):
        w = matrix(key, N, N)
        return jax.lax.scan(lambda x, _: (x @ w, None), x, None, length=5)[0] @ w

    assert counts(recurrent, ROWS) == (24, 0, 24 * N)
    experts = lambda key, x: jnp.einsum("etn,enm->etm", jnp.stack([x, x]), matrix(key, 2, N, N))
    assert counts(experts, ROWS) == (4, 0, 2 * 4 * N)


def test_layers_of_recurrences():
    """A loop over a stack in every step of a loop."""

    def f(key, x):
        w = matrix(key, 3, N, N)
        layers = lambda x, _: (jax.lax.scan(lambda x, w: (x @ w, None), x, w)[0], None)
        return jax.lax.scan(layers, x[:1], None, length=2)[0]

    assert counts(f, ROWS) == (2, 0, 2 * 3 * N)


def test_parts():
    def f(key, x):
        q, k, _ = jnp.split(matrix(key, N, 3 * N), 3, axis=1)
        return x @ q, x @ k.T

    assert counts(f, ROWS)[2] == 2 * 4 * N


@pytest.mark.parametrize("share", [SHARE, 2.0])
def test_costly_arrays_are_explicit(share):
    few, many = int(share * N), int(share * N) + 1
    f = lambda key, x: x @ matrix(key, N, N)
    assert deferred_shapes(f, jnp.ones((few, N)), share=share) == [(N, N)]
    assert reasons(f, jnp.ones((many, N)), share=share) == [COSTLY]


def test_an_array_is_explicit_for_all_its_uses():
    def f(key, x):
        a, b = matrices(key, 2, N, N)
        return x @ a, jnp.tanh(a), x @ b

    assert reasons(f, ROWS) == ["no rule for tanh"]
    assert deferred_shapes(f, ROWS) == [(N, N)]


def test_refusals_follow_from_refusals():
    """b is added to a, which is explicit: then b is too, and c stays."""

    def f(key, x):
        a, b, c = matrices(key, 3, N, N)
        return x @ (a + b), jnp.sort(a), x @ c

    assert sorted(reasons(f, ROWS)) == ["added to an array", "no rule for sort"]
    assert len(deferred_shapes(f, ROWS)) == 1


def test_any_number_of_axes_is_split_in_one_pass():
    """More matrices seen as heads than planning has passes."""

    def f(key, x):
        for own in jax.random.split(key, 30):
            w = matrix(own, N, N).reshape(N, 4, 6)
            x = jnp.tanh(jnp.einsum("tn,nhd->thd", x, w)).reshape(-1, N)
        return x

    assert len(deferred_shapes(f, ROWS)) == 30


def test_axes_split_twice():
    def f(key, x):
        w = matrix(key, N, N)
        y = jnp.einsum("tn,nhd->thd", x, w.reshape(N, 4, 6))
        z = jnp.einsum("tn,nabc->tabc", x, w.reshape(N, 2, 2, 6))
        return (
            y,
            z,
            jnp.einsum("tabcd,abcdn->tn", x.reshape(-1, 2, 2, 2, 3), w.reshape(2, 2, 2, 3, N)),
        )

    assert len(deferred_shapes(f, ROWS)) == 1


def test_vectors_and_small_arrays_are_explicit_without_a_remark():
    for shape in ((N,), (100,), (1, 100), (100, 1, 1), (7, 9)):
        f = lambda key, x, shape=shape: x[0, 0] * jax.random.normal(key, shape)
        assert reasons(f, ROWS) == []
        assert deferred_shapes(f, ROWS) == []
