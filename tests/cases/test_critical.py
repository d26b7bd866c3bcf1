"""Critical initialization: constants against tables and independent quadrature, classes, refusals (cases A10)."""

import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import default_weight_var
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.theory.criticality import norm_decay, other_side
from deepinit.theory.criticality_moments import single_variance_moments
from deepinit.theory.kernel_corrections import criticality_class


def _x_sin(x):
    return x + jnp.sin(x) ** 2


def _shifted_softplus(x):
    return jnp.logaddexp(x, 0.0) - math.log(2.0)


def _signed_log_cosh(x):
    return jnp.sign(x) * jnp.log(jnp.cosh(x))


def _x_root(x):
    return x + jnp.sqrt(x * x + 4.0)


ACTIVATIONS = {
    **{name: name for name in ("relu", "linear", "absolute", "tanh", "sin", "erf", "gelu", "silu", "x_tanh", "x2_tanh", "softplus", "sigmoid")},
    "leaky": di.leaky_relu(0.2),
    "gelu_tanh": di.from_function(lambda x: jax.nn.gelu(x, approximate=True)),
    "elu": di.from_function(jax.nn.elu, kinks=(0.0,)),
    "selu": di.from_function(jax.nn.selu, kinks=(0.0,)),
    "relu6": di.from_function(jax.nn.relu6, kinks=(0.0, 6.0)),
    "hard_tanh": di.from_function(jax.nn.hard_tanh, kinks=(-1.0, 1.0)),
    "softsign": di.from_function(jax.nn.soft_sign, kinks=(0.0,)),
    "arctan": di.from_function(jnp.arctan),
    "mish": di.from_function(jax.nn.mish),
    "hard_swish": di.from_function(jax.nn.hard_swish, kinks=(-3.0, 3.0)),
    "x_sin": di.from_function(_x_sin),
    "shifted_softplus": di.from_function(_shifted_softplus),
    "signed_log_cosh": di.from_function(_signed_log_cosh),
    "x_root": di.from_function(_x_root),
    "relu_of_jax": di.from_function(jax.nn.relu, kinks=(0.0,)),
}  # fmt: skip

# weight_var, bias_var, K*, the side that attracts, where the other side goes in units of K*, chi_perp there, d chi_perp / d ln K
HALF_STABLE = {
    "gelu": (1.983058257, 0.1729223908, 3.561552813, "above", 0.8522, 0.9940, 0.0332),
    "gelu_tanh": (1.982888240, 0.1728951983, 3.556772845, "above", 0.8367, 0.9932, 0.0333),
    "silu": (1.988004678, 0.5551431707, 14.32017362, "below", 1.0191, 1.0005, 0.0248),
    "mish": (2.013524070, 0.09452178737, 1.670169132, "below", math.inf, math.nan, 0.0578),
    "x_tanh": (0.9880761932, 0.2759167304, 3.580043405, "below", 1.0191, 1.0009, 0.0493),
    "hard_swish": (1.973289584, 0.5071458488, 4.803855949, "below", 2.2964, 1.0473, 0.1056),
}
ZERO_CRITICAL = {  # weight_var, power and constant of the decay
    "tanh": (1.0, 1.0, 0.5),
    "sin": (1.0, 1.0, 1.0),
    "erf": (math.pi / 4.0, 1.0, 0.5),
    "arctan": (1.0, 1.0, 0.5),
    "elu": (1.0, 2.0, 2.0 * math.pi),
    "selu": (0.4767710179, 2.0, 2.8932537784),
    "softsign": (1.0, 2.0, math.pi / 8.0),
    "relu6": (2.0, math.inf, math.nan),
    "hard_tanh": (1.0, math.inf, math.nan),
}
SCALE_INVARIANT = {"relu": 2.0, "leaky": 2.0 / 1.04, "absolute": 1.0, "linear": 1.0, "relu_of_jax": 2.0}


