"""Equal equations are one, and those that nobody needs are left out."""

import jax
import jax.numpy as jnp
from deferral_laws import KEY, ROWS, WIDTH, matrix

from deepinit.deferral.program import flatten
from deepinit.deferral.simplify import simplified

N = WIDTH
scan = jax.lax.scan


def names(f, *args):
    """Of primitives, those in loops in a list."""
    return of_program(simplified(flatten(jax.make_jaxpr(f)(KEY, *args))))


def of_program(program):
    return [
        "draw" if eqn.draw else eqn.primitive.name if eqn.body is None else of_program(eqn.body)
        for eqn in program.equations
    ]


def test_recomputed_activations_are_merged():
    @jax.checkpoint
    def layer(x, w):
        return jnp.sin(jnp.cos(x @ w))

    def f(key, x):
        return jax.grad(lambda x: layer(x, matrix(key, N, N)).sum())(x)

    found = names(f, ROWS)
    assert found.count("draw") == 1
    assert found.count("dot_general") == 2  # forward and backward


def test_what_initialization_computes_beside_the_parameters():
    def init(key, x):
        w = matrix(key, N, N)
        return w, jnp.tanh(x @ w) @ w

    def f(key, x):
        w, _ = init(key, x)
        return x @ w

    assert names(f, ROWS).count("dot_general") == 1


def test_dead_carries_and_slices():
    def f(key, x):
        w = matrix(key, 3, N, N)

        def step(carry, w):
            x, dead, chain = carry
            return (x @ w, jnp.tanh(dead), jnp.cos(chain + dead)), (jnp.exp(x), jnp.sin(x))

        (y, _, _), (_, every) = scan(step, (x, x, x), w)
        return y, every

    (body,) = [part for part in names(f, ROWS) if isinstance(part, list)]
    assert sorted(body) == ["dot_general", "sin"]


def test_a_carry_that_another_needs_is_kept():
    def f(key, x):
        step = lambda carry, _: ((carry[0] + carry[1], jnp.cos(carry[1])), None)
        return scan(step, (x, x), None, length=3)[0][0]

    (body,) = [part for part in names(f, ROWS) if isinstance(part, list)]
    assert sorted(body) == ["add", "cos"]


def test_equal_loops_are_one():
    def f(key, x):
        w = matrix(key, 3, N, N)
        forward = lambda x: scan(lambda x, w: (jnp.tanh(x @ w), x), x, w)
        return forward(x)[0] + forward(x)[0], forward(x + 1)[0], forward(x)[1]

    # the third has other rows; the last, of which only slices are needed, other outputs
    assert sum(isinstance(part, list) for part in names(f, ROWS)) <= 3


def test_loops_in_other_order_or_of_other_bodies_are_not():
    def f(key, x):
        w = matrix(key, 3, N, N)
        one = lambda x, w: (jnp.tanh(x @ w), None)
        other = lambda x, w: (jnp.tanh(w @ x.T).T, None)
        third = lambda x, w: (jnp.tanh(x @ (2 * w)), None)
        fourth = lambda x, w: (jnp.tanh(x @ (3 * w)), None)
        return [
            scan(one, x, w)[0],
            scan(one, x, w, reverse=True)[0],
            *(scan(step, x, w)[0] for step in (other, third, fourth)),
        ]

    assert sum(isinstance(part, list) for part in names(f, ROWS)) == 5


def test_constants_are_compared_by_value():
    f = lambda key, x: (x * 2.0 + 1, x * jnp.float32(2.0) + 1, x * 3.0)
    assert names(f, ROWS).count("mul") == 2


def test_effects_are_kept():
    def f(key, x):
        jax.debug.print("{}", x[0, 0])
        jax.debug.print("{}", x[0, 0])
        return x

    assert names(f, ROWS).count("debug_print") + names(f, ROWS).count("debug_callback") == 2


def test_parameters_differ():
    f = lambda key, x: (x.sum(axis=0), x.sum(axis=1), x.sum(axis=0), x.T, jnp.transpose(x, (1, 0)))
    found = names(f, ROWS)
    assert found.count("reduce_sum") == 2
    assert found.count("transpose") == 1
