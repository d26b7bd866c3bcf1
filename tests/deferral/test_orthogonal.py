import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferred_arrays import deferred_arrays, reasons
from two_samples import assert_same_law, one_by_one, samples

import deepinit as di
from deepinit.deferral.function import transformed

KEY = jax.random.key(2)
SHAPES = [(9, 9), (8, 12), (12, 8)]
orthogonal = nn.initializers.orthogonal()


@pytest.mark.parametrize("shape", SHAPES)
def test_all_rows_from_both_sides_see_one_orthogonal_matrix(shape):
    keys = jax.random.split(KEY, 4)
    first, third = (jax.random.normal(key, (5, shape[0])) for key in keys[:2])
    second, fourth = (jax.random.normal(key, (5, shape[1])) for key in keys[2:])

    def f(key):
        matrix = orthogonal(key, shape)
        return first @ matrix, second @ matrix.T, third @ matrix, fourth @ matrix.T

    assert len(deferred_arrays(f, KEY)) == 1
    found = transformed(f, share=math.inf)(KEY)
    rows = jnp.concatenate([first, third])
    columns = jnp.concatenate([second, fourth])
    # entries from both sides by least squares
    unknown = np.prod(shape)
    design = np.concatenate(
        [np.kron(rows, np.eye(shape[1])), np.kron(np.eye(shape[0]), columns).reshape(-1, unknown)]
    )
    right = np.concatenate([found[0], found[2]])
    left = np.concatenate([found[1], found[3]]).T
    seen = np.concatenate([right.ravel(), left.ravel()])
    matrix, _, rank, _ = np.linalg.lstsq(np.float64(design), np.float64(seen), rcond=1e-9)
    assert rank == unknown
    assert np.max(np.abs(design @ matrix - seen)) < 1e-5 * np.max(np.abs(seen))
    matrix = matrix.reshape(shape)
    gram = matrix @ matrix.T if shape[0] <= shape[1] else matrix.T @ matrix
    assert np.max(np.abs(gram - np.eye(len(gram)))) < 2e-5


@pytest.mark.slow_cases("shape0", "shape2", "shape1")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_law_is_that_of_an_explicit_orthogonal_matrix(shape):
    rows = jax.random.normal(KEY, (3, shape[0]))
    rows = rows.at[2].set(rows[0] + rows[1])

    def f(key, init=orthogonal):
        matrix = init(key, shape)
        once = jnp.tanh(rows @ matrix)
        back = once @ matrix.T
        again = jnp.tanh(back) @ matrix
        return jnp.stack(
            [
                again[0, 0],
                once[0] @ again[1],
                jnp.sum(again**2),
                jnp.sum(back[2] * rows[0]),
                jnp.sum(once[0] ** 3),
            ]
        )

    assert len(deferred_arrays(f, KEY)) == 1
    draw = lambda f, seed: samples(f, num=3000, seed=seed)
    gaussian = nn.initializers.normal(max(shape) ** -0.5)
    assert_same_law(
        draw(transformed(f, share=math.inf), 1),
        one_by_one(f, num=3000, seed=2),
        rejects=draw(lambda key: f(key, gaussian), 3),
    )


def test_stacks_and_kernels_of_orthogonal_matrices():
    rows = jax.random.normal(KEY, (4, 12))

    def f(key):
        keys = jax.random.split(key, 4)
        stack = jax.vmap(lambda key: orthogonal(key, (12, 12)))(keys[:3])
        kernel = orthogonal(keys[3], (3, 4, 20))

        def forward(x):
            x, _ = jax.lax.scan(lambda x, matrix: (x @ matrix, None), x, stack)
            return jnp.einsum("bwi,wio->bo", x.reshape(-1, 3, 4), kernel)

        outputs, pull = jax.vjp(forward, rows)
        return outputs, pull(outputs)[0]

    assert len(deferred_arrays(f, KEY)) == 2
    outputs, back = transformed(f, share=math.inf)(KEY)
    np.testing.assert_allclose(outputs @ outputs.T, rows @ rows.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(back, rows, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:deferred")
def test_parts_of_orthogonal_matrices_are_explicit():
    rows = jax.random.normal(KEY, (4, 6))
    for f, reason in (
        (lambda key: rows @ orthogonal(key, (12, 12))[:6], "used as a whole and in parts"),
        (
            lambda key: jnp.einsum("bi,ioj->boj", rows, orthogonal(key, (6, 3, 12))),
            "contracted along a third set of its axes",
        ),
        (lambda key: orthogonal(key, (12, 12)), "returned"),
    ):
        assert reasons(f, KEY) == {reason}
        np.testing.assert_array_equal(transformed(f)(KEY), jax.jit(f)(KEY))


def test_products_with_orthogonal_matrices_are_tapped():
    _, found = di.taps(lambda key: jnp.ones((2, 9)) @ orthogonal(key, (9, 9)))(KEY)
    assert list(found) == ["orthogonal_9x9"]


@pytest.mark.slow
def test_a_stock_lstm_with_gaussian_input_kernels():
    net = nn.RNN(nn.LSTMCell(12, kernel_init=nn.initializers.normal(0.3)))
    inputs = jax.random.normal(KEY, (2, 3, 12))

    def f(key, rival=0):
        params = net.init(key, inputs)
        outputs, pull = jax.vjp(lambda x: net.apply(params, x), inputs)
        if rival:
            other = net.init(jax.random.fold_in(key, 1), inputs)
            _, pull = jax.vjp(lambda x: net.apply(other, x), inputs)
        (slope,) = pull(outputs)
        last = outputs[0, -1]
        return jnp.stack(
            [last[0], last @ outputs[1, -1], jnp.log(jnp.sum(slope**2)), jnp.sum(slope * inputs)]
        )

    assert len(deferred_arrays(f, KEY)) == 8
    deferred = samples(transformed(f, share=math.inf), num=500, seed=1)
    rival = one_by_one(lambda key: f(key, rival=1), num=500, seed=3)
    assert_same_law(deferred, one_by_one(f, num=500, seed=2), rejects=rival)