@pytest.mark.parametrize("name", HALF_STABLE)
def test_a10_half_stable_constants(name):
    weight, bias, fixed, side, away, chi_away, sensitivity = HALF_STABLE[name]
    found = di.critical(ACTIVATIONS[name])
    assert found.kind == "half_stable"
    assert (found.weight_var, found.bias_var, found.fixed_point) == pytest.approx((weight, bias, fixed), rel=1e-9)
    assert (found.chi_parallel, found.chi_perp) == (1.0, 1.0)
    assert found.first_weight_var == pytest.approx(fixed - bias, rel=1e-9)
    goes = other_side(ACTIVATIONS[name], found)
    assert goes.attracts_from == side
    assert goes.fixed_point == pytest.approx(away, abs=6e-5)
    assert goes.chi_perp == pytest.approx(chi_away, abs=6e-5, nan_ok=True)
    assert f"attracts from {side}" in found.note
    step = 1e-4
    phi = di.MLP((1,), activation=ACTIVATIONS[name]).activation
    ends = single_variance_moments(phi, found.fixed_point * np.exp([-step, step])).slope_square
    assert found.weight_var * np.diff(ends)[0] / (2.0 * step) == pytest.approx(sensitivity, abs=6e-5)


@pytest.mark.parametrize("name", ZERO_CRITICAL)
def test_a10_zero_critical_constants(name):
    weight, power, constant = ZERO_CRITICAL[name]
    found = di.critical(ACTIVATIONS[name])
    assert found.kind == "zero_critical"
    assert found.weight_var == pytest.approx(weight, rel=1e-9)
    assert (found.bias_var, found.fixed_point, found.chi_parallel, found.chi_perp) == (0.0, 0.0, 1.0, 1.0)
    assert norm_decay(ACTIVATIONS[name]) == pytest.approx((power, constant), rel=1e-9, nan_ok=True)
    assert di.critical(ACTIVATIONS[name], 0) == found


@pytest.mark.parametrize("name", SCALE_INVARIANT)
def test_a10_scale_invariant_constants(name):
    found = di.critical(ACTIVATIONS[name])
    assert found.kind == "scale_invariant"
    assert found.weight_var == pytest.approx(SCALE_INVARIANT[name], rel=1e-13)
    assert found.bias_var == 0.0
    assert math.isnan(found.fixed_point)
    at = di.critical(ACTIVATIONS[name], 7.0)
    assert at[:3] == pytest.approx((found.weight_var, 0.0, 7.0), rel=1e-12)


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
    """g, h, g' by Gauss-Legendre of 50 digits' working precision 25, with mpmath's numerical derivative."""
    std = mp.sqrt(variance)
    edges = sorted({mp.mpf(edge) for edge in (-11, -7, -4, -2, 0, 2, 4, 7, 11)} | {mp.mpf(-3) / std, mp.mpf(3) / std})

    def moment(f):
        return mp.quad(lambda u: f(std * u) * mp.npdf(u), edges, maxdegree=4, method="gauss-legendre")

    def slope(x):
        return (phi(x + step) - phi(x - step)) / (2 * step)

    step = mp.mpf(10) ** -9
    g = moment(lambda x: phi(x) ** 2)
    h = moment(lambda x: slope(x) ** 2)
    growth = moment(lambda x: x * phi(x) * slope(x)) / variance
    return g, h, growth


@pytest.mark.parametrize("name", MPMATH)
def test_a10_both_derivatives_are_one_at_the_fixed_point(name):
    found = di.critical(ACTIVATIONS[name])
    with mp.workdps(25):
        g, h, growth = _mp_moments(MPMATH[name], mp.mpf(found.fixed_point))
        assert abs(found.weight_var * h - 1) < 1e-10
        assert abs(found.weight_var * growth - 1) < 1e-10
        assert abs(found.bias_var + found.weight_var * g - found.fixed_point) < 1e-10 * found.fixed_point


@pytest.mark.parametrize("variance", [1e-8, 1e-3, 1.0, 1e3, 1e6])
def test_moments_against_closed_forms_from_tiny_to_huge_variances(variance):
    k = np.array([variance])
    sin = single_variance_moments(di.sin, k)[:3]
    assert np.concatenate(sin) == pytest.approx([-0.5 * np.expm1(-2 * variance), 0.5 * (1 + np.exp(-2 * variance)), np.exp(-2 * variance)], rel=1e-11, abs=1e-12)  # fmt: skip
    erf = single_variance_moments(di.erf, k)[:3]
    exact = [2 / np.pi * np.arcsin(2 * variance / (1 + 2 * variance)), 4 / np.pi / np.sqrt(1 + 4 * variance)]
    exact += [4 / np.pi / (1 + 2 * variance) / np.sqrt(1 + 4 * variance)]
    assert np.concatenate(erf) == pytest.approx(exact, rel=1e-11)
    relu = single_variance_moments(ACTIVATIONS["relu_of_jax"], k)[:3]
    assert np.concatenate(relu) == pytest.approx([0.5 * variance, 0.5, 0.5], rel=1e-13)
    clipped = single_variance_moments(ACTIVATIONS["hard_tanh"], k)[1]
    assert clipped == pytest.approx(math.erf(1 / math.sqrt(2 * variance)), rel=1e-12)


