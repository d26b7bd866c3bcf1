"""Laws where drawn arrays enter, leave and stay in `scan`."""

import jax
import jax.numpy as jnp
import pytest
from deferral_laws import ROWS, WIDTH, assert_law, backward, forward_backward, matrices, matrix

N = WIDTH
SQUARE, STACK = (N, N), (3, N, N)
scan = jax.lax.scan


def layer(x, w):
    return jnp.tanh(x @ w), None


def stack(key, x):
    w = matrix(key, *STACK)
    return forward_backward(lambda x: scan(layer, x, w)[0], x)


def checkpointed(key, x):
    w = matrix(key, *STACK)
    return forward_backward(lambda x: scan(jax.checkpoint(layer), x, w)[0], x)


def backwards(key, x):
    w = matrix(key, *STACK)
    f = lambda x: scan(layer, scan(layer, x, w, reverse=True)[0], w)[0]
    return forward_backward(f, x[:2])


def drawn_in_a_loop(key, x):
    draw = lambda carry, key: (carry, matrix(key, *SQUARE))
    w = scan(draw, 0, jax.random.split(key, 3))[1]
    return forward_backward(lambda x: scan(layer, x, w)[0], x)


def drawn_and_used_in_a_loop(key, x):
    keys = jax.random.split(key, 3)
    step = lambda x, key: (jnp.tanh(x @ matrix(key, *SQUARE)), None)
    return backward(lambda x: scan(step, x, keys)[0], x)


def by_vmap(key, x):
    w = jax.vmap(lambda key: matrix(key, *SQUARE))(jax.random.split(key, 3))
    return forward_backward(lambda x: scan(layer, x, w)[0], x)


def recurrent(key, x):
    w = matrix(key, *SQUARE)
    step = lambda h, _: (jnp.tanh(h @ w) + x[:1], h)

    def f(x):
        last, states = scan(step, x, None, length=4)
        return last + states[1]

    return forward_backward(f, x[:1])


def recurrent_after_use(key, x):
    """The state of the matrix before, in and after a loop."""
    w = matrix(key, *SQUARE)
    step = lambda h, _: (jnp.tanh(h @ w), None)
    f = lambda x: scan(step, jnp.tanh(x @ w.T), None, length=2)[0] @ w
    return forward_backward(f, x[:2])


def recurrent_layers(key, x):
    """A stack that every step of a loop uses, layer by layer in a loop."""
    w = matrix(key, 2, N, N)
    step = lambda h, _: (scan(layer, h, w)[0] + x[:1], None)
    return forward_backward(lambda x: scan(step, x, None, length=3)[0], x[:1])


def layers_of_recurrent(key, x):
    """A stack in slices, each of which is used in every step of an inner loop."""
    w = matrix(key, 2, N, N)
    inner = lambda x, w: (scan(lambda h, _: layer(h, w), x, None, length=2)[0], None)
    return forward_backward(lambda x: scan(inner, x, w)[0], x[:2])


def stack_of_stacks(key, x):
    w = matrix(key, 2, 2, N, N)
    inner = lambda x, w: (scan(layer, x, w)[0], None)
    return forward_backward(lambda x: scan(inner, x, w)[0], x)


def twice_over_one_stack(key, x):
    w = matrix(key, *STACK)
    transposed = lambda x, w: (jnp.tanh(x @ w.T), None)
    return forward_backward(lambda x: scan(transposed, scan(layer, x, w)[0], w)[0], x[:2])


def before_and_after(key, x):
    """All matrices of a stack at once, then one by one, then at once."""
    w = matrix(key, *STACK)

    def f(x):
        rows = jnp.tanh(jnp.einsum("ltn,lnm->ltm", jnp.stack([x] * 3), w)).mean(axis=0)
        rows = scan(layer, rows, w)[0]
        return jnp.einsum("ltn,lmn->ltm", jnp.stack([rows] * 3), w).sum(axis=0)

    return forward_backward(f, x[:2])


def along_the_second_axis(key, x):
    w = matrix(key, 2, 3, N, N)

    def f(x):
        every = jnp.einsum("ehtn,ehnm->ehtm", jnp.broadcast_to(x, (2, 3, *x.shape)), w)
        step = lambda h, w: (jnp.tanh(jnp.einsum("etn,enm->etm", h, w)), None)
        return scan(step, jnp.tanh(every[:, 1]), jnp.moveaxis(w, 1, 0))[0][1]

    return forward_backward(f, x[:2])


def one_step(key, x):
    w = matrix(key, 1, N, N)
    f = lambda x: scan(jax.checkpoint(layer), scan(layer, x, w)[0], w)[0]
    return forward_backward(f, x)


def no_step(key, x):
    w = matrix(key, *SQUARE)
    empty = matrix(jax.random.fold_in(key, 1), 0, N, N)
    f = lambda x: scan(layer, scan(lambda h, _: layer(h, w), x, None, length=0)[0] @ w, empty)[0]
    return forward_backward(f, x)


