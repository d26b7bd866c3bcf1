import math

import condensation_network as network
import mpmath as mp
import numpy as np
import pytest

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


def regression():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 2))
    return x, x[:, 0] - 0.5 * x[:, 1] + 0.3 + 0.5 * rng.standard_normal(20)


@pytest.mark.parametrize("slope", [1.0, -0.7])
def test_linear_flow_is_the_networks_flow(slope):
    x, y = regression()
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
    x, y = regression()
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
    x, y = regression()
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
    assert abs(np.mean(times) - predicted.mean_time) < 5 * error
    rival = predicted.time + math.log(5.0) / (2 * predicted.rate)  # output weights alone
    assert abs(np.mean(times) - rival) > 5 * error
    # chi-square: the spread of 16 values is within a factor of 2.3 at five standard errors
    assert 1 / 2.3 < np.std(times, ddof=1) / predicted.time_std < 2.3


def test_loss_drop_in_closed_form():
    # one sample: f = s S v.z / nu with v = y z, exactly (1 - s S |z| / y)^2 = 1 - delta
    found = loss_drop_time(
        [[2.0]], [3.0], width=10, output_std=1e-3, weight_std=1e-3, slope=-0.5, loss_drop=0.36
    )
    overlap = (1 - math.sqrt(0.64)) * 3.0 / math.sqrt(5.0) / -0.5
    assert found.overlap == pytest.approx(overlap, rel=1e-12)
    assert found.rate == pytest.approx(0.5 * 3.0 * math.sqrt(5.0), rel=1e-12)
    assert growth_rate([[2.0]], [3.0], slope=-0.5) == found.rate
    assert found.time == pytest.approx(
        math.asinh(2 * abs(overlap) / (10 * 2e-6)) / (2 * found.rate), rel=1e-12
    )
    assert found.time == pytest.approx(
        math.log(4 * abs(overlap) / (10 * 2e-6)) / (2 * found.rate), rel=1e-6
    )
    # the rest of the target slows the growth: S' = 2 rate S (1 - S / S_full), S_full = S / 0.2
    logs = np.log(np.random.default_rng(0).chisquare(10, 1_000_000) / 10)
    later = (-math.log(0.8) - logs.mean()) / (2 * found.rate)
    assert found.mean_time - found.time == pytest.approx(later, rel=0.01)
    assert found.time_std == pytest.approx(logs.std() / (2 * found.rate), rel=0.02)
    later = loss_drop_time(
        [[2.0]], [3.0], width=10, output_std=1e-6, weight_std=1e-6, slope=-0.5, loss_drop=0.36
    )
    assert later.time - found.time == pytest.approx(math.log(1e3) / found.rate, rel=1e-6)


def test_alignment_law_against_quadrature():
    # D = 3, w_perp^2 / beta_2^2 is exponential: P = 1 - E exp(-k g^2 / 2) = 1 - (1 + k)^{-1/2}
    for tau in (0.5, 0.99):
        for time in (0.0, 0.7, 3.0):
            growth = 1 + (1 + 0.25) * math.sinh(1.3 * time) ** 2
            k = (1 / tau**2 - 1) * growth
            found = alignment_law(tau, time, rate=1.3, dimension=3, output_std=0.5, weight_std=1.0)
            assert found == pytest.approx(1 - (1 + k) ** -0.5, rel=1e-10)
    for dimension in (2, 6, 11):  # at time 0 the directions are uniform
        density = lambda c, dimension=dimension: (1 - c * c) ** mp.mpf((dimension - 3) / 2)
        exact = mp.quad(density, [mp.mpf("0.3"), 1]) / mp.quad(density, [0, 1])
        assert alignment_law(0.3, 0.0, rate=1.0, dimension=dimension) == pytest.approx(
            float(exact), rel=1e-7
        )
    # late times: the tail falls like e^{-rate t}
    misses = 1 - alignment_law(0.9, np.array([10.0, 11.0]), rate=1.0, dimension=6)
    assert misses[0] / misses[1] == pytest.approx(math.e, rel=1e-3)