def test_moments_that_are_infinite_or_beyond_the_range_are_nan():
    square = single_variance_moments(di.from_function(jnp.exp), np.array([1.0, 50.0, 400.0, 1e5])).square
    assert square[:2] == pytest.approx(np.exp([2.0, 100.0]), rel=1e-12)
    assert np.isnan(square[2:]).all()


# -- exact covariances


@pytest.mark.parametrize("exact", [jax.nn.silu, pytest.param(jax.nn.selu, marks=pytest.mark.slow)])
def test_a10_covariance_under_scaling_and_reflection(exact):
    weight, bias, fixed = di.critical(di.from_function(exact, kinks=(0.0,)))[:3]
    for beta in (0.02, 30.0):
        inner = di.critical(di.from_function(lambda x, b=beta: exact(b * x) / b, kinks=(0.0,)))
        assert inner[:3] == pytest.approx((weight, bias / beta**2, fixed / beta**2), rel=1e-10)
    outer = di.critical(di.from_function(lambda x: -3.0 * exact(x), kinks=(0.0,)))
    assert outer[:3] == pytest.approx((weight / 9.0, bias, fixed), rel=1e-10)
    reflected = di.critical(di.from_function(lambda x: exact(-x), kinks=(0.0,)))
    assert reflected[:3] == pytest.approx((weight, bias, fixed), rel=1e-10)


def test_a10_swish_of_slope_1_702():
    found = di.critical(lambda x: x * jax.nn.sigmoid(1.702 * x))
    assert found[:3] == pytest.approx((1.988004678, 0.1916398799, 4.943438913), rel=1e-9)


# -- the edge of chaos at a given K


@pytest.mark.parametrize(
    ("name", "weight", "bias", "chi"),
    [
        ("tanh", 2.1533026489, 0.1509646294, 0.391),
        ("erf", 1.7562036828, 0.1841396778, 0.333),
        ("sin", 1.7615941560, 0.2384058440, 0.238),
        ("elu", 1.4967774354, 0.0346602520, 0.860),
        ("selu", 0.9332058018, 0.0667941982, 0.730),
        ("shifted_softplus", 3.4085598, 0.0310704, 1.057),
    ],
)
def test_a10_edge_at_unit_variance(name, weight, bias, chi):
    found = di.critical(ACTIVATIONS[name], fixed_point=1.0)
    assert found[:2] == pytest.approx((weight, bias), abs=1e-7 if name == "shifted_softplus" else 1e-10)
    assert found.chi_parallel == pytest.approx(chi, abs=6e-4)
    assert (found.fixed_point, found.chi_perp) == (1.0, 1.0)
    assert ("attracts" in found.note) == (chi < 1.0)
    assert ("norms run off" in found.note) == (chi > 1.0)
    if chi < 1.0:
        assert f"weight_var {found.weight_var:.10g}" in di.critical(ACTIVATIONS[name]).note


def test_a10_relu6_is_scale_invariant_in_practice():
    assert di.critical(ACTIVATIONS["relu6"], 1.0).chi_parallel - 1.0 == pytest.approx(-7e-8, rel=0.05)


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", ["shifted_softplus", pytest.param("signed_log_cosh", marks=SLOW), "x2_tanh"])
def test_a10_edge_unstable(name):
    found = di.critical(ACTIVATIONS[name])
    assert found.kind == "edge_unstable"
    assert found == di.critical(ACTIVATIONS[name], 1.0)
    assert found.chi_parallel > 1.0
    assert found.bias_var > 0.0
    assert "norms run off" in found.note


