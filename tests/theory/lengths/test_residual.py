import math

import mpmath as mp
import numpy as np
import pytest
from scipy import special
from statistical import assert_mean

from deepinit.core.errors import SpecError
from deepinit.theory.lengths import residual_length_moment, residual_log_length_moments

CASES = [
    (1, 1, 1.0),
    (1, 3, 0.2),
    (2, 3, 3.0),
    (6, 4, 0.5),
    (50, 20, 0.01),
    (40, 300, 2.0),
    (1000, 1000, 1.0),
]


@pytest.mark.parametrize(("width", "mid_width", "branch_var"), CASES)
def test_even_moments(width, mid_width, branch_var):
    # tau^2 = beta chi^2_K; Q given tau has mean 1 + n tau^2 and variance 2 n tau^4 + 4 tau^2
    n, k, beta = width, mid_width, branch_var / mid_width * 2 / width
    first, second = beta * k / 2, beta**2 * (k * k + 5 * k) / 4
    squared = 1 + 2 * n * first + n * n * second + 2 * n * second + 4 * first
    assert residual_length_moment(n, k, 2, branch_var=branch_var) == pytest.approx(
        1 + branch_var, rel=1e-13
    )
    assert residual_length_moment(n, k, 4, branch_var=branch_var) == pytest.approx(
        squared, rel=1e-13
    )
    assert residual_length_moment(n, k, 2, branch_var=0.5, hidden_var=3.0) == pytest.approx(
        1.75, rel=1e-13
    )


@pytest.mark.parametrize(
    ("width", "mid_width", "branch_var", "m"),
    [(1, 1, 1.0, 0.6), (1, 1, 1.0, 3), (2, 2, 3.0, 1), (6, 3, 0.5, 3)],
)
def test_moments_against_the_noncentral_chi_square(width, mid_width, branch_var, m):
    with mp.workdps(25):
        h, b = mp.mpf(m) / 2, mp.mpf(width) / 2
        beta = mp.mpf(branch_var) / mid_width * 2 / width
        total = mp.mpf(1)  # every unit of the branch off
        step = mp.mpf(1) / 4
        for k in range(1, mid_width + 1):
            half = mp.mpf(k) / 2
            integral = mp.mpf(0)
            for i in range(-300, 22):  # trapezoidal rule in ln chi^2_k
                c = mp.exp(step * i)
                scale = 2 * beta * c
                if i * half * step < -75:
                    continue
                given = scale**h * mp.gamma(b + h) / mp.gamma(b) * mp.hyp1f1(-h, b, -1 / scale)
                integral += step * c**half * mp.exp(-c / 2) / (2**half * mp.gamma(half)) * given
            total += mp.binomial(mid_width, k) * integral
        exact = float(total / 2**mid_width)
    assert residual_length_moment(width, mid_width, m, branch_var=branch_var) == pytest.approx(
        exact, rel=1e-11
    )


@pytest.mark.slow
def test_high_even_moments_of_one_neuron():
    # Q = (1 + tau g)^2 with tau^2 = 2 branch_var chi^2_1 or 0
    strength = 0.7
    for power in (1, 2, 5, 10, 20):
        odd_factorials = [math.prod(range(2 * j - 1, 0, -2)) for j in range(power + 1)]
        moments = [
            math.comb(2 * power, 2 * j) * (2 * strength) ** j * odd**2
            for j, odd in enumerate(odd_factorials)
        ]
        exact = 0.5 + 0.5 * sum(moments)
        assert residual_length_moment(1, 1, 2 * power, branch_var=strength) == pytest.approx(
            exact, rel=1e-12
        )


def test_check_value_of_two_blocks():
    assert residual_length_moment(6, 4, branch_var=0.5, num_blocks=2) == pytest.approx(
        1.4020, abs=8e-4
    )
    one = residual_length_moment(6, 4, branch_var=0.5)
    assert residual_length_moment(6, 4, branch_var=0.5, num_blocks=7) == pytest.approx(
        one**7, rel=1e-13
    )
    assert residual_length_moment(6, 4, branch_var=0.5, num_blocks=0) == 1.0
    assert residual_length_moment(6, 4, branch_var=0.0) == pytest.approx(1.0, rel=1e-13)
    assert residual_length_moment(6, 4, 0, branch_var=3.0) == pytest.approx(1.0, rel=1e-13)