def parts_of_slices(key, x):
    w = matrix(key, 2, N, 3 * N)

    def step(x, w):
        q, k, v = jnp.split(0.5 * w, 3, axis=-1)
        return jnp.tanh((x @ q) * (x @ k) + x @ v), None

    return forward_backward(lambda x: scan(step, x, w)[0], x[:2])


def gates(key, x):
    """Parts of a matrix that every step uses: an LSTM."""
    w, u = matrices(key, 2, N, 3 * N)

    def step(state, x):
        h, c = state
        forget, gate, value = (
            x @ w[:, N * i : N * (i + 1)] + h @ u[:, N * i : N * (i + 1)] for i in range(3)
        )
        c = jax.nn.sigmoid(forget) * c + jnp.tanh(value)
        return (jax.nn.sigmoid(gate) * c, c), None

    f = lambda x: scan(step, (x[:1], x[:1]), x[1:, None])[0][0]
    return forward_backward(f, x[:3])


def dead_carries(key, x):
    """What `init` computes beside the matrices, and carries that nobody reads."""
    a, b = matrices(key, 2, *STACK)

    def step(carry, slices):
        x, unused, count = carry
        w, v = slices
        return (jnp.tanh(x @ w), jnp.tanh(unused @ v), count + 1), (x, unused @ v)

    f = lambda x: scan(step, (x, x, 0), (a, b))[0][0]
    return forward_backward(f, x)


def keys_in_the_carry(key, x):
    def step(carry, _):
        key, x = carry
        key, own = jax.random.split(key)
        return (key, jnp.tanh(x @ matrix(own, *SQUARE))), None

    return backward(lambda x: scan(step, (key, x), None, length=3)[0][1], x)


def sum_of_stacks(key, x):
    a, b = matrices(key, 2, *STACK)
    step = lambda x, w: (jnp.tanh(x @ w.T), None)
    return forward_backward(lambda x: scan(step, scan(layer, x, a + b)[0], a)[0], x[:2])


def taken_in_two_orders(key, x):
    """Slices along different axes of a stack of stacks."""
    w = matrix(key, 2, 2, N, N)
    inner = lambda x, w: (scan(layer, x, w)[0], None)
    f = lambda x: scan(inner, scan(inner, x, w)[0], jnp.swapaxes(w, 0, 1))[0]
    return forward_backward(f, x[:2])


CASES = {
    "stack": (stack, [STACK]),
    "checkpointed": (checkpointed, [STACK]),
    "backwards": (backwards, [STACK]),
    "drawn_in_a_loop": (drawn_in_a_loop, [SQUARE]),
    "drawn_and_used_in_a_loop": (drawn_and_used_in_a_loop, [SQUARE]),
    "by_vmap": (by_vmap, [STACK]),
    "recurrent": (recurrent, [SQUARE]),
    "recurrent_after_use": (recurrent_after_use, [SQUARE]),
    "recurrent_layers": (recurrent_layers, [(2, N, N)]),
    "layers_of_recurrent": (layers_of_recurrent, [(2, N, N)]),
    "stack_of_stacks": (stack_of_stacks, [(2, 2, N, N)]),
    "twice_over_one_stack": (twice_over_one_stack, [STACK]),
    "before_and_after": (before_and_after, [STACK]),
    "along_the_second_axis": (along_the_second_axis, [(2, 3, N, N)]),
    "one_step": (one_step, [(1, N, N)]),
    "no_step": (no_step, [SQUARE]),
    "parts_of_slices": (parts_of_slices, [(2, N, 3 * N)]),
    "gates": (gates, [(N, 3 * N)] * 2),
    "dead_carries": (dead_carries, [STACK]),
    "keys_in_the_carry": (keys_in_the_carry, [SQUARE]),
    "taken_in_two_orders": (taken_in_two_orders, [(2, 2, N, N)]),
    "sum_of_stacks": (sum_of_stacks, [STACK] * 2),
}


WITHOUT_TANGENTS = {"drawn_and_used_in_a_loop", "keys_in_the_carry"}


@pytest.mark.slow_cases(
    "backwards",
    "recurrent_after_use",
    "stack_of_stacks",
    "layers_of_recurrent",
    "recurrent",
    "recurrent_layers",
    "checkpointed",
    "by_vmap",
)
@pytest.mark.slow_cases(
    "before_and_after",
    "along_the_second_axis",
    "one_step",
    "parts_of_slices",
    "gates",
    "taken_in_two_orders",
    "sum_of_stacks",
    "twice_over_one_stack",
)
@pytest.mark.parametrize("name", CASES)
def test_law(name):
    f, deferred = CASES[name]
    assert_law(f, ROWS, deferred=deferred, adjoint=name not in WITHOUT_TANGENTS)