def test_alignment_of_networks():
    """1000 neurons of ten tanh networks resolve shares to 5 %; one more input is off by more."""
    x, y = regression()
    z = network.with_one(x)
    drop = loss_drop_time(x, y, width=100, output_std=1e-4, weight_std=1e-4)
    time = 0.35 * drop.time
    v = y @ z / np.linalg.norm(y @ z)
    cosines = []
    for seed in range(10):
        _, w, _ = network.gradient_flow("tanh", *network.initial(100, 3, 1e-4, seed), z, y, time)
        cosines.append(np.abs(w @ v) / np.linalg.norm(w, axis=1))
    cosines = np.concatenate(cosines)
    rejected = 0
    for tau in (0.9, 0.99, 0.999):
        predicted, rival = (
            float(alignment_law(tau, time, rate=drop.rate, dimension=d)) for d in (3, 4)
        )
        error = math.sqrt(predicted * (1 - predicted) / 1000)
        assert abs((cosines > tau).mean() - predicted) < 5 * error
        rejected += abs((cosines > tau).mean() - rival) > 5 * error
    assert rejected >= 2


def test_reference_shares_at_the_loss_drop():
    # k = (1/tau^2 - 1) S* / (m beta_2^2) for a published run with d = 5, m = 200, std 1e-4
    rate, dimension, beta = 1.0, 6, 1e-4
    shares = np.array([0.938, 0.792, 0.417])
    taus = np.array([0.9, 0.99, 0.999])
    time = condensation_time(
        0.99, 0.792, rate=rate, dimension=dimension, output_std=beta, weight_std=beta
    )
    found = alignment_law(
        taus, time, rate=rate, dimension=dimension, output_std=beta, weight_std=beta
    )
    np.testing.assert_allclose(found, shares, atol=1.5e-3)  # three shares, one unknown


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.999])
def test_condensation_time_inverts_the_law(fraction):
    settings = {"rate": 0.8, "dimension": 4, "output_std": 2.0, "weight_std": 0.5}
    time = condensation_time(0.97, fraction, **settings)
    assert time > 0
    assert alignment_law(0.97, time, **settings) == pytest.approx(fraction, rel=1e-9)
    assert condensation_time(0.01, 0.1, **settings) == 0.0  # true from the start


def test_relative_displacement_of_networks():
    x, y = regression()
    z = network.with_one(x)
    rng = np.random.default_rng(5)
    a, w = 2e-5 * rng.standard_normal(2000), 1e-5 * rng.standard_normal((2000, 3))
    rate = np.linalg.norm(y @ z) / 20
    for time in (0.1, 1.0, 3.0):
        moved = linear_flow(x, y, a, w, time)[1] - w
        predicted = relative_displacement(
            time, rate=rate, dimension=3, output_std=2.0, weight_std=1.0
        )
        assert np.linalg.norm(moved) / np.linalg.norm(w) == pytest.approx(float(predicted), rel=0.1)
    assert relative_displacement(1e-9, rate=1.0, dimension=3) == pytest.approx(
        1e-9 / math.sqrt(3), rel=1e-6
    )


POINTS = [
    (0.5, 0),
    (0.75, 0),
    (1, 0),
    (1.75, 0),
    (2.5, 0),
    (1.5, -0.4),
    (1.2, -0.4),
    (0.8, -0.3),
    (0.8, 0.3),
    (1.5, 0.7),
]
POINTS += [(1.5, 0.3), (1.2, 0.35), (1.0, -0.5), (3.0, 1.0)]


