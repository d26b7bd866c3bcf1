"""Laws of the first steps of training: W_t is W_0 plus a sum of outer products."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from deferral_laws import ALWAYS, ROWS, WIDTH, assert_law, matrices, matrix, reasons

from deepinit.deferral.function import transformed

N = WIDTH
SQUARE, STACK = (N, N), (3, N, N)


def loss_of(x):
    return lambda p: jnp.mean((jnp.tanh(jnp.tanh(x @ p["a"]) @ p["b"]) - 1) ** 2)


def two(key):
    return dict(zip("ab", matrices(key, 2, N, N), strict=True))


def logs(values):
    return jnp.log(jnp.stack(values) + 1e-6)


def descent(key, x):
    loss, p = loss_of(x), two(key)
    losses = []
    for _ in range(3):
        value, g = jax.value_and_grad(loss)(p)
        losses += [value, jnp.sum(g["a"] ** 2), jnp.sum(g["b"] ** 2)]
        p = jax.tree.map(lambda p, g: p - 2 * g, p, g)
    return logs(losses)


def momentum_and_decay(key, x):
    loss, p = loss_of(x), two(key)
    m = jax.tree.map(jnp.zeros_like, p)
    losses = []
    for _ in range(2):
        value, g = jax.value_and_grad(loss)(p)
        m = jax.tree.map(lambda m, g: 0.9 * m + g, m, g)
        p = jax.tree.map(lambda p, m: p - 3 * m - 0.02 * p, p, m)
        losses.append(value)
    return logs([*losses, loss(p)])


def with_optax(key, x):
    loss, p = loss_of(x), two(key)
    optimizer = optax.chain(optax.add_decayed_weights(0.01), optax.sgd(2.0, momentum=0.9))
    state = optimizer.init(p)
    losses = []
    for _ in range(2):
        value, g = jax.value_and_grad(loss)(p)
        updates, state = optimizer.update(g, state, p)
        p = optax.apply_updates(p, updates)
        losses.append(value)
    return logs([*losses, loss(p)])


def stack(key, x):
    """Decay of a scanned stack, and its gradient in a loop."""
    w = matrix(key, *STACK)
    step = lambda x, w: (jnp.tanh(x @ w), None)
    loss = lambda w: jnp.mean((jax.lax.scan(step, x, w)[0] - 1) ** 2)
    losses = []
    for _ in range(3):
        value, g = jax.value_and_grad(loss)(w)
        losses += [value, jnp.sum(g**2)]
        w = 0.98 * w - 8 * g
    return logs(losses)


def penalty(key, x):
    """A step along the gradient of a squared gradient."""
    p = two(key)
    out = lambda p, x: jnp.sum(jnp.tanh(jnp.tanh(x @ p["a"]) @ p["b"]))
    squared = lambda p: jnp.sum(jax.grad(out, 1)(p, x) ** 2)
    value, g = jax.value_and_grad(squared)(p)
    return logs(
        [value, jnp.sum(g["a"] ** 2), squared(jax.tree.map(lambda p, g: p - 1e-3 * g, p, g))]
    )


def clipped(key, x):
    """The step depends on the norm of all gradients."""
    loss, p = loss_of(x), two(key)
    value, g = jax.value_and_grad(loss)(p)
    norm = optax.global_norm(g)
    p = jax.tree.map(lambda p, g: p - g / jnp.maximum(norm, 0.1), p, g)
    return logs([value, loss(p), norm])


CASES = {
    "descent": (descent, 1, 2 * [SQUARE]),
    "momentum_and_decay": (momentum_and_decay, 1, 2 * [SQUARE]),
    "with_optax": (with_optax, 1, 2 * [SQUARE]),
    "stack": (stack, 1, [STACK]),
    "clipped": (clipped, 1, 2 * [SQUARE]),
    "penalty": (penalty, 1, 2 * [SQUARE]),
}


@pytest.mark.slow_cases("descent", "momentum_and_decay")
@pytest.mark.slow_cases("penalty", "stack", "clipped", "with_optax")
@pytest.mark.parametrize("name", CASES)
def test_law(name):
    f, rows, deferred = CASES[name]
    assert_law(f, ROWS[:rows], deferred=deferred, adjoint=False)


def test_a_step_is_along_the_gradient():
    """Values of one call: the loss falls by the squared gradient to first order."""

    def f(key, x):
        loss, p = loss_of(x), two(key)
        value, g = jax.value_and_grad(loss)(p)
        squared = sum(jnp.sum(own**2) for own in jax.tree.leaves(g))
        after = loss(jax.tree.map(lambda p, g: p - 2e-3 * g, p, g))
        return (value - after) / squared * 500

    keys = jax.random.split(jax.random.key(0), 50)
    g = transformed(f, share=ALWAYS)
    ratios = jax.jit(lambda keys: jax.lax.map(lambda key: g(key, ROWS[:1]), keys))(keys)
    np.testing.assert_allclose(ratios, 1, atol=0.01)


def test_elementwise_optimizers_are_explicit():
    def f(key, x):
        loss, p = loss_of(x), two(key)
        p = jax.tree.map(lambda p, g: p - 0.1 * jnp.sign(g), p, jax.grad(loss)(p))
        return loss(p)

    assert reasons(f, ROWS[:1]) == ["added to an array"] * 2
