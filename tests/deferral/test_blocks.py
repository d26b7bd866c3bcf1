import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferred_arrays import deferred_arrays, reasons
from two_samples import assert_same_law, samples

from deepinit.deferral.function import transformed

KEY = jax.random.key(2)
ROWS = jax.random.normal(jax.random.key(4), (14, 12))


def assert_close(a, b):
    assert np.max(np.abs(a - b)) < 1e-4 * np.max(np.abs(b))


def blocks(key, axis):
    first, second = jax.random.split(key)
    shapes = [(12, 6), (12, 7)] if axis else [(6, 12), (7, 12)]
    parts = [jax.random.normal(k, shape) for k, shape in zip((first, second), shapes, strict=True)]
    return jnp.concatenate([parts[0] * 2, -parts[1], jnp.ones(parts[0].shape)], axis)


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_act_as_one_matrix_from_both_sides(axis):
    left = jax.random.normal(KEY, (3, 19))
    rows, other = (ROWS, left) if axis else (jax.random.normal(KEY, (21, 19)), ROWS[:3])
    scale = jnp.linspace(1, 2, 19 if axis else 12)

    def f(key):
        matrix = blocks(key, axis) * scale / 3
        experts = jnp.einsum("bi,io->ob", rows[:5], matrix.astype(jnp.float32))
        return rows @ matrix, other @ matrix.T, experts

    assert len(deferred_arrays(f, KEY)) == 2
    right, back, experts = transformed(f, share=math.inf)(KEY)
    matrix = np.linalg.lstsq(np.float64(rows), np.float64(right), rcond=None)[0]
    assert_close(np.float64(other) @ matrix.T, back)
    assert_close((np.float64(rows[:5]) @ matrix).T, experts)
    unscaled = matrix * 3 / np.asarray(scale)
    first, second, ones = np.split(unscaled, (6, 13), axis)
    assert_close(ones, np.ones_like(ones))
    assert abs(np.std(first) - 2) < 1
    assert abs(np.std(second) - 1) < 0.5


def test_padding_is_a_block():
    f = lambda key: ROWS @ jnp.pad(jax.random.normal(key, (10, 12)), ((1, 1), (0, 0)))
    assert len(deferred_arrays(f, KEY)) == 1
    found = transformed(f, share=math.inf)(KEY)
    matrix = np.linalg.lstsq(np.float64(ROWS), np.float64(found), rcond=None)[0]
    assert np.max(np.abs(matrix[[0, -1]])) < 1e-4
    assert 0.7 < np.std(matrix[1:-1]) < 1.3


@pytest.mark.filterwarnings("ignore:deferred")
def test_other_uses_of_blocks_are_explicit():
    for f, reason in (
        (lambda key: jnp.tanh(blocks(key, 0)), "no rule for tanh concatenated"),
        (lambda key: blocks(key, 1), "concatenated"),
        (
            lambda key: ROWS @ jnp.pad(jax.random.normal(key, (10, 10)), 1),
            "padded along several axes or inside",
        ),
    ):
        assert reasons(f, KEY) == {reason}
        np.testing.assert_array_equal(transformed(f)(KEY), jax.jit(f)(KEY))


@pytest.mark.slow
def test_an_lstm_with_fused_gates_is_in_law_the_explicit_one():
    normal = nn.initializers.normal(0.3)
    cell = nn.OptimizedLSTMCell(16, kernel_init=normal, recurrent_kernel_init=normal)
    net = nn.RNN(cell)
    inputs = ROWS[:3, None]

    def f(key, rival=0):
        params = net.init(key, inputs)
        outputs, pull = jax.vjp(lambda x: net.apply(params, x), inputs)
        if rival:
            other = net.init(jax.random.fold_in(key, 1), inputs)
            _, pull = jax.vjp(lambda x: net.apply(other, x), inputs)
        (slope,) = pull(outputs)
        last = outputs[-1, -1]
        return jnp.stack(
            [
                last[0],
                last @ outputs[0, -1],
                jnp.log(jnp.sum(slope**2)),
                jnp.sum(slope * inputs),
                jnp.sum(slope[0] * slope[1]),
            ]
        )

    assert len(deferred_arrays(f, KEY)) == 8
    draw = lambda f, seed: samples(f, num=1500, seed=seed)
    deferred = draw(transformed(f, share=math.inf), 1)
    assert_same_law(deferred, draw(f, 2), rejects=draw(lambda key: f(key, rival=1), 3))
