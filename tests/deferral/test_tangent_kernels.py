"""Empirical tangent kernels as anybody writes them, against neural-tangents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import ALWAYS, KEY, ROWS, WIDTH, assert_law, matrix
from two_samples import samples

from deepinit.deferral.function import transformed
from deepinit.infinite_width.neural_tangents import neural_tangents

N = WIDTH
X = ROWS[:3]
PAIRS = np.triu_indices(3)
IDS = jnp.array([[3, 5, 3], [1, 1, 7]])


def mlp(key):
    keys = jax.random.split(key, 4)
    params = {
        "first": matrix(keys[0], N, 2 * N),
        "second": matrix(keys[1], 2 * N, N),
        "bias": 0.1 * jax.random.normal(keys[2], (N,)),
        "last": matrix(keys[3], N, 1),
    }

    def out(params, x):
        h = jnp.tanh(x @ params["first"])
        return (jnp.tanh(h @ params["second"] + params["bias"]) @ params["last"])[:, 0]

    return params, out


def of_jacobians(key, x):
    params, out = mlp(key)
    rows = jax.tree.leaves(jax.jacrev(lambda p: out(p, x))(params))
    kernel = sum(jnp.einsum("i...,j...->ij", row, row) for row in rows)
    return kernel[PAIRS]


def of_gradients(key, x):
    """Inner products of the gradients of single outputs."""
    params, out = mlp(key)
    rows = [jax.grad(lambda p, x=x: out(p, x[None])[0])(params) for x in x]
    product = lambda a, b: sum(
        jnp.vdot(p, q) for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )
    return jnp.stack([product(rows[i], rows[j]) for i, j in zip(*PAIRS, strict=True)])


def of_neural_tangents(key, x):
    params, out = mlp(key)
    kernel_fn = neural_tangents().empirical_ntk_fn(
        lambda p, x: out(p, x)[:, None], trace_axes=(-1,)
    )
    return kernel_fn(x, None, params)[PAIRS]


def tied_scan(key):
    """An embedding that is also the readout, and a stack that is used twice."""
    table, stack = jax.random.normal(key, (32, N)), matrix(jax.random.fold_in(key, 1), 2, N, N)
    params = {"table": table, "stack": stack}

    def out(params, ids):
        step = lambda h, w: (jnp.tanh(h @ w) @ w.T, None)
        h = jax.lax.scan(step, params["table"][ids], params["stack"])[0]
        return jnp.sum(jnp.mean(h, axis=1) * params["table"][ids[:, 1]], axis=1)

    return params, out


def of_tied_scan(key, ids):
    params, out = tied_scan(key)
    rows = jax.tree.leaves(jax.jacrev(lambda p: out(p, ids))(params))
    kernel = sum(jnp.einsum("i...,j...->ij", row, row) for row in rows)
    return jnp.stack([jnp.log(kernel[0, 0]), jnp.log(kernel[1, 1]), kernel[0, 1]])


@pytest.mark.slow_cases("of_gradients")
@pytest.mark.parametrize("f", [of_jacobians, of_gradients])
def test_law_is_that_of_neural_tangents(f):
    shapes = [(N, 2 * N), (2 * N, N)]
    assert_law(f, X, deferred=shapes, explicit=of_neural_tangents, adjoint=False)


@pytest.mark.slow
def test_tied_embedding_and_stack():
    """Looked up, read out and scanned: gradients of every use."""
    assert_law(of_tied_scan, IDS, deferred=[(32, N), (2, N, N)], adjoint=False)


@pytest.mark.slow
def test_the_two_forms_agree_in_one_network():
    f = lambda key, x: (of_jacobians(key, x), of_gradients(key, x))
    one, other = transformed(f, share=ALWAYS)(KEY, X)
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_width_one_over():
    """The variance of the kernel falls as 1/width; its mean stays."""
    spread = {}
    for width in (64, 256):

        def f(key, x, width=width):
            params = matrix(key, width, width), matrix(jax.random.fold_in(key, 1), width, 1)
            out = lambda p: (jnp.tanh(x @ p[0]) @ p[1])[0, 0]
            return jnp.log(sum(jnp.sum(g**2) for g in jax.grad(out)(params)))[None]

        x = jnp.ones((1, width))
        spread[width] = samples(transformed(f, share=ALWAYS), x, num=1000, seed=3).var() * width
    assert abs(np.log(spread[64] / spread[256])) < 5 * np.sqrt(4 / 1000)
