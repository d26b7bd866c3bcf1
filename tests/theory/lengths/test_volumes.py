"""Volumes, logarithms of lengths and volumes: published digits, closed forms, chi-square laws."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

from deepinit.theory.lengths import (
    HomogeneousNetwork,
    expansion,
    length_moment,
    log_length_moments,
    log_volume_moments,
    log_volume_moments_by_layer,
    volume_moment,
)

VOLUMES = [
    ([10] * 5, 2, (0.4611375824041665, 0.6561, 1.98037224)),
    ([10] * 5, 3, (0.183343675040444, 0.26873856, 1.33842169022237)),
    ([3, 8, 4, 16, 2], 2, (0.1163625074744535, 0.13671875, 0.5126953125)),
    ([6, 20, 20, 20, 6], 2, (0.6075001931190695, 0.7144791666666667, 1.44039)),
    ([6, 20, 20, 20, 6], 3, (0.328449803013334, 0.347236875, 0.9067032284059702)),
    ([4, 16, 8, 12, 4], 2, (0.4107112561324016, 0.56396484375, 1.76239013671875)),
    ([4, 16, 8, 12, 4], 3, (0.1276435057014295, 0.1542091369628906, 0.7319345935775197)),
]


@pytest.mark.parametrize(("widths", "d", "moments"), VOLUMES)
def test_volumes_against_published_digits(widths, d, moments):
    np.testing.assert_allclose(
        [volume_moment(HomogeneousNetwork(widths), d, m) for m in (1, 2, 3)], moments, rtol=1e-13
    )


def test_volume_closed_forms():
    for n in (2, 3, 10, 500):
        hidden = volume_moment(HomogeneousNetwork([n, n], output=None), 2)
        assert hidden == pytest.approx(1 - 2 / n * (1 - 2.0**-n), rel=1e-13)
        assert volume_moment(HomogeneousNetwork([n, n]), 2) == pytest.approx((n - 1) / n, rel=1e-13)
        for d in range(1, min(n, 4) + 1):
            falling = math.prod(n - j for j in range(d)) / n**d
            assert volume_moment(HomogeneousNetwork([n, n], output=None), d, 2) == pytest.approx(
                falling, rel=1e-13
            )
            assert volume_moment(HomogeneousNetwork([n, n]), d, 2) == pytest.approx(
                falling, rel=1e-13
            )


def test_volume_with_m_one_telescopes():
    n, d = 7, 3
    given_k = {
        k: 2 ** (d / 2) * math.gamma((k + 1) / 2) / math.gamma((k - d + 1) / 2)
        for k in range(d, n + 1)
    }
    exact = (2 / n) ** (d / 2) * sum(math.comb(n, k) / 2**n * value for k, value in given_k.items())
    assert volume_moment(HomogeneousNetwork([n, n], output=None), d) == pytest.approx(
        exact, rel=1e-13
    )


def test_volumes_of_dimension_one_are_lengths():
    for law, output in itertools.product(("normal", "orthogonal"), ("linear", "relu", None)):
        lengths = length_moment(
            HomogeneousNetwork(
                [3, 8, 4, 2], law=law, output=output, hidden_var=1.7, output_var=0.4
            ),
            1.5,
        )
        volumes = volume_moment(
            HomogeneousNetwork(
                [3, 8, 4, 2], law=law, output=output, hidden_var=1.7, output_var=0.4
            ),
            1,
            1.5,
        )
        assert lengths == volumes


@pytest.mark.parametrize("widths", [[2, 8, 8], [8, 2, 8], [8, 8, 2]])
def test_volumes_above_a_width_are_exactly_zero(widths):
    assert volume_moment(HomogeneousNetwork(widths), 3) == 0.0
    assert volume_moment(HomogeneousNetwork(widths), 2) > 0.0
    assert volume_moment(HomogeneousNetwork(widths), 3, 0) == 1.0
    assert expansion(HomogeneousNetwork(widths), 2, 1, 3) == 0.0
    mean, variance, alive = log_volume_moments(HomogeneousNetwork(widths), 3)
    assert math.isnan(mean)
    assert math.isnan(variance)
    assert alive == 0.0


def chi_square_log_moments(width, d, sphere=None):
    """ln prod_j chi^2_{K-j} given K >= d, ReLU; of Beta variables in dimension `sphere`, thirty
    digits."""
    with mp.workdps(30):
        weights = {k: mp.binomial(width, k) for k in range(d, width + 1)}
        total = sum(weights.values())
        halves = {k: [mp.mpf(k - j) / 2 for j in range(d)] for k in weights}
        given = {k: sum(mp.digamma(z) for z in halves[k]) for k in weights}
        mean = sum(weights[k] * given[k] for k in weights) / total
        spread = sum(weights[k] * (given[k] - mean) ** 2 for k in weights) / total
        within = sum(weights[k] * sum(mp.psi(1, z) for z in halves[k]) for k in weights) / total
        shift, less = d * mp.log(2), mp.mpf(0)
        if sphere is not None:
            shift = d * mp.log(sphere) - sum(mp.digamma(mp.mpf(sphere - j) / 2) for j in range(d))
            less = sum(mp.psi(1, mp.mpf(sphere - j) / 2) for j in range(d))
        return float(mean + shift), float(spread + within - less), float(total / mp.mpf(2) ** width)


@pytest.mark.parametrize("law", ["normal", "orthogonal"])
@pytest.mark.parametrize(("fan_in", "width"), [(3, 3), (3, 8), (9, 5), (40, 40)])
def test_log_volume_moments_against_the_chi_square_law(fan_in, width, law):
    for d in (1, 2, 3):
        sphere = max(fan_in, width) if law == "orthogonal" else None
        mean, variance, alive = chi_square_log_moments(width, d, sphere)
        mean += d * math.log(2.0 / fan_in)
        computed = log_volume_moments(HomogeneousNetwork([fan_in, width], law=law, output=None), d)
        np.testing.assert_allclose(computed, (mean, variance, alive), rtol=1e-12, atol=1e-13)
        if d == 1:
            assert computed == log_length_moments(
                HomogeneousNetwork([fan_in, width], law=law, output=None)
            )


def test_log_volumes_by_layer():
    moments = log_volume_moments_by_layer(HomogeneousNetwork([4, 3, 5, 2]), 2)
    assert moments.mean.shape == (3,)
    single = [
        log_volume_moments(HomogeneousNetwork([4, 3], output=None), 2),
        log_volume_moments(HomogeneousNetwork([3, 5], output=None), 2),
    ]
    assert moments.mean[1] == pytest.approx(single[0].mean + single[1].mean, rel=1e-13)
    assert moments.variance[1] == pytest.approx(single[0].variance + single[1].variance, rel=1e-13)
    assert (
        moments.p_alive[1]
        == moments.p_alive[2]
        == pytest.approx(single[0].p_alive * single[1].p_alive, rel=1e-14)
    )


def test_wide_layers_reach_the_expansion_of_the_log_moments():
    for n in (1000, 10000):
        mean, variance, alive = log_length_moments(HomogeneousNetwork([n, n], output=None))
        assert abs(mean + 5 / (2 * n) + 49 / (12 * n**2)) < 50 / n**3 + 1e-15
        assert abs(variance - 5 / n - 37 / (2 * n**2)) < 300 / n**3 + 1e-15
        assert alive == 1.0


@pytest.mark.parametrize("width", [1, 2, 5, 300])
@pytest.mark.parametrize("law", ["normal", "orthogonal"])
def test_leaky_log_moments_are_derivatives_of_the_moments(width, law):
    slope, fan_in, h = 0.2, 3, 2e-3

    def cumulant(s):
        return math.log(
            length_moment(
                HomogeneousNetwork([fan_in, width], negative_slope=slope, law=law, output=None),
                2 * s,
            )
        )

    # One-sided differences of the cumulant function, fourth order in h.
    values = [cumulant(i * h) for i in range(6)]
    mean = (-25 * values[0] + 48 * values[1] - 36 * values[2] + 16 * values[3] - 3 * values[4]) / (
        12 * h
    )
    variance = (
        45 * values[0]
        - 154 * values[1]
        + 214 * values[2]
        - 156 * values[3]
        + 61 * values[4]
        - 10 * values[5]
    ) / (12 * h * h)
    computed = log_length_moments(
        HomogeneousNetwork([fan_in, width], negative_slope=slope, law=law, output=None)
    )
    assert computed.mean == pytest.approx(mean, abs=1e-7)
    assert computed.variance == pytest.approx(variance, abs=2e-6, rel=1e-6)
    assert computed.p_alive == 1.0


def test_leaky_log_moments_of_one_neuron():
    # z -> (z or a z): ln of a chi-square of one degree plus a fair choice of 0 or ln a^2
    slope = 0.1
    mean, variance, alive = log_length_moments(
        HomogeneousNetwork([1, 1], hidden_var=1.0, negative_slope=slope, output=None)
    )
    with mp.workdps(20):
        assert mean == pytest.approx(float(mp.digamma(0.5) + mp.log(2) + mp.log(slope)), rel=1e-13)
        assert variance == pytest.approx(float(mp.psi(1, 0.5) + mp.log(slope) ** 2), rel=1e-13)
    assert alive == 1.0
