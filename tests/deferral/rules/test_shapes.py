"""Laws where drawn arrays are reshaped, transposed, cut and summed over."""

import jax
import jax.numpy as jnp
import pytest
from deferral_laws import ROWS, WIDTH, assert_law, forward_backward, matrix, reasons

N = WIDTH
SQUARE = (N, N)


def fused(key, x):
    """Queries, keys and values of one matrix."""
    w = matrix(key, N, 3 * N)

    def f(x):
        q, k, v = jnp.split(x @ w, 3, axis=-1)
        return jnp.tanh(q * k + v)

    return forward_backward(f, x)


def split_weights(key, x):
    q, k, v = jnp.split(matrix(key, N, 3 * N), 3, axis=-1)
    return forward_backward(lambda x: jnp.tanh((x @ q) * (x @ k) + x @ v) @ q.T, x)


def indexed_stack(key, x):
    w = jax.random.normal(key, (3, N, N)) * N**-0.5
    return forward_backward(lambda x: jnp.tanh(jnp.tanh(x @ w[0]) @ w[1]) @ w[-1] @ w[0].T, x)


def blocks_of_blocks(key, x):
    """Parts of parts: the top left and the bottom right of a matrix."""
    w = matrix(key, 2 * N, 2 * N)
    top, bottom = w[:N], w[N:]
    a, b = top[:, :N], bottom[:, N:]
    return forward_backward(lambda x: jnp.tanh(jnp.tanh(x @ a) @ b) @ a.T, x)


def transposed_and_merged(key, x):
    w = jnp.transpose(jax.random.normal(key, (6, 4, N)), (2, 0, 1)).reshape(N, 24) * N**-0.5
    return forward_backward(lambda x: jnp.tanh(jnp.tanh(x @ w) @ w.T), x)


def refined_after_use(key, x):
    w = matrix(key, *SQUARE)

    def f(x):
        h = jnp.tanh(x @ w)
        heads = jnp.einsum("thd,nhd->tn", h.reshape(-1, 4, 6), w.reshape(N, 4, 6))
        return jnp.tanh(heads) + jnp.einsum(
            "tabc,abcn->tn", x.reshape(-1, 2, 3, 4), w.reshape(2, 3, 4, N)
        )

    return forward_backward(f, x)


def axes_of_size_one(key, x):
    w = jax.random.normal(key, (1, N, 1, N)) * N**-0.5
    f = lambda x: jnp.tanh(jnp.tanh(x @ w[0, :, 0]) @ jnp.squeeze(w).T[None][0])
    return forward_backward(lambda x: f(x) + jnp.einsum("tn,anbm->tm", x, w), x)


def row_sums(key, x):
    w = matrix(key, *SQUARE)
    y = x @ w
    return jnp.stack(
        [y[0, 0], y[0] @ y[1], w.sum(axis=0)[0], w.sum(axis=0) @ y[2], w.mean(axis=0)[1]]
    )


def readout(key, x):
    one, other = jax.random.split(key)
    w, v = matrix(one, *SQUARE), matrix(other, 3 * N, 2)
    return forward_backward(lambda x: jnp.tanh(jnp.tile(jnp.tanh(x @ w), 3) @ v), x)


CASES = {
    "fused": (fused, [(N, 3 * N)]),
    "split_weights": (split_weights, [(N, 3 * N)]),
    "indexed_stack": (indexed_stack, [(3, N, N)]),
    "blocks_of_blocks": (blocks_of_blocks, [(2 * N, 2 * N)]),
    "transposed_and_merged": (transposed_and_merged, [(6, 4, N)]),
    "refined_after_use": (refined_after_use, [SQUARE]),
    "axes_of_size_one": (axes_of_size_one, [(1, N, 1, N)]),
    "row_sums": (row_sums, [SQUARE]),
    "readout": (readout, [SQUARE, (3 * N, 2)]),
}


@pytest.mark.slow_cases(
    "split_weights", "indexed_stack", "blocks_of_blocks", "refined_after_use", "axes_of_size_one"
)
@pytest.mark.parametrize("name", CASES)
def test_law(name):
    f, deferred = CASES[name]
    assert_law(f, ROWS, deferred=deferred, adjoint=name != "row_sums")


EXPLICIT = {
    "reshaped to (36, 16), across its axes": lambda w, x: x[:, :16] @ w.reshape(36, 16).T,
    "used in parts that overlap": lambda w, x: x[:, :12] @ w[:12] + x[:, 6:18] @ w[6:18],
    "used as a whole and in parts": lambda w, x: x @ w + x[:, :12] @ w[:12],
    "sliced with strides": lambda w, x: x[:, ::2] @ w[::2],
    "sliced across its axes": lambda w, x: x @ w.reshape(N * N)[: N * 12].reshape(N, 12),
    "repeated along a new axis": lambda w, x: jnp.einsum(
        "ti,tij->tj", x, jnp.broadcast_to(w, (4, N, N))
    ),
    "no rule for dot_general reversed": lambda w, x: x @ w[::-1],
    "no rule for select_n": lambda w, x: x @ jnp.tril(w),
    "padded along several axes or inside": lambda w, x: (
        jnp.pad(x, ((0, 0), (0, 1))) @ jnp.pad(w, ((0, 1), (1, 0)))
    ),
    "no rule for scatter": lambda w, x: x @ w.at[2:4].set(0.0),
    "no rule for cumsum": lambda w, x: x @ jnp.cumsum(w, axis=0),
    "no rule for sort": lambda w, x: x @ jnp.sort(w),
    "returned": lambda w, x: (w, x @ w),
}


@pytest.mark.parametrize("reason", EXPLICIT)
def test_what_is_explicit(reason):
    """And then equal to f bit for bit."""
    f = lambda key, x: EXPLICIT[reason](matrix(key, N, N), x)
    assert reasons(f, ROWS) == [reason]
