"""Predictions of order 1/width against simulated networks."""

import numpy as np
import pytest

import deepinit as di

WIDTH = 64


@pytest.mark.exhaustive
@pytest.mark.slow
def test_swiglu():
    """Mean and variance of second moments at 5 standard errors; no mean shift is rejected."""
    branch = di.layers.Sequential(
        di.layers.RMSNorm(),
        di.layers.Dense(4 * WIDTH),
        di.layers.Gate("silu"),
        di.layers.Dense(WIDTH, di.normal(3.0)),
    )
    net = di.layers.Sequential(
        di.layers.Dense(WIDTH), di.layers.Repeat(di.layers.Residual(branch), 4)
    )
    inputs = di.inputs.pair(1.2)
    predicted = di.predict(net, di.quantities.nngp, inputs)
    assert predicted.name == "first_order"
    limit = di.infinite(net, di.quantities.nngp, inputs)
    measured = di.simulate(net, di.quantities.nngp, inputs, num_seeds=6000)
    error = measured.standard_error
    assert (np.abs(measured.mean - predicted.mean) < 5 * error).all()
    spread = 5 * measured.variance_standard_error
    assert (np.abs(measured.variance - predicted.variance) < spread).all()
    mixed = 1  # the product of the two inputs
    assert np.abs(measured.mean - limit.mean)[-1, mixed] > 5 * error[-1, mixed]
