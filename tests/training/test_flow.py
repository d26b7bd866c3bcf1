"""Gradient flow ends at a given time."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.networks.network import Network


@pytest.mark.slow
def test_flow_ends_at_its_end_time_with_the_exact_solution_of_a_linear_readout():
    # f = w x, R = (w - 2)^2 / 2
    data = di.targets.examples(np.ones((1, 1)), np.full((1, 1), 2.0))
    net = Network(lambda key, width: {"w": 0.1 * jax.numpy.ones((1, 1))}, lambda p, x: p["w"] @ x)
    run = di.training.training_seed_fn(
        net, data, mode="flow", record_steps=(0, 400, 500), end_time=1.3
    )
    records = jax.jit(run)(jax.random.key(0))
    assert np.asarray(records.time)[1:] == pytest.approx([1.3, 1.3], rel=1e-7)
    exact = 2.0 - 1.9 * np.exp(-1.3)
    assert float(records.values["w"][-1, 0, 0]) == pytest.approx(exact, rel=1e-5)
    assert int(records.step[-1]) == int(records.step[1]) < 400


@pytest.mark.parametrize(("mode", "end_time"), [("gd", 1.0), ("flow", 0.0), ("flow", float("inf"))])
def test_end_times_that_are_refused(mode, end_time):
    data = di.targets.examples(np.ones((1, 1)), np.full((1, 1), 2.0))
    net = di.training.perceptron(di.MLP((3,), di.tanh, output_width=1))
    with pytest.raises(SpecError, match="end_time"):
        di.training.training_seed_fn(
            net, data, mode=mode, rate=0.1, record_steps=(0, 5), end_time=end_time
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"mode": "gd", "rate": 0.1, "end_time": 1.0},
            "end_time=1.0 for the mode 'gd'.*record_steps",
        ),
        ({"mode": "neuron_flow", "end_time": 1.0}, "end_time"),
        ({"mode": "flow", "end_time": -1.0}, "end_time"),
        ({"mode": "flow", "batch_size": 1}, "batch_size"),
        ({"mode": "sgd", "rate": 0.1}, "batch_size=None"),
        ({"mode": "adam", "rate": -0.1}, "rate"),
        ({"mode": "flow", "tolerance": 2.0}, "tolerance"),
        ({"mode": "flow", "stop_drop": 1.5}, "stop_drop"),
    ],
)
def test_options_that_do_not_go_together_are_refused_at_construction(options, words):
    data = di.targets.examples(np.ones((1, 1)), np.full((1, 1), 2.0))
    with pytest.raises(SpecError, match=words):
        di.TrainingConfig(data, record_steps=(0, 5), **options)
