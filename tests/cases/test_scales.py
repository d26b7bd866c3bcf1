"""Scales: what no dtype can hold reaches the statistics, and powers of two change nothing."""

import dataclasses

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.quantities.routes import evaluate

Q, points = di.quantities, di.inputs.points
RNG = np.random.default_rng(5)
TWO = RNG.normal(size=(2, 4))
QUIET = {"progress": lambda *_: None}

OF_POINTS = {
    "nngp": 2,
    "ntk": 2,
    "bias_ntk": 2,
    "output_kurtosis": 0,
    "log_norm": 0,
    "survival": 0,
    "log_sin2_angle": 0,
    "log_gradient_norm": 0,
    "log_singular_values": 0,
    "log_volume": 0,
}


def test_every_quantity_of_points_is_in_the_test_of_powers_of_two():
    takes = (di.inputs.Inputs, type(di.frames.random(dimension=2)))
    names = {name for name in Q.__all__ if getattr(getattr(Q, name), "accepts", None) in takes}
    assert names == set(OF_POINTS)


def _inputs(name, scale):
    if name == "log_volume":
        frames = di.frames.random(dimension=4)
        return dataclasses.replace(frames, points=scale * frames.points)
    if name == "log_sin2_angle":
        return di.inputs.pairs(scale * TWO[:1], scale * TWO[1:])
    return points(scale * (TWO[:1] if name == "log_singular_values" else TWO))


@pytest.mark.parametrize("activation", ["relu", di.leaky_relu(0.3), "linear"], ids=str)
@pytest.mark.parametrize("name", OF_POINTS)
def test_r01_powers_of_two_change_no_bit_of_a_homogeneous_network(name, activation):
    """Values are equal but for the exact factor; z and what decides it are equal to the rounding of the prediction."""
    net, quantity = di.MLP((5, 6, 4), activation, output_width=2), getattr(Q, name)
    found = {}
    for exponent in (0, -41):
        inputs = _inputs(name, 2.0**exponent)
        measured = di.simulate(net, quantity, inputs, num_seeds=150, keep_samples=True, **QUIET)
        predictions, _ = evaluate(net, quantity, inputs)
        data = di.compare(measured, *predictions).dataset if predictions else None
        found[exponent] = measured, data
    one, data = found.pop(0)
    for exponent, (other, others) in found.items():
        kernel = 2 if name == "output_kurtosis" else OF_POINTS[name]  # its samples are kernels
        np.testing.assert_array_equal(other.samples, np.ldexp(one.samples.astype(other.samples.dtype), kernel * exponent))
        for field in ("mean", "standard_error", "minimum", "maximum"):
            expected = np.ldexp(getattr(one, field), OF_POINTS[name] * exponent)
            np.testing.assert_array_equal(getattr(other, field), expected, err_msg=field)
        np.testing.assert_array_equal(other.skewness, one.skewness)
        if data is not None:
            np.testing.assert_allclose(others["z"], data["z"], rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(others["judged"], data["judged"])
