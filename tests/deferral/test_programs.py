"""Random programs: what they compute with deferred matrices fits one set of matrices.

A program ends with products by the unit matrix, which draw what is left of every matrix. Then the
program with these matrices has the same results.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import ALWAYS, KEY, ROWS, decisions, matrix

from deepinit.deferral.function import transformed

N, T = 12, 3
X = jax.random.normal(jax.random.key(2), (T, N))
IDS = jnp.array([1, 7, 1])
EYE = jnp.eye(N)
scan = jax.lax.scan


def layer(h, w):
    return jnp.tanh(h @ w), None


def right(p, h):
    return p, jnp.tanh(h @ p["a"])


def left(p, h):
    return p, jnp.tanh(p["b"] @ h.T).T


def both(p, h):
    return p, jnp.tanh(h @ p["a"]) @ p["a"].T


def of_sums(p, h):
    return p, h @ (0.5 * p["a"] - p["b"].T)


def with_diagonals(p, h):
    gains = jnp.linspace(-1.0, 1.0, N)
    return p, h @ (p["b"] * gains[:, None] * (1 + gains))


def centered(p, h):
    return p, h @ (p["a"] - p["a"].mean(axis=0))


def through_a_stack(p, h):
    return p, scan(layer, h, p["s"])[0]


def back_through_a_stack(p, h):
    step = jax.checkpoint(lambda h, w: (jnp.tanh(h @ w.T) + h, None))
    return p, scan(step, h, p["s"], reverse=True)[0]


def recurrent(p, h):
    return p, scan(lambda h, _: layer(h, p["a"]), h, None, length=2)[0]


def recurrent_stack(p, h):
    return p, scan(lambda h, _: scan(layer, h, p["s"]), h, jnp.arange(2))[0]


def gradient(p, h):
    return p, jax.grad(lambda h: jnp.sum(jnp.tanh(h @ p["a"]) * jnp.cos(h @ p["b"])))(h)


def gradient_of_a_loop(p, h):
    return p, jax.grad(lambda h: jnp.sum(jnp.sin(scan(layer, h, p["s"])[0])))(h)


def tangent(p, h):
    f = lambda h: jnp.tanh(jnp.tanh(h @ p["b"]) @ p["a"])
    return p, jax.jvp(f, (h,), (jnp.sin(h),))[1]


def descent(p, h):
    loss = lambda w: jnp.mean((jnp.tanh(h[:1] @ w) - 1) ** 2)
    return p | {"a": p["a"] - 3 * jax.grad(loss)(p["a"])}, h


def descent_of_the_stack(p, h):
    loss = lambda w: jnp.mean((scan(layer, h[:1], w)[0] - 1) ** 2)
    return p | {"s": 0.9 * p["s"] - 5 * jax.grad(loss)(p["s"])}, h


def heads(p, h):
    w = p["b"].reshape(N, 3, 4)
    return p, jnp.einsum("thd,nhd->tn", jnp.tanh(jnp.einsum("tn,nhd->thd", h, w)), w)


def rows(p, h):
    return p, h * p["a"][IDS] + p["b"][:, IDS].T


def row_by_row(p, h):
    return p, jax.vmap(lambda h: jnp.tanh(p["a"].T @ h) @ p["b"])(h)


def every_layer_at_once(p, h):
    return p, jnp.einsum("ltn,lnm->ltm", jnp.stack([h, 2 * h, -h]), p["s"]).sum(axis=0)


STEPS = [
    right,
    left,
    both,
    of_sums,
    with_diagonals,
    centered,
    through_a_stack,
    back_through_a_stack,
    recurrent,
    recurrent_stack,
    gradient,
    gradient_of_a_loop,
    tangent,
    descent,
    descent_of_the_stack,
    heads,
    rows,
    row_by_row,
    every_layer_at_once,
]


def drawn(key):
    one, other, third = jax.random.split(key, 3)
    return {"a": matrix(one, N, N), "b": matrix(other, N, N), "s": matrix(third, 3, N, N)}


def composed(choices):
    """Matrices -> results of steps, scaled that nothing explodes."""

    def run(p):
        h, found = X, []
        for choice in choices:
            p, h = STEPS[choice](p, h)
            h = h / jnp.sqrt(1e-3 + jnp.mean(h**2))
            found.append(h)
        return found

    return run


def check(seed, length=4):
    choices = np.random.default_rng(seed).integers(len(STEPS), size=length)
    run = composed(choices)

    def f(key):
        p = drawn(key)
        whole = {"a": EYE @ p["a"], "b": EYE @ p["b"]}
        whole["s"] = jnp.einsum("lij,ljk->lik", jnp.stack([EYE] * 3), p["s"])
        return run(p), whole

    names = [STEPS[choice].__name__ for choice in choices]
    explicit = decisions(f).explicit
    assert not explicit, (names, explicit)
    results, whole = transformed(f, share=ALWAYS)(KEY)
    expected = jax.jit(run)(whole)
    for number, (found, own) in enumerate(zip(results, expected, strict=True)):
        np.testing.assert_allclose(found, own, atol=2e-3, err_msg=f"step {number} of {names}")


@pytest.mark.slow_cases("1", "2")
@pytest.mark.parametrize("seed", range(3))
def test_random_program(seed):
    check(seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(3, 40))
def test_random_programs(seed):
    check(seed, length=5)


def test_arrays_that_see_the_same_rows_in_a_loop_share_directions():
    def f(number):
        def g(key, x):
            stacks = [
                jax.random.normal(own, (3, 24, 24)) / 5 for own in jax.random.split(key, number)
            ]
            step = lambda x, own: (jnp.tanh(sum(x @ w for w in own)), None)
            return jax.lax.scan(step, x, stacks)[0]

        return transformed(g, share=ALWAYS)

    searches = lambda number: str(jax.make_jaxpr(f(number))(KEY, ROWS)).count("while[")
    assert searches(3) == searches(1) > 0