def scales(gamma, gamma_prime, m):
    """Exact relative displacement and median tangent at overlap alpha = beta_1 beta_2 m^gamma."""
    ratio = m ** mp.mpf(-gamma_prime)  # beta_1 / beta_2
    sinh_twice = 2 * ratio * m ** mp.mpf(gamma) / (m * (1 + ratio**2))
    x = mp.asinh(sinh_twice) / 2
    moved = mp.sqrt(((mp.cosh(x) - 1) ** 2 + ratio**2 * mp.sinh(x) ** 2) / 3)
    return moved, 1 / mp.sqrt(1 + (1 + ratio**2) * mp.sinh(x) ** 2)


@pytest.mark.parametrize(("gamma", "gamma_prime"), POINTS)
def test_exponents_are_those_of_the_exact_solution(gamma, gamma_prime):
    with mp.workdps(400):
        near, far = (scales(gamma, gamma_prime, mp.mpf(10) ** power) for power in (200, 300))
        slopes = [float(mp.log10(b / a) / 100) for a, b in zip(near, far, strict=True)]
    assert initial_regime_exponent(gamma, gamma_prime) == pytest.approx(slopes[0], abs=1e-6)
    assert residual_angle_exponent(gamma, gamma_prime) == pytest.approx(slopes[1], abs=1e-6)


def test_published_regimes():
    named = {
        (0.5, 0.5): "linear",
        (0.5, 0): "linear",
        (1, 0): "critical",
        (1.75, 0): "condensed",
        (1.3, 0.3): "critical",
    }
    for point, regime in named.items():
        assert initial_regime(*point) == regime
    for gamma in np.linspace(0.1, 3.0, 30):
        for gamma_prime in np.linspace(-1.03, 1.96, 30):
            sign = np.sign(np.round(initial_regime_exponent(gamma, gamma_prime), 12))
            assert (
                initial_regime(gamma, gamma_prime)
                == {-1: "linear", 0: "critical", 1: "condensed"}[int(sign)]
            )
    for gamma, measured in ((0.5, -0.506), (1.0, 0.007), (1.75, 0.372)):  # arXiv:2007.07497, ReLU
        assert initial_regime_exponent(gamma, 0.0) == pytest.approx(measured, abs=0.01)


@pytest.mark.parametrize(
    ("gamma", "gamma_prime"), [(1.75, 0.0), (0.75, 0.0), (1.2, -0.4), (0.8, 0.3), (1.5, -0.4)]
)
def test_displacement_of_networks_at_the_loss_drop(gamma, gamma_prime):
    """1600 tanh neurons in antisymmetric pairs resolve 15 %; width 100 differs by more."""
    x, y = regression()
    y *= 1e-4  # and all weights by 1e-2: the same at leading order, and tanh is linear
    z = network.with_one(x)
    rng = np.random.default_rng(1)
    found, predicted = [], []
    for m in (100, 1600):
        # dividing the output by alpha is dividing all weights by sqrt(alpha), at leading order
        first, second = (
            1e-2 * m ** (-(gamma + gamma_prime) / 2),
            1e-2 * m ** (-(gamma - gamma_prime) / 2),
        )
        a, w = first * rng.standard_normal(m // 2), second * rng.standard_normal((m // 2, 3))
        a, w = np.concatenate([a, -a]), np.concatenate([w, w])
        end = network.gradient_flow("tanh", a, w, z, y, 1e6, stop_at=0.1)[1]
        found.append(np.linalg.norm(end - w) / np.linalg.norm(w))
        drop = loss_drop_time(x, y, width=m, output_std=first, weight_std=second, loss_drop=0.1)
        law = {"rate": drop.rate, "dimension": 3, "output_std": first, "weight_std": second}
        predicted.append(float(relative_displacement(drop.time, **law)))
    assert found[1] == pytest.approx(predicted[1], rel=0.15)
    assert abs(predicted[0] / predicted[1] - 1) > 0.3
    assert np.sign(math.log(found[1] / found[0])) == np.sign(
        initial_regime_exponent(gamma, gamma_prime)
    )


def test_bad_arguments_are_refused():
    x, y = regression()
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
