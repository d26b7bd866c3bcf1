"""Deviations against maps whose noises are known."""

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers import deviations
from deepinit.theory.layers.deviations import Deviation
from deepinit.theory.layers.fluctuations import Noise
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.taylor import Taylor

STATE, NOISES = 2, (3, 1)


def _map(y):
    """A nonlinear one."""
    rng = np.random.default_rng(0)
    first, second, third = (rng.normal(size=(STATE, STATE + sum(NOISES))) for _ in range(3))
    own = y.at[STATE:].set(0.0)
    bent = jnp.sin(first @ own) * (1.0 + second[:, STATE:] @ y[STATE:]) + third @ y
    return bent + jnp.exp(third @ own) * (first[:, STATE:] @ y[STATE:]) ** 2


def _taylor(*, cubic):
    at = jnp.zeros(STATE + sum(NOISES))
    derivatives = [_map]
    for _ in range(3):
        derivatives.append(jax.jacfwd(derivatives[-1]))
    after, first, second, third = (derivative(at) for derivative in derivatives)
    third = jnp.moveaxis(third, 3, 1)[:, :STATE] if cubic else None
    return Taylor(at[:STATE], after, first, second, third)


def _errors(taylor, size):
    """Of a', a'a' and a'a'a', less cubes of noises, where D = 0: no mean is subtracted."""
    rng = np.random.default_rng(1)
    away, *drawn = (jnp.asarray(size * rng.normal(size=n)) for n in (STATE, *NOISES))
    noises = [Noise(value, jnp.outer(value, value)) for value in drawn]
    outer = jnp.multiply.outer
    powers = lambda x: (x, outer(x, x), outer(x, outer(x, x)))
    found = deviations.pushed(taylor, Deviation(*powers(away)), away, noises)
    expected = powers(_map(jnp.concatenate([away, *drawn])) - taylor.after)
    of_noises = powers(_map(jnp.concatenate([0.0 * away, *drawn])) - taylor.after)
    linear = taylor.first[:, STATE:] @ jnp.concatenate(drawn)
    left_out = (0.0, of_noises[1] - outer(linear, linear), of_noises[2])
    parts = zip(found, expected, left_out, strict=True)
    return [float(jnp.max(jnp.abs(a - (b - c)))) for a, b, c in parts if a.size]


def _orders(*, cubic):
    with host_float64():
        taylor = _taylor(cubic=cubic)
        large, small = (np.array(_errors(taylor, size)) for size in (4e-3, 2e-3))
    return np.log2(large / small)


def test_deviations_follow_a_map_to_fourth_order():
    """And to third without third derivatives."""
    np.testing.assert_allclose(_orders(cubic=True), 4, atol=0.1)
    np.testing.assert_allclose(_orders(cubic=False)[0], 3, atol=0.1)
