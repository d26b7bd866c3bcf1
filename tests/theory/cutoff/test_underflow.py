"""Underflow and finite precision at finite width, against quadrature, chains and arithmetic."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from statistical import assert_mean

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory import cutoff
from deepinit.theory.cutoff import lattice

TINY = 2.0**-126
UNIFORM = di.uniform(1 / 3)


@pytest.mark.parametrize(
    ("alpha", "rho"), [(0.7, 0.3), (5.0, 0.01), (3.0, TINY), (0.2, TINY), (900.0, 0.1)]
)
def test_mean_map_of_underflow_is_its_integral(alpha, rho):
    def integrand(g):
        return (np.tanh(rho * alpha * g) / rho) ** 2 * np.exp(-g * g / 2) * np.sqrt(2 / np.pi)

    edges = np.unique([np.arctanh(rho) / (rho * alpha), *np.geomspace(0.02, 20, 8), 38.0])
    edges = edges[edges >= np.arctanh(rho) / (rho * alpha)]
    parts = [quad(integrand, a, b, epsabs=0, epsrel=1e-12)[0] for a, b in itertools.pairwise(edges)]
    assert cutoff.rounded_mean_square(alpha, rho, "flush") == pytest.approx(sum(parts), rel=1e-10)


def test_mean_map_of_underflow_lies_between_truncation_and_no_rounding():
    for alpha in (0.3, 1.0, 3.0):
        flushed = cutoff.rounded_mean_square(alpha, 1e-4, "flush")
        assert cutoff.rounded_mean_square(alpha, 1e-4, "truncate") < flushed < alpha**2
    assert cutoff.rounded_orbit(0.5, TINY, "flush", 3)[0] == 2.0**252


@pytest.mark.parametrize(("alpha", "rho"), [(9000.0, 1e-6), (9000.0, 1e-4), (40_000.0, 4e-5)])
@pytest.mark.parametrize("rounding", ["nearest", "truncate"])
def test_mean_map_of_many_levels_is_their_sum(alpha, rho, rounding, monkeypatch):

    monkeypatch.setattr(lattice, "_MOST_LEVELS", 1000)
    by_integral = cutoff.rounded_mean_square(alpha, rho, rounding)
    monkeypatch.setattr(lattice, "_MOST_LEVELS", 10**9)
    by_sum = cutoff.rounded_mean_square(alpha, rho, rounding)
    assert by_integral != by_sum
    assert by_integral == pytest.approx(by_sum, rel=1e-9 if alpha * rho < 0.1 else 1e-6)


def lost_at(width, paths, keep, depth, seed):
    """Last layers of tanh chains, normal weights of gain 0.577, by an exact scalar reduction."""
    rng = np.random.default_rng(seed)
    size, lives = np.ones(paths), np.ones(paths)
    for _ in range(depth):
        x = keep(np.tanh(3**-0.5 * size[:, None] * rng.normal(size=(paths, width))))
        peak = np.maximum(np.abs(x).max(axis=1), 1e-300)
        size = peak * np.sqrt(np.mean((x / peak[:, None]) ** 2, axis=1))
        lives += size > 0
        size = np.where((x == 0).all(axis=1), 0.0, size)
        if not size.any():
            break
    return lives


@pytest.mark.parametrize(
    ("width", "rho", "rounding", "tolerance"),
    [
        (8, 1e-3, "truncate", 0.003),
        (32, 1e-3, "truncate", 0.003),
        (16, TINY, "flush", 0.005),
        (64, TINY, "flush", 0.005),
    ],
)
@pytest.mark.slow_cases(
    "16-1.1754943508222875e-38-flush-0.005", "64-1.1754943508222875e-38-flush-0.005"
)
def test_survival_from_the_orbit_falls_where_simulated_chains_do(width, rho, rounding, tolerance):
    def keep(x):
        return (
            np.where(np.abs(x) < rho, 0, x)
            if rounding == "flush"
            else np.sign(x) * np.floor(np.abs(x) / rho) * rho
        )

    depth = 200 if rounding == "flush" else 30
    lives = lost_at(width, 2000 if rounding == "flush" else 20_000, keep, depth, 1)
    measured = cutoff.summary([np.mean(lives > t) for t in range(depth + 1)])
    predicted = cutoff.summary(cutoff.rounded_survival(width, 3**-0.5, rho, rounding, depth))
    assert predicted.t50 == pytest.approx(measured.t50, rel=tolerance)
    assert predicted.window == pytest.approx(measured.window, rel=0.08)
    # the walk of an infinitely wide network has no drift of its own, and would be lost later
    other = cutoff.summary(cutoff.rounded_survival(100_000, 3**-0.5, rho, rounding, depth + 30))
    assert abs(other.t50 / measured.t50 - 1) > 3 * tolerance


@pytest.mark.parametrize("width", [16, 64])
@pytest.mark.slow
def test_real_float32_arithmetic_loses_signals_where_the_formula_with_products_says(width):
    num, depth = {16: 300, 64: 40}[width], 185

    @jax.jit
    def layers(key):
        def step(x, key):
            w = jax.random.uniform(key, (num, width, width), minval=-1.0, maxval=1.0) / np.sqrt(
                width
            )
            x = jnp.tanh(jnp.einsum("nij,nj->ni", w, x, precision="highest"))
            return x, jnp.any(x != 0, axis=1)

        return 1 + jnp.sum(
            jax.lax.scan(step, jnp.ones((num, width)), jax.random.split(key, depth))[1], axis=0
        )

    lives = np.asarray(layers(jax.random.key(0)))
    exact, rival = (
        cutoff.underflow_layer(width, UNIFORM, TINY, products=products)
        for products in (True, False)
    )
    assert_mean(lives, exact, rejects=rival, resolves=0.02)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: cutoff.scalar_survival("tanh", UNIFORM, 1e-3, "flush", 3), "no grid"),
        (lambda: cutoff.lattice_thresholds(1e-3, "flush"), "no grid"),
        (lambda: cutoff.rounded_survival(4, 0.5, 1e-3, "up", 3), "rounding='up'"),
        (lambda: cutoff.rounded_orbit(0.5, 1e-3, "up", 3), "rounding='up'"),
        (lambda: cutoff.underflow_layer(16, di.normal(1.5), TINY), "gain of 1.22474"),
        (lambda: cutoff.underflow_layer(16, di.orthogonal(0.3), TINY), "normal or uniform"),
        (lambda: cutoff.underflow_layer(1, UNIFORM, TINY), "width 1"),
    ],
)
def test_refusals(call, text):
    with pytest.raises(SpecError) as error:
        call()
    assert text in str(error.value)
