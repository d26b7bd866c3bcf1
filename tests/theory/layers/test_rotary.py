"""Rotary attention at order 1/width: without rotations, keys, drawn heads, simulated networks."""

import jax.numpy as jnp
import numpy as np
import pytest
from limit_network import rows_of

import deepinit as di
from deepinit.core.layers import Shape, program
from deepinit.theory.layers import first_order, rotations
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.rules import attention

L = di.layers
G = np.array([[1, 0.4, 0.1], [0.4, 0.9, -0.2], [0.1, -0.2, 1.3]])
AT = np.triu_indices(3)
WIDE = 10**13  # of W_O: only heads and their width are finite
RATES = (1.0, 0.5, 0.1, 0.02)


def outputs(layer, gram=G):
    net = program(L.Sequential(layer), Shape((len(gram),), WIDE))
    products = lambda gram, mean: gram[jnp.triu_indices(len(gram))]
    found = first_order(net, rows_of(gram, len(gram))[None, None], products)
    return found.infinite[-1, 0], found.shift[-1, 0], found.variance[-1, 0]


def turned(rows, rates):
    """Rows [..., t, d]."""
    half = rows.shape[-1] // 2
    angles = np.outer(np.arange(rows.shape[-2]), rates)
    cos, sin, a, b = np.cos(angles), np.sin(angles), rows[..., :half], rows[..., half:]
    return np.concatenate([cos * a - sin * b, sin * a + cos * b], axis=-1)


def test_scores_have_the_covariances_of_an_independent_derivation():
    with host_float64():
        found = np.asarray(rotations.turned_scores(jnp.asarray(G), 3, RATES))
    expected = {(2, 0, 1, 2): -0.005171409, (2, 1, 2, 0): 0.443649575, (1, 0, 0, 1): 0.084136886}
    for place, value in expected.items():
        assert found[place] == pytest.approx(value, abs=1e-9)


@pytest.mark.slow
def test_keys_have_the_drawn_covariance():
    """A Wishart matrix's is rejected."""
    draws, rng, d, length = 60_000, np.random.default_rng(0), 2 * len(RATES), 2
    k = np.linalg.cholesky(G[:2, :2]) @ rng.normal(size=(draws, 2, d))
    positions = [turned(np.repeat(k[:, [s]], 4, axis=1), RATES) for s in range(2)]
    inner = lambda s, t, x: np.sum(positions[s][:, max(x, 0)] * positions[t][:, max(-x, 0)], axis=1)
    shifts = [(D - s + t, s, t) for D in (-1, 0, 1) for s in range(2) for t in range(2)]
    drawn = np.stack([inner(s, t, x) / d for x, s, t in shifts], axis=1)
    products = drawn - drawn.mean(axis=0)
    products = products[:, :, None] * products[:, None]
    error = d * products.std(axis=0) / draws**0.5
    with host_float64():
        of = lambda rates: np.asarray(rotations.key_covariance(jnp.asarray(G[:2, :2]), 2, rates))
        found, plain = of(RATES), of((0.0,))
    assert len(found) == (2 * length - 1) * 4
    assert (np.abs(d * products.mean(axis=0) - found) < 5 * error).all()
    assert (np.abs(d * products.mean(axis=0) - plain) > 5 * error).any()


@pytest.mark.slow
def test_without_angles_it_is_attention_without_rotations(monkeypatch):
    """One average over scores and keys, against one of each."""
    options = {"mask": "causal", "head_width": 8, "beta": 1.3}
    expected = outputs(L.Attention(2, **options))
    rival = outputs(L.Attention(2, rotary=10.0, **options))
    monkeypatch.setattr(attention, "rates_of", lambda layer, width: (0.0,))
    found = outputs(L.Attention(2, rotary=11.0, **options))
    for part, other, wrong in zip(found, expected, rival, strict=True):
        np.testing.assert_allclose(part, other, rtol=1e-7, atol=1e-10)
        assert np.abs(wrong - other).max() > 1e-4


@pytest.mark.slow
def test_drawn_heads():
    """Means of heads of width 8 at 5 standard errors; the limit and plain keys are rejected."""
    d, draws, rng = 8, 200_000, np.random.default_rng(0)
    root = np.linalg.cholesky(G)
    q, k, v = (root @ rng.normal(size=(draws, 3, d)) for _ in range(3))
    rates = 10.0 ** (-np.arange(d // 2) / (d // 2))
    scores = turned(q, rates) @ np.swapaxes(turned(k, rates), 1, 2) / d**0.5
    shares = np.exp(scores)
    shares = shares / shares.sum(axis=2, keepdims=True) @ v
    drawn = (shares @ np.swapaxes(shares, 1, 2) / d)[:, *AT]
    infinite, shift, variance = outputs(L.Attention(1, head_width=d, rotary=10.0))
    error = drawn.std(axis=0) / draws**0.5
    z = lambda mean: np.abs(drawn.mean(axis=0) - mean) / error
    assert (z(infinite + shift) < 5).all()
    assert z(infinite).max() > 5
    np.testing.assert_allclose(variance, drawn.var(axis=0), rtol=0.05)  # 1/d^2 is 0.016
    plain, moved, _ = outputs(L.Attention(1, head_width=d))
    assert z(plain + moved).max() > 5


@pytest.mark.slow
@pytest.mark.exhaustive
def test_simulated_networks():
    """Mean and variance at 5 standard errors; no mean shift is rejected."""
    layer = L.Attention(24, mask="causal", beta=2.0, head_width=12, rotary=10.0)
    net = L.Sequential(L.Dense(288), L.RMSNorm(eps=0.0), layer)
    tokens = rows_of([[1, 0.3, 0.1], [0.3, 0.9, -0.2], [0.1, -0.2, 1.2]], 16)
    case = net, di.quantities.nngp, di.inputs.arranged(tokens[None])
    predicted, limit = di.predict(*case), di.infinite(*case)
    measured = di.simulate(*case, num_seeds=20_000)
    error, spread = measured.standard_error[2:], measured.variance_standard_error[2:]
    assert (np.abs(measured.mean - predicted.mean)[2:] < 5 * error).all()
    assert (np.abs(measured.variance - predicted.variance)[2:] < 5 * spread).all()
    assert (np.abs(measured.mean - limit.mean)[2:] > 5 * error).all()