def test_a10_x_plus_sin_squared_is_half_stable():
    found = di.critical(ACTIVATIONS["x_sin"])
    assert found.kind == "half_stable"
    assert criticality_class(ACTIVATIONS["x_sin"], found.weight_var, found.bias_var).name == "half_stable"


# -- refusals


def test_a10_sigmoid_is_refused_with_the_remedy():
    with pytest.raises(
        SpecError, match=r"fixed_point >= 45\.624278 \(weight_var 103\.00755.*zero_critical.*weight_var 16 "
    ):
        di.critical("sigmoid")
    with pytest.raises(SpecError, match=r"bias variance would be -5\.5433.*45\.624278"):
        di.critical("sigmoid", 1.0)
    found = di.critical("sigmoid", 46.0)
    assert found.kind == "edge_saturated"
    assert found.chi_parallel < 1.0
    assert di.critical(di.from_function(lambda x: jax.nn.sigmoid(x) - 0.5)).weight_var == pytest.approx(16.0, rel=1e-12)


@pytest.mark.parametrize(("name", "shift"), [("softplus", "0.6931471806"), ("x_root", "2")])
def test_a10_class_none_is_refused_with_the_remedy(name, shift):
    with pytest.raises(SpecError, match=f"negative at every K.*phi.x. - {shift} is of class edge_unstable.*residual"):
        di.critical(ACTIVATIONS[name])


def test_a10_softplus_at_unit_variance_says_how_far_off_it_is():
    with pytest.raises(SpecError, match=r"bias variance would be -2\.14.*3\.4085598, bias_var 0\.0310704"):
        di.critical("softplus", 1.0)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf, "1", True, [1.0], 1j])
def test_a10_a_fixed_point_that_is_no_variance_is_refused(bad):
    with pytest.raises(SpecError, match="fixed_point"):
        di.critical("tanh", bad)


def test_a10_activations_without_an_edge_are_refused():
    with pytest.raises(SpecError):
        di.critical(lambda x: 0.0 * x + 1.0)
    with pytest.raises(SpecError):
        di.critical(lambda x: x + jnp.sign(x))
    with pytest.raises(SpecError):
        di.critical("gelu", 0.0)
    with pytest.raises(SpecError, match="zero_critical"):
        norm_decay("gelu")


# -- depth


def _rule():
    nodes, weights = np.polynomial.legendre.leggauss(80)
    nodes = np.concatenate([5.0 * nodes - 5.0, 5.0 * nodes + 5.0])
    return nodes, np.tile(5.0 * weights, 2) * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


def _elu(x):
    return np.where(x > 0.0, x, np.expm1(np.minimum(x, 0.0)))


def _selu(x):
    return 1.0507009873554805 * np.where(x > 0.0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0.0)))


@pytest.mark.parametrize(
    ("name", "phi", "at_1000"), [("tanh", np.tanh, 5.01e-4), ("sin", np.sin, 9.97e-4), ("elu", _elu, 6.35e-6), ("selu", _selu, 2.899e-6)]
)  # fmt: skip
def test_a10_norms_decay_by_the_stated_law(name, phi, at_1000):
    nodes, weights = _rule()
    weight, (power, constant) = ZERO_CRITICAL[name][0], norm_decay(ACTIVATIONS[name])
    kernel, history = 1.0, []
    for _ in range(20_000):
        kernel = weight * float(weights @ phi(math.sqrt(kernel) * nodes) ** 2)
        history.append(kernel)
    assert history[999] == pytest.approx(at_1000, rel=0.02)  # layer 1000, from a start that is not stated
    assert history[-1] * 20_000**power == pytest.approx(constant, rel=2e-3)
    assert history[999] * 1000.0 ** (3.0 - power) != pytest.approx(history[-1] * 20_000 ** (3.0 - power), rel=0.5)


def test_a10_half_stable_norms_relax_so_slowly_that_the_first_layer_must_set_them():
    from scipy.special import ndtr

    nodes, weights = _rule()
    found = di.critical("gelu")

    def after(depth, kernel):
        for _ in range(depth):
            z = math.sqrt(kernel) * nodes
            kernel = found.bias_var + found.weight_var * float(weights @ (z * ndtr(z)) ** 2)
        return kernel / found.fixed_point

    start = 0.3 * found.fixed_point
    assert [after(depth, start) for depth in (10, 100, 1000)] == pytest.approx([0.33, 0.48, 0.69], abs=0.006)
    assert after(1000, found.bias_var + found.first_weight_var) == pytest.approx(1.0, abs=1e-6)


