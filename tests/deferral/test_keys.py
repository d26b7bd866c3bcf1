"""Draws that share a key are explicit, whatever the forms of the key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import ROWS, WIDTH, assert_law, deferred_shapes, matrix, reasons, values

N = WIDTH
SQUARE = (N, N)
SHARED, CONSTANT = "its key draws several arrays", "drawn from a constant key"
split = jax.random.split


def net(x, key):
    return jnp.tanh(x @ matrix(key, *SQUARE))


def unpacked_and_indexed(key, x):
    first, _ = split(key)
    return net(x, first) + net(x, split(key)[0])


def by_a_traced_index(key, x):
    keys = split(key, 3)
    return net(x, keys[0]) + net(x, keys[jnp.argmin(x[0] ** 2) // N])


def under_vmap_and_alone(key, x):
    keys = split(key, 3)
    every = jax.vmap(net, (None, 0))(x, keys)
    return every.sum(axis=0) + net(x, keys[1])


def equal_keys_under_vmap(key, x):
    return jax.vmap(net, (None, 0))(x, jnp.stack([key] * 3)).sum(axis=0)


def in_a_branch(key, x):
    return jax.lax.cond(x[0, 0] > 0, net, lambda x, key: x, x, key) + net(x, key)


def raw_in_a_branch(key, x):
    raw = jax.random.key_data(key)
    return jax.lax.cond(x[0, 0] > 0, net, lambda x, key: x, x, raw) + net(x, raw)


def in_two_loops(key, x):
    keys = split(key, 2)
    step = lambda x, key: (net(x, key), None)
    double = lambda x, key: (net(2 * x, key), None)
    return jax.lax.scan(double, jax.lax.scan(step, x, keys)[0], keys)[0]


def in_a_loop_and_outside(key, x):
    step = lambda carry, key: (net(carry, key), None)
    return jax.lax.scan(step, net(x, split(key, 2)[1]), split(key, 2))[0]


def carried_unchanged(key, x):
    step = lambda carry, shift: ((carry[0], net(carry[1] + shift, carry[0])), None)
    return jax.lax.scan(step, (key, x), jnp.arange(2.0))[0][1]


def two_laws(key, x):
    return net(x, key) + x @ jax.random.normal(key, (N, 2 * N))[:, :N]


def rademacher(key, x):
    return net(x, key) * jax.random.rademacher(key, x.shape, x.dtype)


ALIASED = {
    f.__name__: f
    for f in (
        unpacked_and_indexed,
        by_a_traced_index,
        under_vmap_and_alone,
        equal_keys_under_vmap,
        in_a_branch,
        raw_in_a_branch,
        in_two_loops,
        in_a_loop_and_outside,
        carried_unchanged,
        two_laws,
        rademacher,
    )
}


@pytest.mark.parametrize("name", ALIASED)
def test_one_key_is_one_array(name):
    f = lambda key, x: values(ALIASED[name](key, x))
    assert set(reasons(f, ROWS)) <= {SHARED, "drawn inside cond", "uniform law"}
    assert SHARED in reasons(f, ROWS)
    assert deferred_shapes(f, ROWS) == []


def test_one_initialization_in_two_forms_has_its_law():
    f = lambda key, x: values(jnp.concatenate([net(x, split(key)[0]), net(x, split(key, 2)[0])]))
    assert_law(f, ROWS, deferred=[SQUARE], adjoint=False)


def test_different_keys_are_deferred():
    """Splits, folded numbers, steps of a loop, raw keys, keys of another kind."""

    def f(key, x):
        first, *rest = split(key, 4)
        raw = jax.random.key_data(rest[0])
        other = jax.random.wrap_key_data(jnp.tile(jax.random.key_data(rest[1]), 2), impl="rbg")
        x = net(net(net(x, jax.random.fold_in(first, 1)), raw), other)
        return jax.lax.scan(lambda x, key: (net(x, key), None), x, split(rest[2], 3))[0]

    assert deferred_shapes(f, ROWS) == [SQUARE] * 4


def test_constant_keys_are_not_random():
    fixed = jax.random.key(7)
    f = lambda key, x: net(x, fixed) + net(x, jax.random.fold_in(fixed, 1)) + net(x, key)
    assert reasons(f, ROWS) == [CONSTANT] * 2
    assert deferred_shapes(f, ROWS) == [SQUARE]


def test_seeds_are_keys():
    f = lambda key, seed, x: net(x, jax.random.key(seed)) + net(x, jax.random.PRNGKey(seed + 1))
    assert deferred_shapes(f, 3, ROWS) == [SQUARE] * 2


def test_a_stack_that_two_initializations_draw_is_one():
    """Loops with equal bodies and keys are merged, whatever else they compute."""

    def init(key, x):
        def step(x, key):
            w = matrix(key, *SQUARE)
            return jnp.tanh(x @ w), w

        return jax.lax.scan(step, x, split(key, 3))[1]

    def f(key, x):
        step = lambda x, w: (jnp.tanh(x @ w), None)
        one, other = init(key, x), init(key, jnp.ones((7, N)))
        y = jax.lax.scan(step, jax.lax.scan(step, x, one)[0], other)[0]
        return values(y)

    assert_law(f, ROWS, deferred=[SQUARE], adjoint=False)


def test_keys_do_not_cost_activations():
    """Only keys are computed for the plan: not the draw of 1e12 numbers, nor its use."""
    f = lambda key, x: x @ jax.random.normal(key, (10**6, 10**6))
    x = jax.ShapeDtypeStruct((2, 10**6), np.float32)
    assert deferred_shapes(f, x) == [(10**6, 10**6)]