@pytest.mark.parametrize(("width", "mid_width", "branch_var"), CASES)
def test_log_moments_are_derivatives_of_the_moments(width, mid_width, branch_var):
    h = 0.005
    values = [
        math.log(residual_length_moment(width, mid_width, 2 * i * h, branch_var=branch_var))
        for i in range(7)
    ]
    first = np.array([-49 / 20, 6, -15 / 2, 20 / 3, -15 / 4, 6 / 5, -1 / 6]) / h
    second = np.array([203 / 45, -87 / 5, 117 / 4, -254 / 9, 33 / 2, -27 / 5, 137 / 180]) / h**2
    mean, variance, alive = residual_log_length_moments(width, mid_width, branch_var=branch_var)
    assert mean == pytest.approx(float(first @ values), abs=2e-7)
    assert variance == pytest.approx(float(second @ values), rel=1e-4, abs=1e-6)
    assert alive == 1.0


def test_log_moments_of_a_weak_branch():
    # ln Q = 2 tau g_1 + tau^2 (|g|^2 - 2 g_1^2) + ...: mean (n - 2) E tau^2, variance 4 E tau^2,
    # E tau^2 = branch_var / n
    for n, strength in ((5, 1e-6), (300, 1e-5)):
        mean, variance, _ = residual_log_length_moments(n, 40, branch_var=strength)
        assert mean == pytest.approx((n - 2) * strength / n, rel=20 * strength, abs=1e-13)
        assert variance == pytest.approx(4 * strength / n, rel=n * 20 * strength, abs=1e-12)


def test_log_moments_of_a_dominant_branch():
    # ln Q = ln tau^2 + ln chi^2_n as the skip connection becomes negligible
    n, k, strength = 7, 64, 1e12
    units = np.arange(1, k + 1)
    weights = special.comb(k, units) / 2.0**k
    given = special.digamma(units / 2)
    mean = weights @ given
    variance = weights @ (given - mean) ** 2 + weights @ special.polygamma(1, units / 2)
    mean += math.log(strength / k * 2 / n) + 2 * math.log(2) + special.digamma(n / 2)
    computed = residual_log_length_moments(n, k, branch_var=strength, num_blocks=3)
    assert computed.mean == pytest.approx(3 * mean, rel=1e-10)
    assert computed.variance == pytest.approx(
        3 * (variance + special.polygamma(1, n / 2)), rel=1e-9
    )


def test_wide_blocks_approach_infinite_width():
    for n in (1000, 4000):
        assert residual_length_moment(n, n) == pytest.approx(math.sqrt(2.0), rel=1.5 / n)
        mean, variance, _ = residual_log_length_moments(n, n)
        assert mean == pytest.approx(math.log(2.0), abs=3 / n)
        assert variance < 4 / n


def test_blocks_of_sampled_matrices():
    """Explicit W and V with Cauchy biases: log ||Ju||^2 after two blocks, mean to 0.8 % and
    variance to 2 %."""
    rng = np.random.default_rng(3)
    width, mid_width, branch_var, networks = 6, 4, 0.5, 60_000
    x = rng.standard_normal((networks, width, 1))
    u = np.broadcast_to(np.eye(width)[:, :1], (networks, width, 1))
    for _ in range(2):
        w = rng.standard_normal((networks, mid_width, width)) * math.sqrt(2.0 / width)
        v = rng.standard_normal((networks, width, mid_width)) * math.sqrt(branch_var / mid_width)
        z = w @ x + rng.standard_cauchy((networks, mid_width, 1))
        u = u + v @ ((w @ u) * (z > 0))
        x = x + v @ np.maximum(z, 0.0)
    logs = np.log((u**2).sum(axis=(1, 2)))
    mean, variance, _ = residual_log_length_moments(
        width, mid_width, branch_var=branch_var, num_blocks=2
    )
    # the rivals: infinite width; one block; the root of the mean square
    assert_mean(logs, mean, rejects=2 * math.log(1 + branch_var), resolves=0.05)
    assert_mean((logs - mean) ** 2, variance, rejects=variance / 2, resolves=0.1)
    expected = residual_length_moment(width, mid_width, branch_var=branch_var, num_blocks=2)
    assert_mean(np.exp(0.5 * logs), expected, rejects=1 + branch_var, resolves=0.02)


def test_bad_blocks_are_refused():
    for function in (residual_length_moment, residual_log_length_moments):
        for bad, match in (((0, 4), "width=0"), ((4, 1.5), "mid_width"), (("4", 4), "width")):
            with pytest.raises(SpecError, match=match):
                function(*bad)
        with pytest.raises(SpecError, match="num_blocks"):
            function(3, 4, num_blocks=-1)
        with pytest.raises(SpecError, match="branch_var"):
            function(3, 4, branch_var=-0.1)
        with pytest.raises(SpecError, match="hidden_var"):
            function(3, 4, hidden_var=math.nan)
    with pytest.raises(SpecError, match="a finite number >= 0"):
        residual_length_moment(3, 4, -1)
