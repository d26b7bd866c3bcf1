import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from statistical import assert_mean

from deepinit.core import activations
from deepinit.core.activations import Activation, as_activation, leaky_relu
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import normal_rule
from deepinit.theory.angles.pair_cumulants import coefficients
from deepinit.theory.numerics.delta_method import angle_expansion, state_expansion
from deepinit.theory.numerics.gaussian_pairs import homogeneous_frame, quadrature_frame

# theta: ln e, c1, c2, d1, d2 for ReLU, from mixed moments in 40-digit arithmetic
RELU = {
    0.01: (-9.2124979695, -2.001682011, -7.9773356, 7.985554592, 31.85164),
    0.1: (-4.62989694065, -2.015115192, -7.7625532, 7.780250818, 30.158414),
    0.5: (-1.5751343468, -2.005764975, -6.4960541, 5.613585447, 18.803319),
    1.0: (-0.518704581786, -1.705483877, -4.1957427, 2.195529646, 9.4723492),
    math.pi / 2: (-0.106829576024, -0.9110205863, -2.0529623, 0.2730195724, 3.7493157),
    2.0: (-0.0192892924467, -0.3104870852, -1.199355, 0.017361933, 0.56376402),
    2.5: (-0.000723108548159, -0.02311422931, -0.18071647, 5.181981073e-5, 0.0037655346),
}


def identity_clip(x):
    return jnp.clip(x, -1.0, 1.0)


def test_relu_reproduces_the_reference_table():
    result = coefficients(np.array(list(RELU)), "relu")
    for column, name in enumerate(("log_mean", "c1", "c2", "d1", "d2")):
        expected = np.array([row[column] for row in RELU.values()])
        np.testing.assert_allclose(getattr(result, name), expected, rtol=1e-7)  # the table's digits


def test_relu_first_order_equals_the_closed_form_in_mixed_moments():
    theta = np.array([0.3, 1.0, 1.5, 2.2])
    c, s, rest = np.cos(theta), np.sin(theta), np.pi - theta
    j11, j22, j31 = (
        (rest * c + s) / (2 * np.pi),
        (rest * (2 * c * c + 1) + 3 * s * c) / (2 * np.pi),
        (3 * c * rest + (c * c + 2) * s) / (2 * np.pi),
    )
    e = 1 - 4 * j11**2
    t = 8 * j11**2 * j22 - 8 * j11**4 + 4 * j11**2 - 8 * j11 * j31 + j22 + 1
    u = 2 * j11**2 - 4 * j11 * j31 + j22 + 1
    result = coefficients(theta, activations.relu)
    np.testing.assert_allclose(result.log_mean, np.log(e), rtol=1e-9)
    np.testing.assert_allclose(result.c1, 4 * (1 - t / e**2), rtol=1e-9)
    np.testing.assert_allclose(result.d1, 8 * (j22 + 1 + t / e**2 - 2 * u / e), rtol=1e-8)


def test_linear_small_angle_law_is_a_ratio_of_chi_squares():
    # sin^2(theta') / sin^2(theta) -> chi^2_{n-1} / chi^2_n, with
    # psi(n/2 - 1/2) - psi(n/2) = -1/n - 3/(2 n^2) + ...,
    # psi1(n/2 - 1/2) + psi1(n/2) = 4/n + 6/n^2 + ...
    result = coefficients(1e-9, "linear")
    np.testing.assert_allclose(result, (2 * math.log(1e-9), -1, 4, -1.5, 6), rtol=1e-8)


@pytest.mark.parametrize("theta", [1e-12, 1e-8, 1e-4])
def test_relu_small_angle_series(theta):
    result = coefficients(theta, "relu")
    assert float(result.log_mean) == pytest.approx(
        2 * math.log(theta) - 2 * theta / (3 * math.pi), abs=1e-8
    )
    assert float(result.c1) == pytest.approx(-2 - 8 * theta / (15 * math.pi), abs=1e-7)
    assert float(result.d1) == pytest.approx(8 - 64 * theta / (15 * math.pi), abs=1e-6)
    assert float(result.c2) == pytest.approx(-8, abs=1e-3)
    assert float(result.d2) == pytest.approx(32, abs=3e-3)


def test_angle_zero_and_pi():
    at_zero, at_pi = coefficients(0.0, "relu"), coefficients(math.pi, "relu")
    assert at_zero.log_mean == -math.inf
    np.testing.assert_allclose(at_zero[1:], (-2, 8, -8, 32), rtol=1e-12)
    np.testing.assert_allclose(
        at_pi, np.zeros(5), atol=1e-12
    )  # disjoint supports: a right angle, surely


