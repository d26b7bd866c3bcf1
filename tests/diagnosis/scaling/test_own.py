import flax.linen as nn
import numpy as np
import optax
import pytest

import deepinit as di
from deepinit.diagnosis.scaling import PARAMETRIZATIONS, scaling_check
from deepinit.diagnosis.scaling import own as own_networks
from deepinit.diagnosis.scaling.measure import measured_stack
from deepinit.diagnosis.scaling.own import measured_network

INPUTS = di.inputs.points(np.random.default_rng(0).standard_normal((3, 6)))
NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


class Tanh(nn.Module):
    width: int
    readout: float = 0.5

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = nn.tanh(nn.Dense(self.width, kernel_init=NORMAL)(x))
        return nn.Dense(1, kernel_init=nn.initializers.normal(self.width**-self.readout))(x)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_autodiff_of_a_flax_module_agrees_with_the_stack(optimizer):
    width = 40
    own = measured_network(Tanh(width), width, optimizer, INPUTS, 300, "explicit", 0)
    spec = di.MLP((width,) * 2, "tanh", di.normal(1.0))
    scheme = PARAMETRIZATIONS["standard"]
    stack = measured_stack(spec, width, scheme, optimizer, INPUTS, 300, "conditional", 0)
    assert [label.part for label in own.labels] == [label.part for label in stack.labels]
    error = np.hypot(own.squares.std(axis=0), stack.squares.std(axis=0)) / 300**0.5
    z = (own.squares.mean(axis=0) - stack.squares.mean(axis=0)) / error
    assert np.abs(z).max() < 5
    # a network of another readout is told apart
    other = measured_network(Tanh(width, 1.0), width, optimizer, INPUTS, 300, "explicit", 0)
    z = (other.squares.mean(axis=0) - stack.squares.mean(axis=0)) / error
    assert np.abs(z).max() > 10


@pytest.mark.exhaustive
def test_deferred_matrices_have_the_law_of_explicit_ones(monkeypatch):
    monkeypatch.setattr(own_networks, "_DEFERRED_FROM", 1)
    found = [
        measured_network(Tanh(96), 96, "sgd", INPUTS, 200, engine, key).squares
        for key, engine in enumerate(("conditional", "explicit"))
    ]
    error = np.hypot(*(each.std(axis=0) for each in found)) / 200**0.5
    assert (np.abs(found[0].mean(axis=0) - found[1].mean(axis=0)) / error).max() < 5


@pytest.mark.slow
def test_own_networks_are_compared_with_every_parametrization():
    check = scaling_check(
        lambda n: Tanh(n, readout=1.0), (64, 128, 256), inputs=INPUTS, num_networks=20
    )
    assert check.summary == "in every layer like muP, mean field"
    rates = lambda n: optax.sgd(1.0 / n)
    ntk = scaling_check(Tanh, (64, 128, 256), inputs=INPUTS, optimizer=rates, num_networks=20)
    rows = {(row.layer, row.part): row for row in ntk.rows if row.probe == "training input"}
    assert "NTK (SGD)" in rows["Tanh/Dense_1", "own change"].like
    assert "muP (SGD)" not in rows["Tanh/Dense_1", "own change"].like
    assert rows["output", "total change"].exponent == pytest.approx(0.0, abs=0.1)