def test_a10_infinitely_wide_networks_keep_the_norm_and_the_gradients():
    found = di.critical("silu")
    size = (found.fixed_point - found.bias_var) / found.weight_var  # mean square of the inputs, as the note says
    laws = {"weight_law": di.normal(found.weight_var), "bias_law": di.normal(found.bias_var, scaling="absolute")}
    layers = kernel_layers(di.MLP((8,) * 40, "silu", **laws), math.sqrt(size) * np.ones((1, 3)))
    kernel, tangent = layers.nngp[:, 0, 0], layers.ntk[:, 0, 0]
    assert kernel == pytest.approx(found.fixed_point, rel=1e-8)
    assert np.diff(tangent) == pytest.approx(found.fixed_point, rel=1e-7)  # chi_perp = 1: every layer adds K
    usual = kernel_layers(di.MLP((8,) * 100, "silu"), np.full((1, 3), math.sqrt((1 + 1e-6) / 2.810761124074481)))
    assert usual.nngp[-1, 0, 0] > 1.5  # the default variance keeps K = 1 only as long as nothing disturbs it


# -- what the default variance does instead


CHI_OF_UNIT_VARIANCE = {  # chi_parallel and chi_perp at weight_var = 1 / E phi(Z)^2, K = 1
    "tanh": (0.4611, 1.1778),
    "erf": (0.4086, 1.2257),
    "sin": (0.3130, 1.3130),
    "gelu": (1.1441, 1.0720),
    "silu": (1.1726, 1.0666),
    "elu": (0.8910, 1.0359),
    "selu": (0.7826, 1.0716),
    "mish": (1.0763, 1.0591),
    "x_tanh": (1.2676, 1.1423),
    "hard_swish": (1.2239, 1.0813),
    "softplus": (0.4921, 0.3185),
    "sigmoid": (0.1063, 0.1528),
}


@pytest.mark.parametrize("name", CHI_OF_UNIT_VARIANCE)
def test_a10_unit_variance_is_chaotic_or_ordered(name):
    phi = di.MLP((1,), ACTIVATIONS[name]).activation
    exact = 1.0 / float(single_variance_moments(phi, np.ones(1)).square[0])
    for weight in (exact, float(f"{exact:.6e}")):  # also from seven digits, where K = 1 repels
        found = criticality_class(phi, weight)
        assert found.name == ("ordered" if name in ("softplus", "sigmoid") else "chaotic")
        assert found.fixed_point == pytest.approx(1.0, abs=1e-5)
        chi = (found.chi_parallel, found.chi_perpendicular)
        assert chi == pytest.approx(CHI_OF_UNIT_VARIANCE[name], abs=6e-5)


