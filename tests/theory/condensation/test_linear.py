import math

import condensation_network as network
import numpy as np
import pytest
from statistical import assert_mean

from deepinit.core.errors import SpecError
from deepinit.theory.condensation import (
    alignment_law,
    condensation_time,
    growth_rate,
    initial_regime,
    initial_regime_exponent,
    linear_descent,
    linear_flow,
    loss_drop_time,
    relative_displacement,
    residual_angle_exponent,
)


@pytest.mark.parametrize("slope", [1.0, -0.7])
def test_linear_flow_is_the_networks_flow(slope):
    x, y = network.regression()
    z = network.with_one(x)
    a, w = network.initial(30, 3, 1e-6, 1)
    # tanh with slope s at 0: s goes into the targets and the time, up to the neglected output
    time = 3.0
    predicted = linear_flow(x, y, a, w, time, slope=slope)
    simulated = network.gradient_flow("tanh", a, w, z, slope * y, time)
    np.testing.assert_allclose(predicted[0], simulated[0], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(predicted[1], simulated[1], rtol=1e-6, atol=1e-10)
    # the final direction: sign of c + sign(s) a
    late = linear_flow(x, y, a, w, 30.0, slope=slope)[1]
    v = y @ z
    expected = np.sign(w @ v / np.linalg.norm(v) + math.copysign(1.0, slope) * a)
    np.testing.assert_array_equal(np.sign(late @ v), expected)


def test_linear_descent_is_the_networks_descent():
    x, y = network.regression()
    z = network.with_one(x)
    start = network.initial(30, 3, 1e-6, 1)
    a, w = start
    for _ in range(40):
        da, dw, _loss = network.gradients("tanh", a, w, z, y)
        a, w = a - 0.1 * da, w - 0.1 * dw
    predicted = linear_descent(x, y, *start, 40, 0.1)
    np.testing.assert_allclose(predicted[0], a, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(predicted[1], w, rtol=1e-7, atol=1e-12)
    assert (
        np.abs(linear_flow(x, y, *start, 4.0)[1] - w).max() > 0.01 * np.abs(w).max()
    )  # steps of 0.1 are no flow
    fine = linear_descent(x, y, *start, 400_000, 1e-5)
    np.testing.assert_allclose(fine[1], linear_flow(x, y, *start, 4.0)[1], rtol=1e-4, atol=1e-10)


def test_loss_drop_time_of_networks():
    """Mean over 16 networks, resolved to sqrt(2/m)/(2 rate)/4.

    Without the input weights' half of the overlap it is off by ln 2 / (2 rate).
    """
    x, y = network.regression()
    z = network.with_one(x)
    scales = {"width": 100, "output_std": 1e-4, "weight_std": 2e-4}
    predicted = loss_drop_time(x, y, **scales)
    times = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        a, w = 1e-4 * rng.standard_normal(100), 2e-4 * rng.standard_normal((100, 3))
        a, w, time = network.gradient_flow("tanh", a, w, z, y, 100.0, stop_at=1e-3)
        times.append(time)
        assert a @ w @ (y @ z) / np.linalg.norm(y @ z) == pytest.approx(predicted.overlap, rel=0.01)
    error = predicted.time_std / 4
    rival = predicted.time + math.log(5.0) / (2 * predicted.rate)  # output weights alone
    assert_mean(times, predicted.mean_time, rejects=rival, standard_error=error)
    # chi-square: the spread of 16 values is within a factor of 2.3 at five standard errors
    assert 1 / 2.3 < np.std(times, ddof=1) / predicted.time_std < 2.3


def test_loss_drop_in_closed_form():
    # one sample: f = s S v.z / nu with v = y z, exactly (1 - s S |z| / y)^2 = 1 - delta
    result = loss_drop_time(
        [[2.0]], [3.0], width=10, output_std=1e-3, weight_std=1e-3, slope=-0.5, loss_drop=0.36
    )
    overlap = (1 - math.sqrt(0.64)) * 3.0 / math.sqrt(5.0) / -0.5
    assert result.overlap == pytest.approx(overlap, rel=1e-12)
    assert result.rate == pytest.approx(0.5 * 3.0 * math.sqrt(5.0), rel=1e-12)
    assert growth_rate([[2.0]], [3.0], slope=-0.5) == result.rate
    assert result.time == pytest.approx(
        math.asinh(2 * abs(overlap) / (10 * 2e-6)) / (2 * result.rate), rel=1e-12
    )
    assert result.time == pytest.approx(
        math.log(4 * abs(overlap) / (10 * 2e-6)) / (2 * result.rate), rel=1e-6
    )
    # the rest of the target slows the growth: S' = 2 rate S (1 - S / S_full), S_full = S / 0.2
    logs = np.log(np.random.default_rng(0).chisquare(10, 1_000_000) / 10)
    later = (-math.log(0.8) - logs.mean()) / (2 * result.rate)
    assert result.mean_time - result.time == pytest.approx(later, rel=0.01)
    assert result.time_std == pytest.approx(logs.std() / (2 * result.rate), rel=0.02)
    later = loss_drop_time(
        [[2.0]], [3.0], width=10, output_std=1e-6, weight_std=1e-6, slope=-0.5, loss_drop=0.36
    )
    assert later.time - result.time == pytest.approx(math.log(1e3) / result.rate, rel=1e-6)


def test_bad_arguments_are_refused():
    x, y = network.regression()
    a, w = network.initial(4, 3, 1.0, 0)
    stds = {"width": 10, "output_std": 1.0, "weight_std": 1.0}
    law = {"rate": 1.0, "dimension": 3}
    for call, reason in (
        (lambda: growth_rate(x, 0.0 * y), "is 0 for every u"),
        (lambda: growth_rate(x, y, slope=0.0), "slope=0"),
        (lambda: linear_flow(x, y, a, w, -1.0), "time"),
        (lambda: linear_flow(x, y, a, w, [1.0, 2.0]), "one number"),
        (lambda: linear_flow(x, y, a, w[:, :2], 1.0), r"\[m, 3\]"),
        (lambda: linear_flow(x, y, a[:3], w, 1.0), r"\[m, 3\]"),
        (lambda: linear_flow(x, y, a, w, 1.0, slope=0.0), "slope=0"),
        (lambda: linear_flow(x, 0.0 * y, a, w, 1.0), "is 0 for every u"),
        (lambda: linear_descent(x, y, a, w, -1, 0.1), "num_steps"),
        (lambda: linear_descent(x, y, a, w, 1, 0.0), "step_size"),
        (lambda: loss_drop_time(x, y, **{**stds, "width": 0}), "width"),
        (lambda: loss_drop_time(x, y, **{**stds, "output_std": 0.0}), "output_std"),
        (lambda: loss_drop_time(x, y, **{**stds, "weight_std": -1.0}), "weight_std"),
        (lambda: loss_drop_time(x, y, **stds, loss_drop=0.0), "loss_drop"),
        (lambda: loss_drop_time(x, y, **stds, loss_drop=1.0), "loss_drop"),
        (lambda: loss_drop_time(x, y, **stds, loss_drop=0.999), "at most"),
        (lambda: loss_drop_time(x, y[:5], **stds), "one number per sample"),
        (lambda: alignment_law(1.0, 1.0, **law), "tau"),
        (lambda: alignment_law("0.9", 1.0, **law), "tau"),
        (lambda: alignment_law(0.9, -1.0, **law), "time"),
        (lambda: alignment_law(0.9, 1.0, rate=0.0, dimension=3), "rate"),
        (lambda: alignment_law(0.9, 1.0, rate=1.0, dimension=1), "dimension"),
        (lambda: condensation_time(0.9, 1.0, **law), "fraction"),
        (lambda: condensation_time(0.0, 0.5, **law), "tau"),
        (lambda: relative_displacement(1.0, **law, output_std=-1.0), "output_std"),
        (lambda: initial_regime(math.inf, 0.0), "gamma=inf"),
        (lambda: initial_regime_exponent(1.0, None), "gamma_prime=None"),
        (lambda: residual_angle_exponent("1", 0.0), "gamma='1'"),
    ):
        with pytest.raises(SpecError, match=reason):
            call()
