import functools
import itertools
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import diffusion_constants, double_limit, explosion_times


def copied(*inputs):
    """gram and mean of inputs copied to every coordinate."""
    z = np.array(inputs, dtype=float)
    return np.outer(z, z), z


def integrated(constants, gram, mean, weight, bias, horizon):
    """lambda, m and Theta by a generic solver, from the published equations (of lambda, not of its
    covariance)."""
    a, b, _ = constants
    n = len(mean)

    def rates(_, state):
        m, overlap, kernel = (
            state[:n],
            state[n : n + n * n].reshape(n, n),
            state[n + n * n :].reshape(n, n),
        )
        s = bias + weight * overlap
        own = np.diag(s)
        drift = 0.5 * b * (np.outer(own, m) + np.outer(m, own))
        return np.concatenate(
            [0.5 * b * own, (drift + a**2 * s).ravel(), (a**2 * (s + weight * kernel)).ravel()]
        )

    start = np.concatenate([mean, gram.ravel(), np.zeros(n * n)])
    end = solve_ivp(rates, (0.0, horizon), start, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    return end[:n], end[n : n + n * n].reshape(n, n), end[n + n * n :].reshape(n, n)


SWISH = [
    (-2.0, -1.050903, 2.053494, 5.562548),
    (-1.0, -0.540556, 0.751645, 5.842313),
    (0.0, 0.290926, 0.375563, 4.836798),
    (0.75, 1.318182, 2.305785, 3.2),
    (1.0, 1.793395, 4.009662, 2.772589),
    (2.0, 5.117930, 29.311136, 1.721636),
    (3.0, 17.582246, 323.717631, 1.221721),
]


@pytest.mark.parametrize(("z", "mean", "square", "time"), SWISH)
def test_swish_table(z, mean, square, time):
    gram, start = copied(z)
    limit = double_limit("silu", gram, 1.0, 1.0, mean=start)
    got = (limit.mean[0], limit.overlap[0, 0], limit.explosion_times[0])
    assert got == pytest.approx((mean, square, time), abs=6e-7)
    assert limit.covariance[0, 0] + limit.mean[0] ** 2 == pytest.approx(
        limit.overlap[0, 0], rel=1e-12
    )


def test_swish_pair():
    gram, mean = copied(1.0, 2.0)
    limit = double_limit("silu", gram, 1.0, 1.0, mean=mean)
    assert limit.overlap[0, 1] == pytest.approx(10.657400, abs=6e-7)
    assert limit.conditional_covariance[0, 1] == pytest.approx(1.478929, abs=6e-7)
    assert (limit.weight_kernel[0, 1], limit.bias_kernel) == pytest.approx(
        (1.349950, 0.284025), abs=6e-7
    )


@pytest.mark.parametrize(("z", "time"), [(4.0, 0.941622), (6.0, 0.642961)])
def test_a_horizon_beyond_the_explosion_is_refused_with_its_time(z, time):
    gram, mean = copied(0.1, z)
    assert explosion_times("silu", np.diag(gram), 1.0, 1.0, mean)[1] == pytest.approx(
        time, abs=6e-7
    )
    with pytest.raises(SpecError, match=rf"for input 1 at the time {time:.6g}"):
        double_limit("silu", gram, 1.0, 1.0, mean=mean)
    double_limit("silu", gram, 1.0, 1.0, horizon=time - 0.01, mean=mean)


@functools.lru_cache
def polynomial(b):
    return lambda x: 0.8 * x + 0.5 * b * x * x


BRANCHES = {  # name: (b, weight_var, bias_var, (q, m), horizon)
    "tangent": (0.9, 1.2, 0.8, (1.5, 0.3), 0.8),
    "cotangent": (0.9, 1.2, 0.05, (1.0, 0.95), 0.7),
    "tangent from below": (0.9, 1.2, 0.05, (4.0, -1.99), 2.0),
    "cotangent, late": (0.3, 1.2, 0.0, (1e-4, 0.0), 2.0),
    "negative curvature": (-0.7, 0.9, 0.4, (1.0, 0.2), 1.0),
    "no weights": (0.9, 0.0, 0.8, (1.5, 0.3), 1.7),
    "no curvature": (0.0, 1.1, 0.3, (1.5, 0.3), 1.2),
    "tiny curvature": (1e-9, 1.1, 0.3, (1.5, 0.3), 1.2),
    "tiny weights": (0.9, 1e-10, 0.8, (1.5, 0.3), 1.7),
}


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.slow_cases("tangent")
def test_closed_forms_against_a_generic_solver(name):
    b, weight, bias, (q, m), horizon = BRANCHES[name]
    activation = polynomial(b)
    mean = np.array([m, 0.5 * m - 0.05])
    gram = np.outer(mean, mean) + np.array([[1.0, 0.4], [0.4, 0.5]]) * (q - m * m)
    limit = double_limit(activation, gram, weight, bias, horizon, mean)
    means, overlap, kernel = integrated(
        diffusion_constants(activation), gram, mean, weight, bias, horizon
    )
    assert limit.mean == pytest.approx(means, rel=1e-9, abs=1e-11)
    assert limit.overlap == pytest.approx(overlap, rel=1e-9, abs=1e-11)
    assert limit.block_kernel == pytest.approx(kernel, rel=1e-9, abs=1e-11)
    before = limit.overlap - np.outer(limit.mean, limit.mean)
    assert before == pytest.approx(limit.covariance, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("name", BRANCHES)
def test_closed_forms_against_the_textbook_branches(name):
    b, weight, bias, (q, m), t = BRANCHES[name]
    if abs(b) < 1e-3 or weight < 1e-3:
        return
    u0, w, a2 = b * m + 0.64, math.sqrt(weight), 0.64
    big = b**2 * (bias + weight * q) - weight * u0**2
    rho, time = math.sqrt(abs(big)), math.inf
    if big > 0:
        angle = math.atan(w * u0 / rho)
        u, time = (
            rho / w * math.tan(0.5 * w * rho * t + angle),
            2 / (w * rho) * (math.pi / 2 - angle),
        )
    elif abs(y := w * u0 / rho) < 1:
        u = rho / w * math.tanh(math.atanh(y) - 0.5 * w * rho * t)
    else:
        u = rho / w / math.tanh(math.atanh(1 / y) - 0.5 * w * rho * t)
        time = math.log((y + 1) / (y - 1)) / (w * rho) if y > 1 else math.inf
    limit = double_limit(polynomial(b), [[q]], weight, bias, t, [m])
    assert limit.mean[0] == pytest.approx((u - a2) / b, rel=1e-11)
    s = (weight * u**2 + big) / b**2
    assert limit.overlap[0, 0] == pytest.approx((s - bias) / weight, rel=1e-10)
    assert limit.explosion_times[0] == pytest.approx(time, rel=1e-11)


def test_with_curvature_every_input_explodes_and_two_branches_never_occur():
    # A = b^2 bias_var + w^2 b^2 (q - m^2) - w^2 a^2 (2 b m + a^2) < 0 makes u_0 > a^2 / 2, and
    # -A <= w^2 u_0^2: then y > 1
    seen = set()
    for b, q, share, bias in itertools.product(
        (-0.9, 0.2, 0.9), (0.1, 1.0, 4.0), (-1.0, -0.5, 0.0, 0.9), (0.0, 0.5)
    ):
        m = share * math.sqrt(q)
        u0 = b * m + 0.64
        big = b**2 * (bias + q) - u0**2
        seen.add(big > 0)
        assert big >= 0 or u0 / math.sqrt(-big) > 1.0
        assert np.isfinite(explosion_times(polynomial(b), [q], 1.0, bias, [m])).all()
    assert seen == {True, False}


def test_without_discriminant_the_solution_is_a_hyperbola():
    limit = double_limit("silu", [[0.5625]], 1.0, 1.0, 1.0, [0.75])  # A = 0 exactly
    u = 0.625 / (1.0 - 0.5 * 0.625)
    assert limit.explosion_times[0] == 3.2
    assert limit.mean[0] == pytest.approx((u - 0.25) / 0.5, rel=1e-14)


def test_the_zero_input_without_biases_stays_zero():
    limit = double_limit("silu", np.zeros((1, 1)), 1.0, 0.0, 5.0)
    assert (limit.mean[0], limit.overlap[0, 0], limit.explosion_times[0]) == (0.0, 0.0, math.inf)


def test_close_to_the_explosion_the_integrals_stay_accurate():
    gram, mean = copied(1.0, 0.4)
    time = explosion_times("silu", [1.0], 1.0, 1.0, [1.0])[0]
    horizon = time * (1.0 - 1e-3)
    limit = double_limit("silu", gram, 1.0, 1.0, horizon, mean)
    _, overlap, kernel = integrated(diffusion_constants("silu"), gram, mean, 1.0, 1.0, horizon)
    assert limit.overlap == pytest.approx(overlap, rel=1e-6)
    assert limit.block_kernel == pytest.approx(kernel, rel=1e-6)
    assert limit.overlap[0, 0] > 1e5


def test_tanh_values():
    gram, _ = copied(1.0, 2.0, 0.0)
    limit = double_limit("tanh", gram, 1.0, 1.0)
    assert np.diag(limit.conditional_covariance)[[2, 0]] == pytest.approx(
        (1.71828, 3.43656), abs=6e-6
    )
    assert limit.conditional_covariance[0, 2] == pytest.approx(1.71828, abs=6e-6)
    assert (limit.weight_kernel[0, 1], limit.bias_kernel) == pytest.approx(
        (6.43656, 1.71828), abs=6e-6
    )
    assert (limit.overlap[0, 0], limit.overlap[0, 1]) == pytest.approx((4.43656, 7.15485), abs=6e-6)
    assert np.isinf(limit.explosion_times).all()


@pytest.mark.parametrize(("activation", "horizon"), [("tanh", 1.0), ("erf", 0.1), ("sin", 9.0)])
def test_without_curvature_the_correlation_depends_on_neither_horizon_nor_activation(
    activation, horizon
):
    z = np.array([2.0, -2.0, 0.5])
    limit = double_limit(activation, np.outer(z, z), 1.0, 1.0, horizon)
    expected = (np.outer(z, z) + 1.0) / np.sqrt(np.outer(z**2 + 1.0, z**2 + 1.0))
    assert limit.correlation == pytest.approx(expected, rel=1e-12)
    assert limit.correlation[0, 1] == pytest.approx(-0.6)
    curved = double_limit("silu", np.outer(z, z), 1.0, 1.0, 1.0, z)
    assert abs(curved.correlation - expected).max() > 1e-3


def test_without_curvature_everything_is_in_closed_form():
    gram, w, b, t = np.array([[1.3, 0.4], [0.4, 0.6]]), 0.7, 0.35, 1.4
    c, r, e = w * t, b / w, math.exp(w * t)
    limit = double_limit("tanh", gram, w, b, t)
    assert limit.overlap == pytest.approx(gram * e + r * (e - 1), rel=1e-13)
    assert limit.conditional_covariance == pytest.approx((gram + r) * (e - 1), rel=1e-13)
    assert limit.block_kernel == pytest.approx((gram + r) * c * e, rel=1e-13)
    assert limit.weight_kernel == pytest.approx(gram * c * e + r * (c * e - (e - 1)), rel=1e-12)
    # the mean only matters with curvature
    shifted = double_limit("tanh", gram, w, b, t, [0.3, 0.2])
    assert shifted.overlap == pytest.approx(limit.overlap, rel=1e-12)
    assert shifted.weight_kernel == pytest.approx(limit.weight_kernel, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: double_limit("tanh", np.ones((2, 3)), 1.0), "gram of shape"),
        (lambda: double_limit("tanh", 1j * np.eye(2), 1.0), "gram of type.*real numbers"),
        (lambda: double_limit("tanh", [[1.0, 2.0], [3.0]], 1.0), "gram of type.*real numbers"),
        (lambda: double_limit("tanh", np.eye(2), -1.0), "weight_var=-1.0"),
        (lambda: double_limit("tanh", np.eye(2), 1.0, horizon=math.inf), "horizon=inf"),
        (lambda: double_limit("silu", np.eye(2), 1.0, mean=[0.0]), "mean of shape"),
        (lambda: double_limit("silu", np.eye(2), 1.0, mean=[2.0, 0.0]), r"gram - mean mean\^T"),
        (lambda: double_limit("tanh", np.eye(2), 1.0, 1.0, 200.0), "growth exponent of 200"),
        (lambda: explosion_times("silu", [1.0], 1.0, mean=[2.0]), "mean_squares >= mean"),
        (lambda: explosion_times("silu", [-1.0], 1.0), "semidefinite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(SpecError, match=message):
        call()
