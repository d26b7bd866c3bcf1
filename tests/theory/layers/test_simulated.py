"""Predictions of order 1/width against simulated networks."""

import numpy as np
import pytest

import deepinit as di

WIDTH = 64


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
        di.layers.Dense(WIDTH), di.layers.Repeat(di.layers.Residual(branch), 3)
    )
    inputs = di.inputs.pair(1.2)
    predicted = di.predict(net, di.quantities.log_norm, inputs)
    assert predicted.name == "first_order"
    limit = di.infinite(net, di.quantities.log_norm, inputs)
    measured = di.simulate(net, di.quantities.log_norm, inputs, num_seeds=60_000)
    error = measured.standard_error
    # the next order: depth / width^2
    slack = 3.0 / WIDTH**2
    assert (np.abs(measured.mean - predicted.mean) < 5 * error + slack).all()
    assert (np.abs(measured.mean - limit.mean)[-1] > 5 * error[-1] + slack).all()
    spread = 5 * measured.variance_standard_error + 0.1 * measured.variance
    assert (np.abs(measured.variance - predicted.variance) < spread).all()
