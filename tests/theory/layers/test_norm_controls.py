"""Means of columns normed over rows, and control variates through batch norms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.activations import as_activation
from deepinit.core.layers import shape_of
from deepinit.networks import forward, linear_maps
from deepinit.networks.input_rows import input_rows
from deepinit.quantities.controls import control_of
from deepinit.quantities.measured import values_of
from deepinit.theory.layers import columns, norm_means
from deepinit.theory.layers.normed import Norm
from deepinit.theory.layers.precision import host_float64

L = di.layers
GRAM = np.array([[1.0, 0.3, 0.1], [0.3, 1.0, 0.5], [0.1, 0.5, 1.2]])
RELU, TANH, GELU = ((as_activation(name),) for name in ("relu", "tanh", "gelu"))
SQUARE = (as_activation(lambda x: x**2 + 0.0 * x),)
# E F_a F_b, entries 00, 01, 02, 11, 12, 22, of an independent derivation
EXPECTED = {
    (): (1.11150676, -0.45539729, -0.65610947, 0.84389053, -0.38849324, 1.04460271),
    RELU: (0.55575338, 0.05724495, 0.04071161, 0.42194527, 0.06521903, 0.52230135),
}


def means(norm, chain, gram):
    """E F_a and E F_a F_b."""
    with host_float64():
        own = jax.jit(lambda vector: norm_means.norm_means(norm, chain, vector))
        return [np.asarray(part) for part in own(jnp.asarray(gram[np.triu_indices(len(gram))]))]


@pytest.mark.parametrize("chain", EXPECTED)
def test_reference(chain):
    _, second = means(Norm(0.0), chain, GRAM)
    np.testing.assert_allclose(second, EXPECTED[chain], rtol=0, atol=6e-9)


def test_two_rows():
    """F = 1, -1."""
    first, second = means(Norm(0.0), TANH, GRAM[:2, :2])
    np.testing.assert_allclose(first, 0.0, atol=1e-15)
    np.testing.assert_allclose(second, np.tanh(1.0) ** 2 * np.array([1, -1, 1]), rtol=1e-10)


@pytest.mark.slow
def test_equal_rows():
    """F = (1, 1, -2) / sqrt(2) or its negative: C is singular."""
    gram = GRAM[[0, 0, 1]][:, [0, 0, 1]]
    small, large = np.tanh(0.5**0.5), np.tanh(2.0**0.5)
    expected = [small**2, small**2, -small * large, small**2, -small * large, large**2]
    np.testing.assert_allclose(means(Norm(0.0), TANH, gram)[1], expected, rtol=1e-10)


@pytest.mark.slow
def test_three_rows():
    """Another rule: angles of the principal axes."""
    centre = np.eye(3) - 1 / 3
    values, vectors = np.linalg.eigh(centre @ GRAM @ centre)
    angles = 2 * np.pi * (np.arange(400) + 0.37) / 400
    z = np.stack([np.cos(angles), np.sin(angles)], 1) @ (vectors[:, 1:] * np.sqrt(values[1:])).T
    z = z / np.sqrt((z**2).mean(1, keepdims=True))
    y = np.asarray(GELU[0](z.astype(np.float32)), float)
    a, b = np.triu_indices(3)
    first, second = means(Norm(0.0), GELU, GRAM)
    np.testing.assert_allclose(first, y.mean(0), atol=1e-7)
    np.testing.assert_allclose(second, (y[:, a] * y[:, b]).mean(0), atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.3])
def test_squares(eps):
    """E F_a^2, as a mean of F^2 on the circle and in closed form; batch of 5."""
    gram = 0.3 + 0.7 * np.diag([1.0, 0.5, 0.1, 2.0, 0.7])
    first, _ = means(Norm(eps), SQUARE, gram)
    _, second = means(Norm(eps), (), gram)
    np.testing.assert_allclose(first, second[[0, 5, 9, 12, 14]], rtol=1e-12)
    if eps == 0.0:
        np.testing.assert_allclose(first.sum(), 5.0, rtol=1e-12)


@pytest.mark.slow
def test_unresolved():
    assert np.isnan(means(Norm(0.0), (as_activation(lambda x: jnp.tanh(30.0 * x)),), GRAM)[1]).all()


def drawn(norm, chain, gram, count):
    """E F_a, E F_a F_b and their standard errors, of draws."""
    size, rng = len(gram), np.random.default_rng(3)
    positions = norm.positions or size
    z = rng.standard_normal((count, norm.channels, size)) @ np.linalg.cholesky(gram).T
    z = z.reshape(count, norm.channels, -1, positions)
    z = z - z.mean((1, 3), keepdims=True)
    y = (z / np.sqrt((z**2).mean((1, 3), keepdims=True) + norm.eps)).reshape(count, -1, size)
    for phi in chain:
        y = np.asarray(phi(jnp.asarray(y, jnp.float32)), float)
    a, b = np.triu_indices(size)
    terms = np.concatenate([y.mean(1), (y[:, :, a] * y[:, :, b]).mean(1)], axis=1)
    return terms.mean(0), terms.std(0) / np.sqrt(count)


DRAWN = {
    "batch, relu": (Norm(0.3), RELU, GRAM),
    "batch, gelu": (Norm(0.3), GELU, 0.3 + 0.7 * np.eye(5)),
    "two channels, gelu": (Norm(0.3, 2, 2), GELU, GRAM[:2, :2]),
    "two inputs, gelu": (Norm(0.3, 2, 2), GELU, 0.2 + np.diag([0.8, 0.5, 1.0, 0.7])),
}


@pytest.mark.slow
@pytest.mark.exhaustive_cases("batch, gelu", "two inputs, gelu")
@pytest.mark.parametrize("case", DRAWN)
def test_draws(case):
    """Against draws, which reject the means at eps = 0."""
    norm, chain, gram = DRAWN[case]
    found, error = drawn(norm, chain, gram, 200_000)
    first, second = means(norm, chain, gram)
    known = np.isfinite(np.concatenate([first, second]))
    assert known.sum() == (10 if case == "two inputs, gelu" else len(known))
    z = (np.concatenate([first, second]) - found) / error
    assert np.abs(z[known]).max() < 5
    rival = (np.concatenate(means(norm._replace(eps=0.0), chain, gram)) - found) / error
    assert np.abs(rival[known]).max() > 20


def controlled(phi, num_seeds):
    """Values, controls, centre [networks, layers, entries]; two blocks, batch of 3."""
    net = L.Repeat(L.Block(L.Dense(64), L.BatchNorm(), L.Activation(phi)), 2)
    inputs = di.inputs.points(8.0 * np.pad(np.linalg.cholesky(GRAM), ((0, 0), (0, 61))))
    quantity, start = di.quantities.nngp, input_rows(net, inputs, "float32")
    control = control_of(net, quantity, inputs)

    def seed(key):
        tap = lambda state: (quantity.measurement.tap(state, inputs), control.columns(state))
        linear_map = linear_maps.FUNCTIONS["conditional"]
        return forward.random_forward(
            net,
            start(key),
            key,
            tap,
            linear_map=linear_map,
            precision="highest",
            shape=shape_of(inputs),
            watch=True,
        )[0]

    measured, record = jax.jit(jax.vmap(seed))(jax.random.split(jax.random.key(4), num_seeds))
    return values_of(quantity, measured), control.of_block(np.asarray(record)), control.centre


def z_scores(sample):
    return sample.mean(0) / (sample.std(0) / np.sqrt(len(sample)))


@pytest.mark.exhaustive_cases("tanh")
@pytest.mark.slow
@pytest.mark.exhaustive_cases("relu")
@pytest.mark.parametrize("phi", ["tanh", "relu"])
def test_controls(phi):
    values, found, centre = controlled(phi, 2000)
    assert np.abs(z_scores(found.mean)).max() < 5
    assert np.abs(z_scores(found.square)).max() < 5
    saved = values.var(0) / (values - found.mean).var(0)
    assert saved[0].min() > 1e9  # one average: the control is the value less its mean
    assert saved[1].min() > 5000
    squares = (values - centre) ** 2
    assert (squares.var(0) / (squares - found.square).var(0)).min() > 10


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_wrong_mean_shows(monkeypatch):
    def wrong(*given):
        first, second = norm_means.norm_means(*given)
        return first, 1.01 * second

    monkeypatch.setattr(columns, "norm_means", wrong)
    jax.clear_caches()
    _, found, _ = controlled("tanh", 2000)
    jax.clear_caches()
    assert np.abs(z_scores(found.mean)).max() > 5
