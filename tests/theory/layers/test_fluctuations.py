"""Coordinates of rows, and noises of functions of averages, against automatic differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.theory.layers import fluctuations
from deepinit.theory.layers.coordinates import coordinates, moved
from deepinit.theory.layers.fluctuations import Fluctuation, Noise
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.state import ColumnLaw, Normed, Pending, Settled
from deepinit.theory.layers.state_vectors import coordinates_of, state_at

STATES = {
    "settled": lambda gram: Settled(gram, jnp.array([0.3, -0.2, 0.0])),
    "pending": lambda gram: Pending(gram, 8, ColumnLaw()),
    "normed": lambda gram: Normed(gram, 8, ColumnLaw(), 8, "rms"),
}


@pytest.mark.parametrize("kind", STATES)
def test_coordinates_and_states_are_inverse(kind):
    """Also of rows that are equal."""
    for product in (1.8, 2.0):
        with host_float64():
            like = STATES[kind](jnp.array([2.0, 0.4, product, 0.5, 0.4, 2.0]))
            vector = coordinates_of(like)
            back = state_at(vector, like)
            for found, given in zip(jax.tree.leaves(back), jax.tree.leaves(like), strict=True):
                np.testing.assert_allclose(found, given, rtol=1e-12, atol=1e-15)
            change = 1e-3 * jnp.arange(1.0, len(vector) + 1)
            change = change if product < 2.0 else -change
            again = coordinates_of(state_at(vector + change, like))
            np.testing.assert_allclose(again, vector + change, rtol=1e-9)


def _rows(count, seed=0):
    """A Fluctuation of independent numbers, rows of 4 columns."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 4))
    first, second = np.triu_indices(count)
    mean = np.concatenate([(rows @ rows.T)[first, second], rng.normal(size=count)])
    within = rng.normal(size=(len(mean),) * 2)
    noise = Noise(jnp.asarray(rng.normal(size=len(mean))), jnp.asarray(within + within.T))
    return Fluctuation(jnp.asarray(mean), noise)


def _split(function):
    return lambda x, count: function(x[: len(x) - count], x[len(x) - count :])


@pytest.mark.slow_cases("2", "3")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_closed_form_of_coordinates_is_their_expansion(count):
    with host_float64():
        rows = _rows(count)
        expected = fluctuations.of_function(lambda x: _split(coordinates)(x, count), rows)
        found = fluctuations.of_coordinates(rows)
        for part, wanted in zip(found, expected, strict=True):
            np.testing.assert_allclose(part, wanted, rtol=1e-8)
        first_order = rows._replace(noise=rows.noise._replace(within=0.0 * rows.noise.within))
        rival = fluctuations.of_coordinates(first_order).value
        assert np.max(np.abs(rival / expected.value - 1.0)) > 0.1


def test_noises_of_a_quadratic_function_are_exact():
    """f(mean + M) - f(mean) less its mean, D the covariance of M."""
    rng = np.random.default_rng(2)
    linear, curved = rng.normal(size=(3, 5)), rng.normal(size=(3, 5, 5))
    function = lambda x: linear @ x + jnp.einsum("iab,a,b->i", curved, x, x)
    symmetric = curved + np.swapaxes(curved, 1, 2)
    mean, noise, covariance = rng.normal(size=5), rng.normal(size=5), np.diag(rng.uniform(size=5))
    with host_float64():
        mean, average = jnp.asarray(mean), jnp.asarray(mean + noise)
        drawn = fluctuations.noise_of(average, mean, covariance, jnp.isfinite(mean))
        found = fluctuations.of_function(function, Fluctuation(mean, drawn))
        change = np.asarray(function(average) - function(mean))
    expected = change - 0.5 * np.einsum("iab,ab->i", symmetric, covariance)
    np.testing.assert_allclose(found.value, expected, rtol=1e-12)
    assert np.max(np.abs(change / expected - 1.0)) > 0.1


def test_dead_and_unknown_rows_have_no_noise():
    dead, unknown = np.array([0, 0, 1, 0, 0.2]), np.array([1, np.nan, 1, 0, 0.2])
    with host_float64():
        for mean, known in ((dead, [2, 4]), (unknown, [0, 2, 3, 4])):
            mean = jnp.asarray(mean)
            rows = fluctuations.fluctuation(jnp.nan_to_num(mean) + 0.1, mean, jnp.eye(5))
            for value, within in (rows.noise, fluctuations.of_coordinates(rows)):
                assert np.isfinite(within).all()
                np.testing.assert_array_equal(np.flatnonzero(value), known)


def test_moved_rows_have_the_moved_coordinates():
    with host_float64():
        rows, change = _rows(3).mean, 0.1 * jnp.arange(9.0)
        found = _split(coordinates)(moved(rows, change), 3)
        np.testing.assert_allclose(found, _split(coordinates)(rows, 3) + change, rtol=1e-9)