@pytest.mark.parametrize("name", ["gelu", "silu", "softplus", "x_tanh", "tanh", "erf", "relu"])
def test_a10_the_default_variance(name):
    phi = di.MLP((1,), name).activation
    weight = default_weight_var(phi)
    if name in ("tanh", "erf", "relu"):
        assert weight == pytest.approx(di.critical(phi).weight_var, rel=1e-14)
    else:
        assert weight == pytest.approx(1.0 / float(single_variance_moments(phi, np.ones(1)).square[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("fn", "expected"), [("x2_tanh", 0.37323433), (lambda x: x**3, 1.0 / 15.0), (jax.nn.soft_sign, 1.0)]
)
def test_a10_odd_activations_without_a_slope_at_zero_have_a_finite_default(fn, expected):
    assert di.MLP((1,), fn).weight_law.variance == pytest.approx(expected, rel=1e-8)


# -- criticality_class


def test_a10_silu_at_seven_digits_is_chaotic():
    found = criticality_class("silu", 2.810761)
    assert (found.name, found.fixed_point) == ("chaotic", pytest.approx(1.0, abs=1e-6))
    assert (found.chi_parallel, found.chi_perpendicular) == pytest.approx((1.1726, 1.0666), abs=6e-5)
    assert criticality_class("silu", 2.80).name == "vanishing"  # 0.4 % away K = 1 is no fixed point
    assert criticality_class("silu", 2.82).name == "unsettled"


def test_a10_silu_next_to_its_critical_point_has_a_fixed_point():
    found = criticality_class("silu", 1.988, 0.555)
    g, h, growth, _ = single_variance_moments(di.silu, np.array([found.fixed_point]))
    assert found.name == "ordered"
    assert 0.555 + 1.988 * g[0] == pytest.approx(found.fixed_point, rel=1e-13)
    assert (found.chi_parallel, found.chi_perpendicular) == pytest.approx((1.988 * growth[0], 1.988 * h[0]), rel=1e-12)
    assert found.fixed_point == pytest.approx(12.0576, abs=1e-4)
    assert np.isfinite([found.kernel_variance, found.kernel_shift]).all()
    path = 0.555 + 1.988 * single_variance_moments(di.silu, np.linspace(1.0, 12.0, 50)).square
    assert (path > np.linspace(1.0, 12.0, 50)).all()  # no fixed point on the way from 1


@pytest.mark.parametrize("name", [*HALF_STABLE, *ZERO_CRITICAL, *SCALE_INVARIANT])
@pytest.mark.parametrize("digits", [6, 16])
def test_a10_criticality_class_agrees_with_critical(name, digits):
    point = di.critical(ACTIVATIONS[name])
    weight, bias = (float(f"{value:.{digits}e}") for value in point[:2])
    for start in (0.3, 30.0):
        found = criticality_class(ACTIVATIONS[name], weight, bias, mean_square=start)
        assert found.name == point.kind
        assert found.fixed_point == pytest.approx(point.fixed_point, nan_ok=True)
        assert (found.chi_parallel, found.chi_perpendicular) == pytest.approx((1.0, 1.0), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "variance", "shift"), [("tanh", 2 / 3, -1 / 3), ("elu", 2 / 3, -1 / 4), ("selu", 0.8910185, -0.3341319)]
)
def test_a10_slopes_of_the_one_over_depth_squared_class(name, variance, shift):
    found = criticality_class(ACTIVATIONS[name], di.critical(ACTIVATIONS[name]).weight_var)
    assert (found.kernel_variance, found.kernel_shift) == pytest.approx((variance, shift), abs=1e-7)
    phi, weight = {"tanh": np.tanh, "elu": _elu, "selu": _selu}[name], ZERO_CRITICAL[name][0]
    nodes, weights = _rule()

    def square(kernel, power=2):
        return weight ** (power / 2) * float(weights @ phi(math.sqrt(kernel) * nodes) ** power)

    kernel, spread, moved, depth = 0.3, 0.0, 0.0, 4000
    for _ in range(depth):  # n V and n K1 of one input, by finite differences of w g(K)
        step = 1e-3 * kernel
        below, at, above = (square(kernel + sign * step) for sign in (-1.0, 0.0, 1.0))
        slope, curvature = (above - below) / (2.0 * step), (above - 2.0 * at + below) / step**2
        spread, moved = slope**2 * spread + square(kernel, 4) - at**2, slope * moved + 0.5 * curvature * spread
        kernel = at
    assert spread / kernel**2 / depth == pytest.approx(found.kernel_variance, rel=0.01)
    assert moved / kernel / depth == pytest.approx(found.kernel_shift, rel=0.01)
    other = (2 / 3, -1 / 4) if name == "tanh" else (2 / 3, -1 / 3)  # the slopes of the other decay law
    assert (spread / kernel**2 / depth, moved / kernel / depth) != pytest.approx(other, rel=0.1)


def test_a10_pairs_of_fixed_points_between_grid_points_are_found():
    point = di.critical(ACTIVATIONS["mish"])
    below = criticality_class(ACTIVATIONS["mish"], point.weight_var, point.bias_var * (1.0 - 1e-4), mean_square=0.5)
    assert below.name == "ordered"  # the stable one of two, 12 % below K*, 0.9 % of a grid step apart in K' - K
    assert 0.8 < below.fixed_point / point.fixed_point < 1.0
    above = criticality_class(ACTIVATIONS["mish"], point.weight_var, point.bias_var * (1.0 + 1e-4), mean_square=0.5)
    assert above.name == "unsettled"
