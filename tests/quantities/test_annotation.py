"""Layers of own networks in one line each, and measured by their names."""

import numpy as np
import pytest
from flax import linen as nn

import deepinit as di
from deepinit.core.errors import SpecError

WIDTH = 64
ROWS = np.random.default_rng(0).normal(size=(2, 32)).astype(np.float32)
INPUTS = di.inputs.arrays(ROWS)


class Net(nn.Module):
    """Two hidden layers, He and half of it."""

    @nn.compact
    def __call__(self, x):
        for variance in (2.0, 1.0):
            init = nn.initializers.variance_scaling(variance, "fan_in", "normal")
            x = nn.relu(nn.Dense(WIDTH, kernel_init=init)(x))
        return nn.Dense(1)(x)


NET = di.from_linen(Net(), label="net")


@pytest.mark.slow
def test_a_line_has_law_size_cosine_and_gradient():
    found = di.annotate(NET, INPUTS, num_seeds=400)
    first, second, last = found.lines
    assert [line.name for line in found.lines] == [f"Net/Dense_{i}" for i in range(3)]
    assert [line.law for line in found.lines] == [
        "normal, variance 2/fan_in: He",
        "normal, variance 1/fan_in: half of He",
        "truncated normal, variance 1/fan_in: half of He",
    ]
    for line, mean_square in ((first, 2.0), (second, 1.0), (last, 0.5)):
        exact = mean_square * np.mean(ROWS[0] ** 2)
        mean, error = line.size.mean**2 + line.size.deviation**2, 2 * line.size.deviation / 20
        assert abs(mean - exact) < 5 * error * np.sqrt(exact)
    assert last.gradient == (1.0, 0.0)
    text, data = repr(found), found.to_dataset()
    assert "net: mean +- standard deviation over 400 networks" in text
    assert all(line.name in text for line in found.lines)
    np.testing.assert_array_equal(data["size"], [line.size.mean for line in found.lines])


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["cosine", "log_gradient_norm"])
def test_layers_have_the_law_of_explicit_networks(quantity):
    own, explicit, wrong = (
        di.simulate(
            net.at("*Dense_[01]"),
            getattr(di.quantities, quantity),
            inputs,
            num_seeds=1500,
            key=key,
            linear_map=name,
            progress=lambda done, total: None,
        )
        for key, (net, inputs, name) in enumerate(
            (
                (NET, INPUTS, "deferred"),
                (NET, INPUTS, "explicit"),
                (NET, di.inputs.arrays(ROWS * [[1.0], [-1.0]]), "explicit"),
            )
        )
    )
    assert own.paths[:2] == ("Net/Dense_0", "Net/Dense_1")
    z = lambda other: (
        np.abs(own.mean - other.mean) / np.hypot(own.standard_error, other.standard_error)
    )
    assert (z(explicit)[:2] < 5).all()
    if quantity == "cosine":
        assert (z(wrong)[:2] > 5).all()


def test_names_that_no_layer_has_are_refused():
    with pytest.raises(SpecError, match="Net/Dense_0, Net/Dense_1"):
        di.annotate(NET.at("Conv*"), INPUTS)
    with pytest.raises(SpecError, match="a Network"):
        di.annotate(di.MLP((8,)), INPUTS)
