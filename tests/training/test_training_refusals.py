"""Bad input of training runs."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import deepinit as di
from deepinit import training
from deepinit.core import targets
from deepinit.core.errors import SpecError

EXAMPLES = targets.sum_of_sines(dimension=2, num_examples=10)


def net(std=1e-3, activation=di.tanh, outputs=1, widths=(4,)):
    return training.perceptron(
        training.small_mlp(widths, activation, std=std, output_width=outputs)
    )


def start(network=None, examples=EXAMPLES, **options):
    return training.training_seed_fn(
        network or net(), examples, **{"mode": "gd", "rate": 0.1, "record_steps": (0, 1), **options}
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "newton"}, "mode='newton'.*neuron_flow"),
        ({"loss": "hinge"}, "loss='hinge'.*cross_entropy"),
        ({"rate": None}, "rate=None"),
        ({"rate": -1.0}, "rate=-1.0"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"mode": optax.sgd(0.1)}, "beside an optax transformation"),
        ({"stop_drop": 1.5}, "stop_drop=1.5"),
        ({"stop_drop": 1e-7}, "numbers >= 1e-05"),
        ({"record_steps": ()}, "record_steps"),
        ({"record_steps": (0, 5, 5)}, "increasing"),
        ({"record_steps": (0, 2.5)}, "record step"),
        ({"mode": "sgd"}, "batch_size=None"),
        ({"mode": "flow", "batch_size": 2}, "batch_size=2"),
        ({"batch_size": 11}, "from 1 to 10"),
        ({"mode": "flow", "tolerance": 0.0}, "tolerance"),
        ({"loss": "cross_entropy"}, "classes"),
        ({"examples": (1, 2)}, "type tuple"),
    ],
)
@pytest.mark.exhaustive_cases("options7-numbers >= 1e-05")
def test_options_out_of_range(options, said):
    with pytest.raises(SpecError, match=said):
        start(**options)


def test_zero_targets():
    with pytest.raises(SpecError, match="all zero"):
        start(examples=targets.examples(EXAMPLES.inputs, np.zeros(10)))


def test_labels_out_of_range():
    labelled = targets.examples(EXAMPLES.inputs, np.arange(10))
    with pytest.raises(SpecError, match=r"classes up to 9.*output_width=10"):
        start(net(outputs=3), labelled, loss="cross_entropy")
    with pytest.raises(SpecError, match="cross_entropy"):
        start(net(), labelled)


def test_targets_of_another_width():
    with pytest.raises(SpecError, match="output_width=1"):
        start(net(outputs=2))


def cube(s):
    return s * s * jnp.tanh(s)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_an_initialization_too_small_for_float32_names_the_gradient():
    start(net(1e-10, cube))
    with pytest.raises(SpecError, match=r"gradient.*biases.*underflows in float32.*float64"):
        start(net(1e-13, cube))


@pytest.mark.slow
def test_an_initialization_too_large_for_the_initial_stage():
    start(net(1e-2), initial_stage=True)
    start(net(1.0))
    with pytest.raises(SpecError, match=r"outputs up to.*outputs below 0\.01"):
        start(net(1.0), initial_stage=True)


@pytest.mark.slow
def test_neuron_flow_of_a_deep_network():
    with pytest.raises(SpecError, match="neuron_flow"):
        start(net(widths=(4, 4), std=0.1), mode="neuron_flow", rate=0.02)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer_laws": (di.normal(),)}, "2 weight laws"),
        ({"layer_laws": 3}, "2 weight laws"),
        ({"output_scale": 0.0}, "output_scale"),
        ({"dtype": "float16"}, "float16"),
        ({"dtype": "float64"}, "64-bit mode off"),
    ],
)
def test_perceptrons_that_cannot_be_built(options, said):
    with pytest.raises(SpecError, match=said):
        training.perceptron(training.small_mlp((4,), di.tanh, std=0.1), **options)


def test_specs_that_are_no_trainable_perceptron():
    with pytest.raises(SpecError, match="output layer"):
        training.perceptron(di.MLP(widths=(4,)))
    with pytest.raises(SpecError, match="output_bias"):
        training.perceptron(di.MLP(widths=(4,), output_width=1), output_bias=True)
    with pytest.raises(SpecError, match="std="):
        training.small_mlp((4,), di.tanh, std=0.0)
    with pytest.raises(SpecError, match="whose square"):
        training.small_mlp((4,), di.tanh, std=1e-200)
    with pytest.raises(SpecError, match="network of type MLP"):
        training.with_sign_outputs(training.small_mlp((4,), di.tanh, std=0.1), 0.05)
    with pytest.raises(SpecError, match="amplitude=-1"):
        training.with_sign_outputs(net(), -1.0)


@pytest.mark.slow
def test_examples_sorted_by_their_targets_are_looked_at_all_over():
    x = np.linspace(-1.0, 1.0, 200)
    late = targets.examples(x, np.where(x > 0.5, 1.0, 0.0))  # the first 64 are learned already
    start(net(1e-7, cube), late)
