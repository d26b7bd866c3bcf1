"""Critical points and moments: independent quadrature, closed forms, covariances, iteration."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import deepinit as di
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.theory.criticality import norm_decay
from deepinit.theory.criticality.moments import single_variance_moments

ACTIVATIONS = {
    **{name: name for name in ("tanh", "sin", "gelu", "silu")},
    "elu": di.from_function(jax.nn.elu, kinks=(0.0,)),
    "selu": di.from_function(jax.nn.selu, kinks=(0.0,)),
    "hard_tanh": di.from_function(jax.nn.hard_tanh, kinks=(-1.0, 1.0)),
    "mish": di.from_function(jax.nn.mish),
    "hard_swish": di.from_function(jax.nn.hard_swish, kinks=(-3.0, 3.0)),
    "relu_of_jax": di.from_function(jax.nn.relu, kinks=(0.0,)),
}
WEIGHT_VARS = {"tanh": 1.0, "sin": 1.0, "elu": 1.0, "selu": 0.4767710179}


# -- the point itself, by quadrature that shares nothing with deepinit


def _mp_gelu(x):
    return x * mp.ncdf(x)


def _mp_silu(x):
    return x / (1 + mp.exp(-x))


def _mp_mish(x):
    return x * mp.tanh(mp.log1p(mp.exp(x)))


def _mp_hard_swish(x):
    return x * min(max(x + 3, mp.mpf(0)), mp.mpf(6)) / 6


MPMATH = {"gelu": _mp_gelu, "silu": _mp_silu, "mish": _mp_mish, "hard_swish": _mp_hard_swish}


def _mp_moments(phi, variance):
    """g, h, g' by Gauss-Legendre in mpmath, with a numerical derivative."""
    std = mp.sqrt(variance)
    edges = sorted(
        {mp.mpf(edge) for edge in (-11, -7, -4, -2, 0, 2, 4, 7, 11)}
        | {mp.mpf(-3) / std, mp.mpf(3) / std}
    )

    def moment(f):
        return mp.quad(
            lambda u: f(std * u) * mp.npdf(u), edges, maxdegree=4, method="gauss-legendre"
        )

    def slope(x):
        return (phi(x + step) - phi(x - step)) / (2 * step)

    step = mp.mpf(10) ** -9
    g = moment(lambda x: phi(x) ** 2)
    h = moment(lambda x: slope(x) ** 2)
    growth = moment(lambda x: x * phi(x) * slope(x)) / variance
    return g, h, growth


@pytest.mark.parametrize("name", MPMATH)
def test_both_derivatives_are_one_at_the_fixed_point(name):
    critical_point = di.critical(ACTIVATIONS[name])
    with mp.workdps(25):
        g, h, growth = _mp_moments(MPMATH[name], mp.mpf(critical_point.fixed_point))
        assert abs(critical_point.weight_var * h - 1) < 1e-10
        assert abs(critical_point.weight_var * growth - 1) < 1e-10
        assert (
            abs(
                critical_point.bias_var + critical_point.weight_var * g - critical_point.fixed_point
            )
            < 1e-10 * critical_point.fixed_point
        )


@pytest.mark.parametrize("variance", [1e-8, 1e-3, 1.0, 1e3, 1e6])
def test_moments_against_closed_forms_from_tiny_to_huge_variances(variance):
    k = np.array([variance])
    sin = single_variance_moments(di.sin, k)[:3]
    decay = np.exp(-2 * variance)
    exact = [-0.5 * np.expm1(-2 * variance), 0.5 * (1 + decay), decay]
    assert np.concatenate(sin) == pytest.approx(exact, rel=1e-11, abs=1e-12)
    erf = single_variance_moments(di.erf, k)[:3]
    exact = [
        2 / np.pi * np.arcsin(2 * variance / (1 + 2 * variance)),
        4 / np.pi / np.sqrt(1 + 4 * variance),
    ]
    exact += [4 / np.pi / (1 + 2 * variance) / np.sqrt(1 + 4 * variance)]
    assert np.concatenate(erf) == pytest.approx(exact, rel=1e-11)
    relu = single_variance_moments(ACTIVATIONS["relu_of_jax"], k)[:3]
    assert np.concatenate(relu) == pytest.approx([0.5 * variance, 0.5, 0.5], rel=1e-13)
    clipped = single_variance_moments(ACTIVATIONS["hard_tanh"], k)[1]
    assert clipped == pytest.approx(math.erf(1 / math.sqrt(2 * variance)), rel=1e-12)


def test_moments_that_are_infinite_or_beyond_the_range_are_nan():
    square = single_variance_moments(
        di.from_function(jnp.exp), np.array([1.0, 50.0, 400.0, 1e5])
    ).square
    assert square[:2] == pytest.approx(np.exp([2.0, 100.0]), rel=1e-12)
    assert np.isnan(square[2:]).all()