def test_even_activation_cannot_tell_an_angle_from_its_supplement():
    theta = np.array([1e-6, 0.4, 1.3])
    np.testing.assert_allclose(
        coefficients(np.pi - theta, "absolute"),
        coefficients(theta, "absolute"),
        rtol=1e-9,
        atol=1e-9,
    )


def test_coefficients_do_not_see_the_scale_of_a_homogeneous_activation():
    np.testing.assert_allclose(
        coefficients(0.4, Activation("scaled", lambda x: x, slopes=(0.3, 3.0))),
        coefficients(0.4, leaky_relu(0.1)),
        rtol=1e-12,
    )


@pytest.mark.exhaustive
def test_jax_float32_jit_vmap_and_gradient():
    theta = np.array([1e-12, 1e-6, 1e-3, 0.1, 1.0, 2.0, 3.1])
    exact = coefficients(theta, leaky_relu(0.1))
    result = jax.jit(lambda t: coefficients(t, leaky_relu(0.1)))(jnp.asarray(theta, jnp.float32))
    assert all(isinstance(value, jax.Array) and value.dtype == jnp.float32 for value in result)
    for name in ("log_mean", "c1", "d1", "c2", "d2"):
        np.testing.assert_allclose(
            getattr(result, name), getattr(exact, name), rtol=2e-5, atol=2e-5, err_msg=name
        )
    mapped = jax.jit(jax.vmap(lambda t: coefficients(t, leaky_relu(0.1)).c1))(
        jnp.asarray(theta, jnp.float32)
    )
    np.testing.assert_allclose(mapped, result.c1, rtol=1e-6)
    with jax.enable_x64(True):
        slope = jax.jit(jax.grad(lambda t: coefficients(t, "relu").c1))(jnp.float64(0.3))
    difference = (coefficients(0.3 + 1e-5, "relu").c1 - coefficients(0.3 - 1e-5, "relu").c1) / 2e-5
    assert float(slope) == pytest.approx(float(difference), rel=1e-7)


@pytest.mark.parametrize("theta", [1e-8, 1e-3, 0.3, math.pi / 2, 2.5, 3.1])
def test_quadrature_with_a_kink_agrees_with_polar_coordinates(theta):
    frame = quadrature_frame(activations.relu, theta, (1.3, 0.4) if theta > 0.1 else (1.0, 1.0))
    np.testing.assert_allclose(
        (frame.log_sine2, *angle_expansion(frame)),
        coefficients(theta, "relu"),
        rtol=1e-11,
        atol=1e-12,
    )


def test_quadrature_rules_with_and_without_splits_agree_on_a_smooth_function():
    split = Activation(
        "tanh", activations.tanh.fn, kinks=(0.3, -0.8), derivative_fn=activations.tanh.derivative_fn
    )
    for theta, variances in ((1e-6, (1.0, 1.0)), (0.2, (1.0, 2.0)), (2.9, (0.3, 1.0))):
        np.testing.assert_allclose(
            coefficients(theta, split, variances), coefficients(theta, "tanh", variances), rtol=1e-9
        )


def test_quadrature_has_converged_at_a_large_variance():
    coarse, fine = (
        quadrature_frame(activations.tanh, 0.4, (16.0, 25.0), nodes) for nodes in (None, 1201)
    )
    np.testing.assert_allclose(angle_expansion(coarse), angle_expansion(fine), rtol=1e-10)


def test_kinked_user_function_by_an_independent_route():
    # d E[clip(u) clip(v)] / d rho = P(|u| < 1, |v| < 1), integrated from rho = 0
    theta = 0.9
    nodes, mass = np.polynomial.legendre.leggauss(24)
    top = math.cos(theta)
    inside = [
        multivariate_normal.cdf(
            [1, 1], cov=[[1, rho], [rho, 1]], lower_limit=[-1, -1], abseps=1e-10
        )
        for rho in 0.5 * top * (nodes + 1)
    ]
    overlap = 0.5 * top * float(np.dot(mass, inside))
    x, w = normal_rule((-1.0, 1.0))
    square = float(np.sum(w * np.clip(x, -1, 1) ** 2))
    clip = activations.from_function(identity_clip, kinks=(-1.0, 1.0))
    assert float(coefficients(theta, clip).log_mean) == pytest.approx(
        math.log(1 - (overlap / square) ** 2), rel=1e-7
    )


@pytest.mark.parametrize("name", ["tanh", "gelu", "erf", "silu"])
def test_smooth_activations_at_tiny_angles(name):
    activation, variance, theta = as_activation(name), 0.7, 1e-9
    x, w = normal_rule()
    u = math.sqrt(variance) * x
    ratio = variance * np.sum(w * activation.derivative(u) ** 2) / np.sum(w * activation(u) ** 2)
    result = coefficients(theta, activation, (variance, variance))
    assert float(result.log_mean) == pytest.approx(math.log(ratio) + 2 * math.log(theta), abs=1e-8)
    larger = coefficients(1e-6, activation, (variance, variance))
    np.testing.assert_allclose(result[1:], larger[1:], rtol=1e-5)


