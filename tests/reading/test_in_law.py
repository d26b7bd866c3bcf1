"""A model and the layers it is read as have one law, and theory of the layers is the model's."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from models_to_read import INIT, Branches, Perceptron, Stack

import deepinit as di
from deepinit.core.layers import Block, Sequential

NORMAL = INIT.variance_scaling(1.5, "fan_in", "normal")
PAIRS = di.inputs.sphere_pairs(2, 5)
MODELS = {
    "perceptron": Perceptron(jnp.tanh, NORMAL, INIT.normal(0.3)),
    "branches": Branches(NORMAL, 0.7, outputs=24),
    "scan": Stack(outputs=24, kernel=NORMAL),
}


def read_as_one(module):
    """The network, and its layers measured at the output alone."""
    network = di.from_linen(module)
    return network, Sequential(Block(*di.read_layers(network, PAIRS).layers))


def standardized(first, second, error):
    """The largest difference, in standard errors."""
    return np.max(np.abs(first - second) / error)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("quantity", [di.quantities.nngp, di.quantities.log_norm])
def test_both_are_simulated(name, quantity):
    network, layers = read_as_one(MODELS[name])
    own = di.simulate(network, quantity, PAIRS, num_seeds=1500)
    same = di.simulate(layers, quantity, PAIRS, num_seeds=1500, key=1)
    error = np.hypot(own.standard_error, same.standard_error)
    assert standardized(own.mean, same.mean, error) < 5


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_predictions_of_the_layers(name):
    network, layers = read_as_one(MODELS[name])
    own = di.simulate(network, di.quantities.log_norm, PAIRS, num_seeds=1500)
    predicted = di.predict(layers, di.quantities.log_norm, PAIRS)
    # first order: what it leaves out is of order 1 / width^2, far below the noise
    assert standardized(own.mean, predicted.mean, own.standard_error) < 5
    rival = di.infinite(layers, di.quantities.log_norm, PAIRS)
    assert standardized(own.mean, rival.mean, own.standard_error) > 5


@pytest.mark.slow
def test_another_law_of_one_kernel_is_seen():
    network, layers = read_as_one(MODELS["perceptron"])
    (block,) = layers.layers
    first, *rest = block.layers
    wider = di.layers.Dense(first.width, di.normal(2 * first.law.variance), first.bias)
    rival = Sequential(Block(wider, *rest))
    own = di.simulate(network, di.quantities.log_norm, PAIRS, num_seeds=1500)
    other = di.predict(rival, di.quantities.log_norm, PAIRS)
    assert standardized(own.mean, other.mean, own.standard_error) > 5


def test_infinite_width_of_a_stock_model():
    network = di.from_linen(Perceptron(nn.relu, INIT.he_normal())).with_gaussian_weights()
    layers = di.read_layers(network, PAIRS)
    same = di.MLP(widths=(32, 32), activation="relu", output_width=8)
    found = di.infinite(layers, di.quantities.nngp, PAIRS)
    wanted = di.infinite(same, di.quantities.nngp, PAIRS)
    np.testing.assert_allclose(found.mean[-1], wanted.mean[-1], rtol=1e-6)
