import math

import condensation_network as network
import mpmath as mp
import numpy as np
import pytest
from statistical import assert_value

from deepinit.theory.condensation import (
    alignment_law,
    condensation_time,
    linear_flow,
    loss_drop_time,
    relative_displacement,
)


def test_alignment_law_against_quadrature():
    # D = 3, w_perp^2 / beta_2^2 is exponential: P = 1 - E exp(-k g^2 / 2) = 1 - (1 + k)^{-1/2}
    for tau in (0.5, 0.99):
        for time in (0.0, 0.7, 3.0):
            growth = 1 + (1 + 0.25) * math.sinh(1.3 * time) ** 2
            k = (1 / tau**2 - 1) * growth
            result = alignment_law(tau, time, rate=1.3, dimension=3, output_std=0.5, weight_std=1.0)
            assert result == pytest.approx(1 - (1 + k) ** -0.5, rel=1e-10)
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
    x, y = network.regression()
    z = network.with_one(x)
    drop = loss_drop_time(x, y, width=100, output_std=1e-4, weight_std=1e-4)
    time = 0.35 * drop.time
    v = y @ z / np.linalg.norm(y @ z)
    cosines = []
    for seed in range(10):
        _, w, _ = network.gradient_flow("tanh", *network.initial(100, 3, 1e-4, seed), z, y, time)
        cosines.append(np.abs(w @ v) / np.linalg.norm(w, axis=1))
    cosines, taus = np.concatenate(cosines), np.array([0.9, 0.99, 0.999])
    predicted, rival = (
        np.array([float(alignment_law(tau, time, rate=drop.rate, dimension=d)) for tau in taus])
        for d in (3, 4)
    )
    shares, error = (
        (cosines[:, None] > taus).mean(axis=0),
        np.sqrt(predicted * (1 - predicted) / 1000),
    )
    assert_value(shares, error, predicted, rejects=rival)
    assert np.sum(np.abs(shares - rival) > 5 * error) >= 2


def test_reference_shares_at_the_loss_drop():
    # k = (1/tau^2 - 1) S* / (m beta_2^2) for a published run with d = 5, m = 200, std 1e-4
    rate, dimension, beta = 1.0, 6, 1e-4
    shares = np.array([0.938, 0.792, 0.417])
    taus = np.array([0.9, 0.99, 0.999])
    time = condensation_time(
        0.99, 0.792, rate=rate, dimension=dimension, output_std=beta, weight_std=beta
    )
    result = alignment_law(
        taus, time, rate=rate, dimension=dimension, output_std=beta, weight_std=beta
    )
    np.testing.assert_allclose(result, shares, atol=1.5e-3)  # three shares, one unknown


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.999])
def test_condensation_time_inverts_the_law(fraction):
    settings = {"rate": 0.8, "dimension": 4, "output_std": 2.0, "weight_std": 0.5}
    time = condensation_time(0.97, fraction, **settings)
    assert time > 0
    assert alignment_law(0.97, time, **settings) == pytest.approx(fraction, rel=1e-9)
    assert condensation_time(0.01, 0.1, **settings) == 0.0  # true from the start


def test_relative_displacement_of_networks():
    x, y = network.regression()
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
