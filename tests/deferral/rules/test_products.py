"""Laws where drawn arrays are multiplied: both sides, batches, views, sums, constants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import (
    ALWAYS,
    KEY,
    ROWS,
    WIDTH,
    assert_law,
    deferred_shapes,
    forward_backward,
    matrices,
    matrix,
    reasons,
)

from deepinit.deferral.function import transformed

N = WIDTH


def mlp(key, x):
    weights = matrices(key, 3, N, N)

    def f(x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return x

    return forward_backward(f, x)


def remat(key, x):
    weights = matrices(key, 2, N, N)

    @jax.checkpoint
    def layer(x, w):
        return jnp.tanh(x @ w)

    return forward_backward(lambda x: layer(layer(x, weights[0]), weights[1]), x)


def both_sides(key, x):
    """One matrix, right and left, up to nearly its rank."""
    w = matrix(key, N, N)

    def f(x):
        y = jnp.tanh(jnp.tanh(x @ w) @ w.T)
        return jnp.tanh((w @ y.T).T @ w) + y

    return forward_backward(f, x)


def experts(key, x):
    w = matrix(key, 3, N, N)
    scales = jnp.arange(1.0, N + 1) / N

    def f(x):
        y = jnp.tanh(jnp.einsum("etn,enm->etm", x, w * scales[:, None]))
        return jnp.tanh(jnp.einsum("etm,enm->etn", y, w * scales))

    return forward_backward(f, jnp.stack([x[:2], x[1:3], x[:2]]))


def per_head(key, x):
    query, out = (matrix(own, 4, N, 6) for own in jax.random.split(key))

    def f(x):
        heads = jnp.tanh(jnp.einsum("tn,hnd->htd", x, query))
        return jnp.tanh(jnp.einsum("htd,hnd->tn", heads, out))

    return forward_backward(f, x)


def heads_by_reshape(key, x):
    query, key_, value = (w.reshape(N, 4, 6) for w in matrices(key, 3, N, N))
    out = matrix(jax.random.fold_in(key, 7), N, N).reshape(4, 6, N)

    def f(x):
        q, k, v = (jnp.einsum("tn,nhd->thd", x, w) for w in (query, key_, value))
        attention = jax.nn.softmax(jnp.einsum("thd,shd->hts", q, k), axis=-1)
        return jnp.einsum("hts,shd,hdn->tn", attention, v, out) + x

    return forward_backward(f, x[:3])


def sums(key, x):
    a, b = matrices(key, 2, N, N)
    f = lambda x: jnp.tanh(jnp.tanh(x @ (a + b)) @ (a - 0.5 * b.T)) @ b
    return forward_backward(f, x)


def diagonals(key, x):
    w = matrix(key, N, N)
    scales, gains = jnp.arange(1.0, N + 1) / N, jnp.linspace(-1.0, 2.0, N)
    f = lambda x: jnp.tanh(jnp.tanh(x @ (w * scales[:, None] * gains / 2)) @ (gains * w.T))
    return forward_backward(f, x)


def centered(key, x):
    w = matrix(key, N, N)
    w = w - w.mean(axis=0)
    return forward_backward(lambda x: jnp.tanh(x @ w) @ w.T, x)


def second_derivative(key, x):
    a, b = matrices(key, 2, N, N)
    f = lambda x: jnp.sum(jnp.tanh(jnp.tanh(x @ a) @ b) ** 2)
    product = jax.jvp(jax.grad(f), (x,), (x,))[1]
    return jnp.stack([f(x), product[0] @ x[0], jnp.log(jnp.sum(product**2))])


def powers(key, x):
    y = x @ jnp.linalg.matrix_power(jnp.eye(N), 1)
    w = matrix(key, N, N)
    for _ in range(4):
        y = y @ w
    return jnp.stack([y[0, 0], jnp.tanh(y[0] @ x[0]), jnp.log(y[1] @ y[1]), x[2] @ y[2]])


def forms(key, x):
    """Bilinear forms, vectors from both sides."""
    w = matrix(key, N, N)
    return jnp.stack(
        [x[0] @ w @ x[1], x[1] @ w @ x[0], jnp.einsum("ti,ij,tj->t", x, w, x)[2], (w @ x[3])[0]]
    )


def dependent_rows(key, x):
    w = matrix(key, N, N)
    rows = [x[:2], x[:2], 0 * x[:1], x[:1] + x[1:2], 1e-25 * x[:1]]
    return forward_backward(lambda x: jnp.tanh(x @ w) @ w.T, jnp.concatenate(rows))


def half_precision_layer(key, x):
    """The rounding of weights to bfloat16 is left out: 2^-9 of them, independently."""
    w = matrix(key, N, N)
    half = lambda array: array.astype(jnp.bfloat16)
    y = (half(x) @ half(w)).astype(jnp.float32)
    return jnp.stack([y[0, 0], y[0] @ y[1], jnp.log(y[0] @ y[0]), (y @ w.T)[0] @ x[0]])


def networks_by_vmap(key, x):
    """vmap over keys of draws and uses, inside of f."""

    def network(key, x):
        a, b = matrices(key, 2, N, N)
        return jnp.tanh(jnp.tanh(x @ a) @ b)

    keys = jax.random.split(key, 3)
    return forward_backward(lambda x: jax.vmap(network, (0, None))(keys, x)[:, 0], x[:2])


SQUARE = (N, N)
CASES = {
    "mlp": (mlp, [SQUARE] * 3),
    "remat": (remat, [SQUARE] * 2),
    "both_sides": (both_sides, [SQUARE]),
    "experts": (experts, [(3, N, N)]),
    "per_head": (per_head, [(4, N, 6)] * 2),
    "heads_by_reshape": (heads_by_reshape, [SQUARE] * 4),
    "sums": (sums, [SQUARE] * 2),
    "diagonals": (diagonals, [SQUARE]),
    "centered": (centered, [SQUARE]),
    "second_derivative": (second_derivative, [SQUARE] * 2),
    "powers": (powers, [SQUARE]),
    "forms": (forms, [SQUARE]),
    "dependent_rows": (dependent_rows, [SQUARE]),
    "half_precision_layer": (half_precision_layer, [SQUARE]),
    "networks_by_vmap": (networks_by_vmap, [(3, N, N)] * 2),
}
WITHOUT_ADJOINT = {"second_derivative", "powers", "forms", "half_precision_layer"}


@pytest.mark.slow_cases("mlp", "both_sides", "second_derivative", "powers", "diagonals", "remat")
@pytest.mark.slow_cases(
    "experts",
    "per_head",
    "heads_by_reshape",
    "sums",
    "centered",
    "dependent_rows",
    "networks_by_vmap",
)
@pytest.mark.parametrize("name", CASES)
def test_law(name):
    f, deferred = CASES[name]
    assert_law(f, ROWS, deferred=deferred, adjoint=name not in WITHOUT_ADJOINT)


def test_what_products_are_explicit():
    for reason, f in (
        (
            "multiplied by a drawn array",
            lambda key, x: x @ (matrix(key, N, N) @ matrix(key, N, N).T),
        ),
        (
            "contracted along a third set of its axes",
            lambda key, x: (matrix(key, N, N).sum(), x @ matrix(key, N, N)),
        ),
    ):
        assert reasons(f, ROWS) == [reason]


def test_no_rows():
    """And the matrix is not touched by them."""

    def f(key, x):
        w = matrix(key, N, N)
        return x[:0] @ w, jax.vmap(lambda x: x @ w)(x[:0]), x @ w

    assert deferred_shapes(f, ROWS) == [SQUARE]
    assert [y.shape for y in transformed(f, share=ALWAYS)(KEY, ROWS)] == [(0, N), (0, N), (4, N)]


def test_half_precision_products_keep_the_precision_that_is_asked_for():
    """A gradient of bfloat16 rows in float32 is not rounded to bfloat16."""
    half = ROWS.astype(jnp.bfloat16)
    dims = (((0,), (0,)), ((), ()))
    outer = lambda a, b: jax.lax.dot_general(a, b, dims, preferred_element_type=jnp.float32)

    def f(key, x):
        y = (x @ matrix(key, N, 40 * N)).astype(jnp.bfloat16)
        return y, outer(half[:1], y[:1])

    assert deferred_shapes(f, ROWS) == [(N, 40 * N)]
    y, product = transformed(f, share=ALWAYS)(KEY, ROWS)
    exact = half[:1].astype(jnp.float32).T @ y[:1].astype(jnp.float32)
    np.testing.assert_allclose(product, exact, rtol=1e-6)
