"""Arrays that loops leave explicit."""

import jax
import jax.numpy as jnp
import pytest
from deferral_laws import ROWS, WIDTH, assert_law, backward, matrix, reasons, values

N = WIDTH


SQUARE, STACK = (N, N), (3, N, N)
scan = jax.lax.scan


def layer(x, w):
    return jnp.tanh(x @ w), None


def drawn_again_for_the_gradient(key, x):
    """Checkpointed: the backward loop draws from the keys of the forward loop."""
    keys = jax.random.split(key, 3)
    step = jax.checkpoint(lambda x, key: (jnp.tanh(x @ matrix(key, *SQUARE)), None))
    return backward(lambda x: scan(step, x, keys)[0], x)


def one_matrix_in_every_step(key, x):
    step = lambda x, _: (jnp.tanh(x @ matrix(key, *SQUARE)), None)
    return values(scan(step, x, None, length=2)[0])


def whole_and_in_slices(key, x):
    w = matrix(key, 2, N, N)
    u = matrix(jax.random.fold_in(key, 1), *STACK)
    step = lambda x, s: (jnp.tanh(x @ s[0]) @ s[1] + jnp.einsum("tn,lnm->tm", x, w), None)
    return values(scan(step, x, (w, u[:2]))[0])  # u stays deferred


def carried(key, x):
    w = matrix(key, *SQUARE)
    step = lambda carry, _: ((jnp.tanh(carry[0] @ carry[1]), 0.5 * carry[1]), None)
    return backward(lambda x: scan(step, (x, w), None, length=2)[0][0], x)


def summed_over_steps(key, x):
    """The gradient of a matrix that every step uses; then a step along it."""
    w = matrix(key, *SQUARE)
    loss = lambda w: jnp.mean((scan(layer_of(w), x, None, length=2)[0] - 1) ** 2)
    value, gradient = jax.value_and_grad(loss)(w)
    return jnp.stack([value, jnp.sum(gradient**2), loss(w - gradient)])


def layer_of(w):
    return lambda h, _: layer(h, w)


EXPLICIT = {
    "drawn_again_for_the_gradient": (
        drawn_again_for_the_gradient,
        2 * ["its key draws several arrays"],
    ),
    "one_matrix_in_every_step": (one_matrix_in_every_step, ["its key draws several arrays"]),
    "whole_and_in_slices": (whole_and_in_slices, ["used in a loop as a whole and in slices"]),
    "carried": (carried, ["carried through a loop"]),
    "summed_over_steps": (summed_over_steps, ["added to an array"]),
}


@pytest.mark.parametrize("name", EXPLICIT)
def test_what_is_explicit(name):
    f, expected = EXPLICIT[name]
    assert reasons(f, ROWS) == expected
    others = [STACK] if name == "whole_and_in_slices" else []
    assert_law(f, ROWS, deferred=others, adjoint=False, num=500)