# -- exact covariances


@pytest.mark.parametrize("exact", [jax.nn.silu, pytest.param(jax.nn.selu, marks=pytest.mark.slow)])
@pytest.mark.slow_cases("silu")
@pytest.mark.exhaustive_cases("selu")
def test_covariance_under_scaling_and_reflection(exact):
    weight, bias, fixed = di.critical(di.from_function(exact, kinks=(0.0,)))[:3]
    for beta in (0.02, 30.0):
        inner = di.critical(di.from_function(lambda x, b=beta: exact(b * x) / b, kinks=(0.0,)))
        assert inner[:3] == pytest.approx((weight, bias / beta**2, fixed / beta**2), rel=1e-10)
    outer = di.critical(di.from_function(lambda x: -3.0 * exact(x), kinks=(0.0,)))
    assert outer[:3] == pytest.approx((weight / 9.0, bias, fixed), rel=1e-10)
    reflected = di.critical(di.from_function(lambda x: exact(-x), kinks=(0.0,)))
    assert reflected[:3] == pytest.approx((weight, bias, fixed), rel=1e-10)


def test_swish_of_slope_1_702():
    critical_point = di.critical(lambda x: x * jax.nn.sigmoid(1.702 * x))
    assert critical_point[:3] == pytest.approx((1.988004678, 0.1916398799, 4.943438913), rel=1e-9)


# -- depth


def _rule():
    nodes, weights = np.polynomial.legendre.leggauss(80)
    nodes = np.concatenate([5.0 * nodes - 5.0, 5.0 * nodes + 5.0])
    return nodes, np.tile(5.0 * weights, 2) * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


def _elu(x):
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))


def _selu(x):
    return 1.0507009873554805 * np.where(
        x > 0.0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0.0))
    )


@pytest.mark.parametrize(
    ("name", "phi", "at_1000"),
    [
        ("tanh", np.tanh, 5.01e-4),
        ("sin", np.sin, 9.97e-4),
        ("elu", _elu, 6.35e-6),
        ("selu", _selu, 2.899e-6),
    ],
)
def test_norms_decay_by_the_stated_law(name, phi, at_1000):
    nodes, weights = _rule()
    weight, (power, constant) = WEIGHT_VARS[name], norm_decay(ACTIVATIONS[name])
    kernel, history = 1.0, []
    for _ in range(20_000):
        kernel = weight * float(weights @ phi(math.sqrt(kernel) * nodes) ** 2)
        history.append(kernel)
    assert history[999] == pytest.approx(at_1000, rel=0.02)  # layer 1000
    assert history[-1] * 20_000**power == pytest.approx(constant, rel=2e-3)
    assert history[999] * 1000.0 ** (3.0 - power) != pytest.approx(
        history[-1] * 20_000 ** (3.0 - power), rel=0.5
    )


def test_half_stable_norms_relax_so_slowly_that_the_first_layer_must_set_them():
    from scipy.special import ndtr

    nodes, weights = _rule()
    critical_point = di.critical("gelu")

    def after(depth, kernel):
        for _ in range(depth):
            z = math.sqrt(kernel) * nodes
            kernel = critical_point.bias_var + critical_point.weight_var * float(
                weights @ (z * ndtr(z)) ** 2
            )
        return kernel / critical_point.fixed_point

    start = 0.3 * critical_point.fixed_point
    assert [after(depth, start) for depth in (10, 100, 1000)] == pytest.approx(
        [0.33, 0.48, 0.69], abs=0.006
    )
    assert after(1000, critical_point.bias_var + critical_point.first_weight_var) == pytest.approx(
        1.0, abs=1e-6
    )


@pytest.mark.slow
def test_infinitely_wide_networks_keep_the_norm_and_the_gradients():
    critical_point = di.critical("silu")
    size = (
        critical_point.fixed_point - critical_point.bias_var
    ) / critical_point.weight_var  # mean square of the inputs
    laws = {
        "weight_law": di.normal(critical_point.weight_var),
        "bias_law": di.normal(critical_point.bias_var, scaling="absolute"),
    }
    layers = kernel_layers(di.MLP((8,) * 40, "silu", **laws), math.sqrt(size) * np.ones((1, 3)))
    kernel, tangent = layers.nngp[:, 0, 0], layers.ntk[:, 0, 0]
    assert kernel == pytest.approx(critical_point.fixed_point, rel=1e-8)
    # chi_perp = 1: every layer adds K
    assert np.diff(tangent) == pytest.approx(critical_point.fixed_point, rel=1e-7)
    # K = 1 at the default variance is unstable
    start = np.full((1, 3), math.sqrt((1 + 1e-6) / 2.810761124074481))
    usual = kernel_layers(di.MLP((8,) * 100, "silu"), start)
    assert usual.nngp[-1, 0, 0] > 1.5
