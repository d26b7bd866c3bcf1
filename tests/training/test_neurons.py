import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.training import hidden_layers, layer_vectors

KEY = jax.random.key(0, impl="threefry2x32")


@pytest.mark.slow
def test_a_perceptrons_vectors_are_rows_with_their_bias_last():
    law = di.normal(1.0, "absolute")
    network = di.training.perceptron(di.MLP((4, 3), di.tanh, bias_law=law, output_width=2))
    parameters = network.init(KEY, 5)
    found = layer_vectors(parameters)
    assert list(found) == ["layer 1", "layer 2", "layer 3"]
    assert hidden_layers(parameters) == ("layer 1", "layer 2")
    np.testing.assert_array_equal(found["layer 2"][:, :4], parameters[1]["weights"])
    np.testing.assert_array_equal(found["layer 2"][:, 4], parameters[1]["biases"])
    assert found["layer 3"].shape == (2, 3)  # the output layer has no bias


class Convolutional(flax.linen.Module):
    @flax.linen.compact
    def __call__(self, x):
        x = flax.linen.tanh(flax.linen.Conv(6, (3, 3), name="filters")(x)).mean(axis=(1, 2))
        return flax.linen.Dense(2, use_bias=False, name="output")(x)


@pytest.mark.exhaustive
def test_filters_and_dense_units_of_flax_modules_are_neurons():
    parameters = di.from_linen(Convolutional(), input_shape=(5, 5, 1)).init(KEY, 25)
    found = layer_vectors(parameters)
    assert {name: vectors.shape for name, vectors in found.items()} == {
        "filters": (6, 10),
        "output": (2, 6),
    }
    kernel = parameters["filters"]["kernel"]
    np.testing.assert_array_equal(found["filters"][4, :9], jnp.ravel(kernel[..., 4]))
    assert hidden_layers(parameters) == ("filters", "output")


@pytest.mark.slow
def test_nnx_modules_too():
    parameters = di.from_nnx(lambda rngs: nnx.Linear(3, 2, rngs=rngs)).init(KEY, 3)
    found = layer_vectors(parameters)
    assert [vectors.shape for vectors in found.values()] == [(2, 4)]


def test_layers_that_share_an_array_have_no_neurons_of_their_own():
    stacked = di.network(di.MLP((4, 4), di.tanh, output_width=1))
    shapes = jax.eval_shape(lambda key: stacked.init(key, 2), jax.random.key(0))
    with pytest.raises(SpecError, match=r"training.perceptron\(spec\)"):
        layer_vectors(shapes)
