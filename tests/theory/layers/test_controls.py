"""Means of columns and noises of a drawn network against independent sums and quadratures."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core.activations import BUILTIN, as_activation
from deepinit.core.layers import Dense
from deepinit.theory.layers import columns, replay
from deepinit.theory.layers.column_means import column_means
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.state import ColumnLaw, Pending, settle
from deepinit.theory.numerics.entries import entries

STDS = ((0.05**0.5, 0.05**0.5), (0.05**0.5, 20**0.5), (1.0, 1.3), (2.0, 20**0.5), (20**0.5,) * 2)
CORRELATIONS = (-0.99, -0.8, -0.3, 0.1, 0.7, 0.9, 0.99)
RESOLVED = 0.8  # |correlation|, of variances 0.05 to 20, kinks included
STEEP = {"tanh", "erf", "arctan", "x_tanh"}  # NaN for variances from 8 or more on


@functools.lru_cache
def _panels(splits=(), step=0.25, nodes=12):
    """Gauss-Legendre between edges: nodes and normal weights [m]."""
    edges = np.sort(np.concatenate([np.arange(-9.0, 9.0 + step, step), splits]))
    x, mass = np.polynomial.legendre.leggauss(nodes)
    half, middle = 0.5 * np.diff(edges)[:, None], 0.5 * (edges[1:] + edges[:-1])[:, None]
    z = (middle + half * x).ravel()
    weight = (half * mass).ravel() * np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return z, weight


def _expected(phi, a, b, rho):
    """E phi(a X) phi(b Y), E phi(a X), E phi(a X)^2, E phi(b Y)^2."""
    of = lambda z: np.asarray(phi(z))
    single = [_panels(tuple(k / s for k in phi.kinks)) for s in (a, b)]
    first = of(a * single[0][0]) @ single[0][1]
    squares = [of(s * z) ** 2 @ w for s, (z, w) in zip((a, b), single, strict=True)]
    x, mass = _panels(tuple(k / a for k in phi.kinks), 0.1, 10)
    across = math.sqrt(1.0 - rho**2)
    breaks = [np.clip((k / b - rho * x) / across, -9.0, 9.0) for k in phi.kinks]
    edges = np.broadcast_to(np.arange(-9.0, 9.25, 0.25), (len(x), 73))
    edges = np.sort(np.concatenate([edges, *(each[:, None] for each in breaks)], axis=1))
    legendre, weight = np.polynomial.legendre.leggauss(12)
    half = 0.5 * np.diff(edges)[..., None]
    y = 0.5 * (edges[:, 1:] + edges[:, :-1])[..., None] + half * legendre
    density = half * weight * np.exp(-0.5 * y**2) / math.sqrt(2.0 * math.pi)
    inner = np.sum(of(b * (rho * x[:, None, None] + across * y)) * density, axis=(1, 2))
    return (mass * of(a * x)) @ inner, first, *squares


def _compare(phi, cases):
    """Largest error relative to sqrt(E F_a^2 E F_b^2), and unresolved cases (a, b, rho)."""
    variances = np.array([[a * a, rho * a * b, b * b] for a, b, rho in cases])
    with host_float64():
        means = jax.jit(jax.vmap(functools.partial(column_means, (phi,))))
        first, second = map(np.asarray, means(variances))
    expected = np.array([_expected(phi, *case) for case in cases])
    size = np.sqrt(expected[:, 2] * expected[:, 3])
    errors = [
        np.abs(second[:, 1] - expected[:, 0]) / size,
        np.abs(second[:, 0] / expected[:, 2] - 1.0),
        np.abs(second[:, 2] / expected[:, 3] - 1.0),
        np.abs(first[:, 0] - expected[:, 1]) / np.sqrt(expected[:, 2]),
    ]
    bad = np.isnan(errors).any(axis=0)
    return np.nanmax(errors), [case for case, is_bad in zip(cases, bad, strict=True) if is_bad]


@pytest.mark.parametrize("name", ["relu", "tanh", "hard_swish"])
def test_means_of_columns(name):
    error, unresolved = _compare(as_activation(name), [(1.0, 1.3, -0.5), (0.5, 2.0, 0.3)])
    assert error < 1e-10
    assert not unresolved


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILTIN)
def test_means_of_columns_of_every_activation(name):
    """To 1e-10 or NaN; of homogeneous functions never NaN, of others beyond correlations 0.8."""
    phi = as_activation(BUILTIN[name]() if name in ("leaky_relu", "elu", "celu") else name)
    cases = [(a, b, rho) for a, b in STDS for rho in CORRELATIONS]
    error, unresolved = _compare(phi, cases)
    assert error < 1e-10
    assert not (phi.slopes and unresolved)
    assert all(abs(rho) > RESOLVED or (name in STEEP and b > 8**0.5) for _, b, rho in unresolved)


def _features(rows):
    """t [..., p + k, n]."""
    first, second = np.triu_indices(rows.shape[-2])
    return np.concatenate([rows[..., first, :] * rows[..., second, :], rows], axis=-2)


@pytest.mark.parametrize("sloped", [False, True])
def test_the_estimate_of_the_square_is_the_sum_over_columns(sloped):
    rng = np.random.default_rng(3)
    own, start, mean = rng.normal(size=(2, 7)), rng.normal(size=(2, 7)), rng.normal(size=5)
    slope = rng.normal(size=(5, 2)) if sloped else None
    terms = _features(start + own) - _features(start) if sloped else _features(own)
    f = np.concatenate([np.ones((1, 7)), terms, *([start] if sloped else [])])
    with host_float64():
        found = replay._spread(f @ f.T / 7, mean, slope)
    centre = mean[:, None]
    if sloped:  # E t = slope x + constant, mean E t over columns
        centre = centre + slope @ (start - start.mean(axis=1, keepdims=True))
    away = terms - centre
    np.testing.assert_allclose(found, sum(np.outer(x, x) for x in away.T) / 7, rtol=1e-12)


DRAWS, LAYER = 100_000, Dense(8)


def _record(rows, share=0.7):
    """[draws, length] of two rows [draws, 2, n], at any share of the first in the second."""
    parts = np.stack([rows[:, 0], rows[:, 1] - share * rows[:, 0]], axis=1)
    features = np.concatenate([np.ones_like(rows[:, :1]), _features(parts)], axis=1)
    size = features.shape[1]
    products = features @ np.swapaxes(features, 1, 2) / rows.shape[2]
    a, b = np.triu_indices(size)
    last = np.full((len(rows), 1), share)
    return np.concatenate([products[:, a, b], np.zeros(rows.shape[:2]), last], axis=1)


def _worst(drawn):
    """Largest |z| of the means of differences and of products."""
    return tuple(
        np.max(np.abs(part.mean(axis=0)) / (part.std(axis=0) / DRAWS**0.5))
        for part in map(np.asarray, drawn)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "width"), [("tanh", 2), ("relu", 3), ("gelu", 8)])
def test_noises_of_a_chain_have_mean_zero(name, width, monkeypatch):
    """Dense, phi, Dense; E F_a F_b off by 3 % is rejected."""
    phi, rng = as_activation(name), np.random.default_rng(5)
    start = np.array([[1.2, 0.5], [0.5, 0.9]])
    normal = lambda gram: np.linalg.cholesky(gram) @ rng.normal(size=(DRAWS, 2, width))
    first = normal(start)
    hidden = np.asarray(phi(first))
    last = normal(hidden @ np.swapaxes(hidden, 1, 2) / width + 0.1 * np.eye(2))
    records = [_record(rows) for rows in (first, hidden, last)]
    where = entries(2)

    def of_network(records):
        tapes = [replay.Replay([record]) for record in records]
        gram = jnp.asarray(start[where.rows, where.columns])
        states = [Pending(gram, width, law) for law in (ColumnLaw(), ColumnLaw(((phi,),)))]
        for tape, state in zip(tapes, states, strict=False):
            tape.start(state, LAYER, "out")
            rows = settle(state, tape)
        bias = jnp.asarray(0.1 * np.eye(2)[where.rows, where.columns])
        state = Pending(rows.gram + bias, width, ColumnLaw())
        tapes[2].start(state, LAYER, "out")
        settle(state, tapes[2])
        return [tape.drawn[0] for tape in tapes]

    def worst():
        with host_float64():
            return [_worst(part) for part in jax.jit(jax.vmap(of_network))(records)]

    assert np.max(worst()) < 5

    def wrong(*given):
        once, twice = column_means(*given)
        return once, 1.03 * twice

    monkeypatch.setattr(columns, "column_means", wrong)
    assert worst()[1][0] > 5
