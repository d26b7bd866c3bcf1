"""Laws of sums, scalings and conversions of drawn arrays."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deferral_laws import (
    ALWAYS,
    KEY,
    ROWS,
    WIDTH,
    assert_law,
    decisions,
    matrices,
    matrix,
    reasons,
    values,
)
from jax.ad_checkpoint import checkpoint_name

from deepinit.deferral.function import transformed

N = WIDTH
SQUARE = (N, N)


def scalars(key, x):
    """Factors known to the trace, of arguments, and of results."""
    a, b = matrices(key, 2, N, N)
    y = jnp.tanh(x @ (-2.0 * a / 3))
    gain = jnp.sqrt(jnp.mean(y**2))
    return values(y @ (b * gain / x[0, 0]) + x @ (a - a / 2))


def constants(key, x):
    """A mean other than 0, from a number and from rank one."""
    w = matrix(key, *SQUARE) + 0.3
    w = w + 0.1 * jnp.arange(N)[:, None] * jnp.ones((1, N))
    return values(jnp.tanh(x @ w) @ w.T / N)


def sums_of_stacks(key, x):
    w = jax.random.normal(key, (3, N, N)) * N**-0.5
    s = jnp.array([1.0, 2.0, -1.0])[:, None, None]
    return values(jnp.einsum("tn,lnm->tm", x, w * s).reshape(4, N))


def weight_normalized_gain(key, x):
    w = matrix(key, *SQUARE)
    gains = jnp.linspace(0.5, 2.0, N)
    return values(jnp.tanh(x @ (w * gains)) @ (gains[:, None] * w))


def differences(key, x):
    a, b = matrices(key, 2, N, N)
    return values(jnp.tanh(x @ (a - b)) @ (b - a).T + x @ (a + b - (b + a)))


def passed_through(key, x):
    a, b = matrices(key, 2, N, N)
    a, b = jax.lax.stop_gradient(a), jax.device_put(b)
    a, b = jax.lax.optimization_barrier((a, b))
    a = checkpoint_name(jax.lax.reduce_precision(a, 8, 23), "weight").astype(jnp.float32)
    return values(jnp.tanh(x @ a) @ b + jnp.tanh(x @ jnp.copy(b)) @ a)


CASES = {
    "passed_through": (passed_through, 2 * [SQUARE]),
    "scalars": (scalars, 2 * [SQUARE]),
    "constants": (constants, [SQUARE]),
    "sums_of_stacks": (sums_of_stacks, [(3, N, N)]),
    "weight_normalized_gain": (weight_normalized_gain, [SQUARE]),
    "differences": (differences, 2 * [SQUARE]),
}


@pytest.mark.parametrize("name", CASES)
def test_law(name):
    f, deferred = CASES[name]
    assert_law(f, ROWS, deferred=deferred, adjoint=False)


EXPLICIT = {
    "multiplied entry by entry by an array": lambda w, x: (
        x @ (w * x[0][:, None] * x[1] * jnp.tanh(jnp.outer(x[0], x[1])))
    ),
    "multiplied entry by entry by a drawn array": lambda w, x: x @ (w / jnp.linalg.norm(w, axis=0)),
    "added to an array": lambda w, x: x @ (w + jnp.outer(x[0], x[1]) ** 3),
    "divided by": lambda w, x: x @ (1 / w),
    "raised to a power": lambda w, x: x @ w**3,
    "converted to int32": lambda w, x: x @ (10 * w).astype(int).astype(float),
    "no rule for tanh": lambda w, x: x @ jnp.tanh(w),
    "no rule for svd": lambda w, x: x * jnp.linalg.norm(w, ord=2),
    "no rule for lu": lambda w, x: jnp.linalg.solve(w, x.T),
    "no rule for cond": lambda w, x: jax.lax.cond(x[0, 0] > 0, lambda w: x @ w, lambda w: x, w),
    "no rule for while": lambda w, x: jax.lax.while_loop(lambda h: h[0, 0] > 0, lambda h: h @ w, x),
}


@pytest.mark.parametrize("reason", EXPLICIT)
def test_what_is_explicit_equals_f(reason):
    """Bit for bit, when all is explicit."""
    f = lambda key, x: EXPLICIT[reason](matrix(key, N, N), x)
    assert reasons(f, ROWS) == [reason]
    found = transformed(f, share=ALWAYS)(KEY, ROWS)
    np.testing.assert_array_equal(found, jax.jit(f)(KEY, ROWS))


def test_an_explicit_array_beside_a_deferred_one_is_that_of_f():
    def f(key, x):
        a, b = matrices(key, 2, N, N)
        return x @ a, b, jnp.tanh(b)

    _, b, t = transformed(f, share=ALWAYS)(KEY, ROWS)
    np.testing.assert_array_equal(b, jax.jit(f)(KEY, ROWS)[1])
    np.testing.assert_array_equal(t, jax.jit(f)(KEY, ROWS)[2])


def test_rounding_of_weights_is_noted():
    half = lambda key, x: x.astype(jnp.bfloat16) @ matrix(key, N, N).astype(jnp.bfloat16)
    assert list(decisions(half, ROWS).notes.values()) == [
        "the rounding of its entries to bfloat16 is left out"
    ]
    drawn = lambda key, x: x.astype(jnp.bfloat16) @ jax.random.normal(key, (N, N), jnp.bfloat16)
    assert reasons(drawn, ROWS) == ["drawn in bfloat16"]
