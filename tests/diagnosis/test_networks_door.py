"""Scores of a user's own network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import deepinit as di
from deepinit.diagnosis.doors.networks import hidden_places, parameter_scores, product_scores
from deepinit.diagnosis.one_network import cross_entropy, random_cotangent
from deepinit.diagnosis.probe import Batch
from deepinit.diagnosis.scores import scores

KEY = jax.random.key(5)
ROWS, INPUTS, WIDTH, CLASSES = 6, 4, 8, 3
_NORMAL = nn.initializers.variance_scaling(1.5, "fan_in", "normal")


class Products(nn.Module):
    """z -> z * roll(z): no layer of di.layers."""

    @nn.compact
    def __call__(self, x):
        for _ in range(3):
            z = nn.Dense(WIDTH, use_bias=False, kernel_init=_NORMAL)(x)
            x = z * jnp.tanh(jnp.roll(z, 1, -1))
        return nn.Dense(CLASSES, use_bias=False, kernel_init=_NORMAL)(x)


class Perceptron(nn.Module):
    """tanh, with biases that start at 0."""

    @nn.compact
    def __call__(self, x):
        for _ in range(3):
            x = nn.tanh(nn.Dense(32, kernel_init=_NORMAL)(x))
        return nn.Dense(
            CLASSES, kernel_init=nn.initializers.variance_scaling(1, "fan_in", "normal")
        )(x)


def batch():
    rng = np.random.default_rng(2)
    parts = [jnp.asarray(rng.standard_normal((ROWS, INPUTS)), "float32") for _ in range(3)]
    labels = jnp.asarray(rng.integers(CLASSES, size=(2, ROWS)))
    return Batch(parts[0], parts[1], labels[0], parts[2], labels[1])


def by_hand(matrices, x):
    """States after every matrix, and outputs."""
    states = []
    for matrix in matrices[:-1]:
        z = x @ matrix
        states.append(z)
        x = z * jnp.tanh(jnp.roll(z, 1, -1))
    return states, x @ matrices[-1]


@pytest.mark.slow
def test_products_and_parameters_of_one_network():
    network, given = di.from_linen(Products()), batch()
    places = hidden_places(network, di.inputs.arrays(np.asarray(given.inputs)))
    assert len(places) == 3
    found = jax.jit(product_scores(network, places, False))(given, KEY)
    found |= jax.jit(lambda key: parameter_scores(network, given, key))(KEY)
    own = jax.random.fold_in(KEY, 0)
    variables = network.batch.init(own, given.inputs)[0]
    matrices = jax.tree.leaves(variables)
    states, outputs = by_hand(matrices, given.inputs)
    back = random_cotangent(KEY, outputs)
    for number in range(3):
        after = lambda z, n=number: by_hand([jnp.eye(WIDTH), *matrices[n + 1 :]], z)[1]
        gradient = jax.vjp(after, states[number])[1](back)[0]
        square = float(jnp.sum(gradient**2))
        np.testing.assert_allclose(found["log_gradient2"][number], np.log(square), atol=2e-4)
    # the first step, by finite differences
    loss = lambda m: cross_entropy(by_hand(m, given.step_inputs)[1], given.step_labels)
    direction = [-jnp.sign(g) for g in jax.grad(loss)(matrices)]
    with jax.enable_x64(True):
        wide = lambda leaves: [jnp.asarray(np.asarray(leaf, np.float64)) for leaf in leaves]
        m, d, x = wide(matrices), wide(direction), wide([given.other_inputs])[0]
        ends = [
            by_hand([a + s * 1e-6 * b for a, b in zip(m, d, strict=True)], x)[1] for s in (1, -1)
        ]
        change = (ends[0] - ends[1]) / 2e-6
        change = change - change.mean(axis=1, keepdims=True)
        rms = float(jnp.sqrt(jnp.mean(change**2)))
    np.testing.assert_allclose(found["first_step"], np.log(rms), atol=1e-3)


@pytest.mark.slow
def test_a_flax_perceptron_has_the_scores_of_its_layers():
    x = np.random.default_rng(0).standard_normal((8, 16))
    found = scores(di.from_linen(Perceptron()), x, num_seeds=96)
    assert found.states == "read"
    L = di.layers
    law = di.normal(1.5)
    hidden = [layer for _ in range(3) for layer in (L.Dense(32, law), L.Activation("tanh"))]
    layers = scores(L.Sequential(*hidden, L.Dense(CLASSES)), x, num_seeds=96, key=1)
    for name in ("collapse", "stretch", "gradient_slope", "gradient_spread", "forward_range"):
        one, other = found.scores[name], layers.scores[name]
        error = np.hypot(one.standard_error, other.standard_error)
        assert abs(one.mean - other.mean) < 5 * error
    # biases are parameters of flax: the step is larger than that of layers without any
    assert found.scores["first_step"].mean > layers.scores["first_step"].mean