def test_state_expansion_implies_the_first_order_of_log_sin2():
    # ln sin^2 as a function of eta: slope cos, second derivative -sin^2/2
    for frame in (
        homogeneous_frame(np, np.float64(1.2), (0.1, 1.0)),
        quadrature_frame(activations.tanh, 2.5, (1.0, 2.0)),
    ):
        state, angle = state_expansion(frame), angle_expansion(frame)
        noise = state.covariance[2, 2]
        assert angle.d1 == pytest.approx(frame.cosine**2 * noise, rel=1e-12)
        assert angle.c1 == pytest.approx(
            frame.cosine * state.shift[2] - 0.25 * frame.sine**2 * noise, rel=1e-12
        )
        np.testing.assert_allclose(state.covariance, state.covariance.T, rtol=1e-12)


def sampled_log_sin2(activation, theta, variances, width, num_seeds, seed):
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(num_seeds // 20_000):
        x, y = rng.standard_normal((2, 20_000, width))
        a = activation(math.sqrt(variances[0]) * x)
        b = activation(math.sqrt(variances[1]) * (math.cos(theta) * x + math.sin(theta) * y))
        aa, ab, bb = np.sum(a * a, 1), np.sum(a * b, 1), np.sum(b * b, 1)
        residual = b - (ab / aa)[:, None] * a
        values.append(np.log(np.sum(residual * residual, 1) / bb))
    return np.concatenate(values)


@pytest.mark.parametrize(
    ("name", "theta", "variances", "width", "rejects_first_order_mean"),
    [
        ("leaky_relu", 0.3, (1.0, 1.0), 64, False),
        ("tanh", 0.5, (1.0, 1.0), 32, False),
        ("gelu", 1.0, (1.0, 2.0), 24, True),  # c2 / n^2 = -0.007, nine standard errors
        ("erf", 1.0, (0.5, 1.5), 32, False),
    ],
)
@pytest.mark.slow_cases("leaky_relu-0.3-variances0-64-False")
def test_sampled_layers_follow_the_second_order_and_reject_the_first_and_infinite_width(
    name, theta, variances, width, rejects_first_order_mean
):
    # 160 000 layers resolve the mean to 0.0009, the variance to 0.4 %; d2 / n^2 is 6 to 20 % of it
    activation = leaky_relu(0.1) if name == "leaky_relu" else as_activation(name)
    sample = sampled_log_sin2(activation, theta, variances, width, 160_000, seed=7)
    log_mean, c1, d1, c2, d2 = (float(v) for v in coefficients(theta, activation, variances))
    error = sample.std() / math.sqrt(len(sample))
    squares = (sample - sample.mean()) ** 2
    variance_error = squares.std() / math.sqrt(len(sample))
    third_order = (
        5.0 * d2 / width**3
    )  # left out of the variance; successive coefficients of the angle grow fourfold
    first_order = log_mean + c1 / width
    rival = first_order if rejects_first_order_mean else log_mean
    assert_mean(sample, first_order + c2 / width**2, rejects=rival)
    assert abs(sample.mean() - log_mean) > 20 * error
    assert abs(squares.mean() - d1 / width - d2 / width**2) < 5 * variance_error + third_order
    assert abs(squares.mean() - d1 / width) > 5 * variance_error + third_order


def test_refusals():
    with pytest.raises(SpecError, match="radians"):
        coefficients(3.2, "relu")
    with pytest.raises(SpecError, match="radians"):
        coefficients([0.1, -0.1], "tanh")
    with pytest.raises(SpecError, match="Tabulate"):
        jax.jit(lambda v: coefficients(0.3, "tanh", (v, v)))(1.0)
    with pytest.raises(SpecError, match="0 everywhere"):
        coefficients(0.3, Activation("zero", lambda x: 0 * x, slopes=(0.0, 0.0)))
    with pytest.raises(SpecError, match="collinear"):
        coefficients(0.0, "tanh")
    with pytest.raises(SpecError, match="variances"):
        coefficients(0.3, "tanh", (1.0, 0.0))


def test_pi_in_float32_is_pi():
    for activation in ("relu", leaky_relu(0.1)):
        for rounded in (np.float32(np.pi), jnp.float32(np.pi)):
            np.testing.assert_allclose(
                coefficients(rounded, activation).c1, coefficients(np.pi, activation).c1, atol=1e-4
            )
    with pytest.raises(SpecError, match="radians"):
        coefficients(jnp.float32(3.2), "relu")
