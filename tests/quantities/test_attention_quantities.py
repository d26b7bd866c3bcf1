"""Token cosine and attention entropy: definitions, events, refusals, and their law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from attention_network import rows_of_gram
from statistical import assert_mean

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Attention, Dense, Residual, Sequential, Shape
from deepinit.networks.forward import random_forward
from deepinit.networks.interpreter import LayerState
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone

Q = di.quantities


def measured(quantity, rows, notes=None):
    """The tap on rows [num, positions, width]."""
    num, count, width = np.shape(rows)
    start = points_alone(jnp.asarray(rows, "float32").reshape(num, -1))
    state = LayerState(start, start, notes, Shape((count,), width))
    return quantity.measurement.tap(state, None)


def test_token_cosine_is_the_mean_over_pairs_of_positions():
    rows = np.random.default_rng(0).normal(size=(3, 4, 5))
    rows[1] *= 1e-10 ** np.arange(4)[:, None]
    unit = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    first, second = np.triu_indices(4, 1)
    expected = np.sum(unit[:, first] * unit[:, second], axis=2).mean(axis=1)
    found = measured(Q.token_cosine, rows)
    np.testing.assert_allclose(found.value, expected, atol=1e-6)
    assert not np.any(found.event)


@pytest.mark.slow
def test_token_cosine_has_events():
    rows = np.ones((2, 3, 4))
    rows[1, 2] = 0
    names = ("", *Q.token_cosine.events)
    assert [names[code] for code in measured(Q.token_cosine, rows).event] == ["", "dead"]
    one = measured(Q.token_cosine, rows[:, :1])
    assert [names[code] for code in one.event] == ["one_position"] * 2


@pytest.mark.slow
def test_attention_entropy_is_that_of_the_weights():
    scores = np.random.default_rng(1).normal(size=(2, 3, 4, 4))
    weights = np.exp(scores) * np.tril(np.ones((4, 4)))
    weights /= weights.sum(axis=-1, keepdims=True)
    logs = np.log(np.where(weights > 0, weights, 1))
    expected = -(weights * logs).sum(axis=-1).mean(axis=(1, 2))
    notes = {"attention": jnp.asarray(weights, "float32")}
    found = measured(Q.attention_entropy, np.ones((2, 4, 5)), notes)
    np.testing.assert_allclose(found.value, expected, rtol=1e-6)
    assert not np.any(found.event)
    for notes in (None, {}):
        assert np.all(measured(Q.attention_entropy, np.ones((2, 4, 5)), notes).event == 1)


def test_networks_without_positions_or_attention_are_refused():
    inputs = di.inputs.points(np.eye(4))
    why = Q.token_cosine.measurement.why_not(di.MLP((8,)), inputs)
    assert "two positions or more" in why
    with pytest.raises(SpecError, match="without attention"):
        di.simulate(di.MLP((8,)), Q.attention_entropy, inputs, num_seeds=2)
    image = di.ConvResNet((4,), 2, 3)
    assert Q.token_cosine.measurement.why_not(image, di.inputs.points(np.eye(8))) is None


def taps(net, quantity, tokens, num, key=0):
    """Values and events [num, sites] of independent networks."""
    length, width = tokens.shape
    start = points_alone(jnp.asarray(tokens.reshape(1, -1), "float32"))

    def one(key):
        found, _ = random_forward(
            net,
            start,
            key,
            lambda state: quantity.measurement.tap(state, None),
            linear_map=FUNCTIONS["auto"],
            shape=Shape((length,), width),
        )
        return found.value[:, 0], found.event[:, 0]

    values, events = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(key), num))
    return np.asarray(values, float), np.asarray(events)


@pytest.mark.slow
def test_uniform_attention_collapses_tokens_and_has_the_largest_entropy():
    """Scores 0: every token is the mean of the values; -sum A ln A = ln t over t tokens."""
    tokens, num = rows_of_gram(np.eye(3) + 0.2, 16), 20
    layer = Attention(2, 0.0, mask="causal")
    net = Sequential(layer, Dense(16), Activation("tanh"), Attention(2, 0.0))
    cosines, events = taps(net, Q.token_cosine, tokens, num)
    assert not np.any(events)
    np.testing.assert_allclose(cosines[:, 3], 1.0, atol=1e-5)
    entropies, events = taps(net, Q.attention_entropy, tokens, num)
    assert np.all(events == np.array([0, 1, 1, 0]))
    np.testing.assert_allclose(entropies[:, 0], np.log([1, 2, 3]).mean(), rtol=1e-5)
    np.testing.assert_allclose(entropies[:, 3], np.log(3), rtol=1e-5)


@pytest.mark.slow
def test_entropy_of_two_tokens_has_its_quadrature():
    """One score difference s ~ N(0, v) given keys, v = |k_0 - k_1|^2 / d: wide heads fix v."""
    tokens, d = rows_of_gram([[1.0, 0.4], [0.4, 0.9]], 16), 256
    net = Sequential(Residual(Attention(1, head_width=d, beta=1.5)))
    values, _ = taps(net, Q.attention_entropy, tokens, 4000)
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)

    def entropy(variance):
        p = 1 / (1 + np.exp(-np.sqrt(variance) * nodes))
        h = -(p * np.log(p) + (1 - p) * np.log1p(-p))
        return weights @ h / weights.sum()

    gap = 1.0 + 0.9 - 0.8  # |h_0 - h_1|^2 / n
    exact = 0.5 * (entropy(1.5**2 * gap) + entropy(1.5**2 * 0.9 * gap))
    assert_mean(
        values, np.array([exact]), rejects=np.array([0.5 * (entropy(gap) + entropy(0.9 * gap))])
    )
