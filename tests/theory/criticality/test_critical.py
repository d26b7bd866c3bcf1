"""Critical initialization: constants, edges of chaos and refusals (case A10)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory.criticality import norm_decay, other_side
from deepinit.theory.criticality.moments import single_variance_moments


def _x_sin(x):
    return x + jnp.sin(x) ** 2


def _shifted_softplus(x):
    return jnp.logaddexp(x, 0.0) - math.log(2.0)


def _signed_log_cosh(x):
    return jnp.sign(x) * jnp.log(jnp.cosh(x))


def _x_root(x):
    return x + jnp.sqrt(x * x + 4.0)


BUILTINS = "relu linear absolute tanh sin erf gelu silu x_tanh x2_tanh softplus sigmoid"
ACTIVATIONS = {
    **{name: name for name in BUILTINS.split()},
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
}

# weight_var, bias_var, K*, attracting side, next fixed point on the other side in units of K*,
# chi_perp there, d chi_perp / d ln K
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
SCALE_INVARIANT = {
    "relu": 2.0,
    "leaky": 2.0 / 1.04,
    "absolute": 1.0,
    "linear": 1.0,
    "relu_of_jax": 2.0,
}


@pytest.mark.parametrize("name", HALF_STABLE)
@pytest.mark.slow_cases("gelu_tanh")
def test_a10_half_stable_constants(name):
    weight, bias, fixed, side, away, chi_away, sensitivity = HALF_STABLE[name]
    critical_point = di.critical(ACTIVATIONS[name])
    assert critical_point.kind == "half_stable"
    assert (
        critical_point.weight_var,
        critical_point.bias_var,
        critical_point.fixed_point,
    ) == pytest.approx((weight, bias, fixed), rel=1e-9)
    assert (critical_point.chi_parallel, critical_point.chi_perp) == (1.0, 1.0)
    assert critical_point.first_weight_var == pytest.approx(fixed - bias, rel=1e-9)
    goes = other_side(ACTIVATIONS[name], critical_point)
    assert goes.attracts_from == side
    assert goes.fixed_point == pytest.approx(away, abs=6e-5)
    assert goes.chi_perp == pytest.approx(chi_away, abs=6e-5, nan_ok=True)
    assert f"attracts from {side}" in critical_point.note
    step = 1e-4
    phi = di.MLP((1,), activation=ACTIVATIONS[name]).activation
    ends = single_variance_moments(
        phi, critical_point.fixed_point * np.exp([-step, step])
    ).slope_square
    assert critical_point.weight_var * np.diff(ends)[0] / (2.0 * step) == pytest.approx(
        sensitivity, abs=6e-5
    )


@pytest.mark.parametrize("name", ZERO_CRITICAL)
def test_a10_zero_critical_constants(name):
    weight, power, constant = ZERO_CRITICAL[name]
    critical_point = di.critical(ACTIVATIONS[name])
    assert critical_point.kind == "zero_critical"
    assert critical_point.weight_var == pytest.approx(weight, rel=1e-9)
    assert (
        critical_point.bias_var,
        critical_point.fixed_point,
        critical_point.chi_parallel,
        critical_point.chi_perp,
    ) == (0.0, 0.0, 1.0, 1.0)
    assert norm_decay(ACTIVATIONS[name]) == pytest.approx((power, constant), rel=1e-9, nan_ok=True)
    assert di.critical(ACTIVATIONS[name], 0) == critical_point


@pytest.mark.parametrize("name", SCALE_INVARIANT)
def test_a10_scale_invariant_constants(name):
    critical_point = di.critical(ACTIVATIONS[name])
    assert critical_point.kind == "scale_invariant"
    assert critical_point.weight_var == pytest.approx(SCALE_INVARIANT[name], rel=1e-13)
    assert critical_point.bias_var == 0.0
    assert math.isnan(critical_point.fixed_point)
    at = di.critical(ACTIVATIONS[name], 7.0)
    assert at[:3] == pytest.approx((critical_point.weight_var, 0.0, 7.0), rel=1e-12)


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
    critical_point = di.critical(ACTIVATIONS[name], fixed_point=1.0)
    assert critical_point[:2] == pytest.approx(
        (weight, bias), abs=1e-7 if name == "shifted_softplus" else 1e-10
    )
    assert critical_point.chi_parallel == pytest.approx(chi, abs=6e-4)
    assert (critical_point.fixed_point, critical_point.chi_perp) == (1.0, 1.0)
    assert ("attracts" in critical_point.note) == (chi < 1.0)
    assert ("norms run off" in critical_point.note) == (chi > 1.0)
    if chi < 1.0:
        assert f"weight_var {critical_point.weight_var:.10g}" in di.critical(ACTIVATIONS[name]).note


def test_a10_relu6_is_scale_invariant_in_practice():
    assert di.critical(ACTIVATIONS["relu6"], 1.0).chi_parallel - 1.0 == pytest.approx(
        -7e-8, rel=0.05
    )


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "name", ["shifted_softplus", pytest.param("signed_log_cosh", marks=SLOW), "x2_tanh"]
)
@pytest.mark.exhaustive_cases("signed_log_cosh")
def test_a10_edge_unstable(name):
    critical_point = di.critical(ACTIVATIONS[name])
    assert critical_point.kind == "edge_unstable"
    assert critical_point == di.critical(ACTIVATIONS[name], 1.0)
    assert critical_point.chi_parallel > 1.0
    assert critical_point.bias_var > 0.0
    assert "norms run off" in critical_point.note


@pytest.mark.slow
def test_a10_x_plus_sin_squared_is_half_stable():
    critical_point = di.critical(ACTIVATIONS["x_sin"])
    assert critical_point.kind == "half_stable"
    assert "attracts from above" in critical_point.note


# -- refusals


@pytest.mark.parametrize("threshold", [0.5, 2.0])
def test_soft_thresholds_are_critical_at_every_variance(threshold):
    """phi phi'' = 0, so g' = h at every K; h = 2 P(z > c), g = 2 E (z - c)_+^2, exact at K = 1."""

    def soft(x):
        return jnp.sign(x) * jnp.maximum(jnp.abs(x) - threshold, 0.0)

    point = di.critical(di.from_function(soft, kinks=(-threshold, threshold)))
    tail = 0.5 * math.erfc(threshold / math.sqrt(2.0))
    density = math.exp(-0.5 * threshold**2) / math.sqrt(2.0 * math.pi)
    square = (1.0 + threshold**2) * tail - threshold * density
    assert point.kind == "half_stable"
    assert point.fixed_point == 1.0
    assert point.weight_var == pytest.approx(0.5 / tail, rel=1e-11)
    assert point.bias_var == pytest.approx(1.0 - square / tail, rel=1e-10)
    assert "attracts from below" in point.note
    assert "Every K has a critical point" in point.note
    assert di.critical("gelu").kind == "half_stable"
    assert "Every K" not in di.critical("gelu").note


def test_a10_sigmoid_is_refused_with_the_remedy():
    with pytest.raises(
        SpecError,
        match=r"fixed_point >= 45\.624278 \(weight_var 103\.00755.*zero_critical.*weight_var 16 ",
    ):
        di.critical("sigmoid")
    with pytest.raises(SpecError, match=r"bias variance would be -5\.5433.*45\.624278"):
        di.critical("sigmoid", 1.0)
    critical_point = di.critical("sigmoid", 46.0)
    assert critical_point.kind == "edge_saturated"
    assert critical_point.chi_parallel < 1.0
    assert di.critical(
        di.from_function(lambda x: jax.nn.sigmoid(x) - 0.5)
    ).weight_var == pytest.approx(16.0, rel=1e-12)


@pytest.mark.parametrize(("name", "shift"), [("softplus", "0.6931471806"), ("x_root", "2")])
def test_a10_class_none_is_refused_with_the_remedy(name, shift):
    with pytest.raises(
        SpecError,
        match=f"negative at every K.*phi.x. - {shift} is of class edge_unstable.*residual",
    ):
        di.critical(ACTIVATIONS[name])


def test_a10_softplus_at_unit_variance_says_how_far_off_it_is():
    with pytest.raises(
        SpecError, match=r"bias variance would be -2\.14.*3\.4085598, bias_var 0\.0310704"
    ):
        di.critical("softplus", 1.0)


def _huge(name, variance):
    """weight_var, bias_var and first_weight_var as K -> infinity: h = H / sqrt(2 pi K)."""
    squares, integrals = {"tanh": 1.0, "erf": 1.0, "sigmoid": 0.5}, {}
    integrals["tanh"] = 4.0 / 3.0  # of sech^4
    integrals["erf"] = 4.0 / math.pi * math.sqrt(0.5 * math.pi)  # of 4 / pi exp(-2 x^2)
    integrals["sigmoid"] = 1.0 / 6.0  # of s^2 (1 - s)^2
    weight = math.sqrt(2.0 * math.pi * variance) / integrals[name]
    return weight, variance - weight * squares[name], weight * squares[name]


@pytest.mark.parametrize("name", ["tanh", "erf", "sigmoid"])
@pytest.mark.parametrize("variance", [1e24, 1e40, 1e100])
def test_edge_at_huge_variances(name, variance):
    point = di.critical(name, variance)
    exact = _huge(name, variance)
    assert (point.weight_var, point.bias_var) == pytest.approx(exact[:2], rel=1e-11)
    assert point.first_weight_var == pytest.approx(exact[2], rel=3e-11)
    assert di.critical("relu", variance)[:3] == pytest.approx((2.0, 0.0, variance), rel=1e-12)


@pytest.mark.parametrize("bad", [1e300, 1.1e100, 1e-310])
def test_variances_beyond_the_range_of_the_quadrature_are_refused(bad):
    with pytest.raises(SpecError, match=r"fixed_point=.*(<= 1e\+100|at least 1e-300)"):
        di.critical("tanh", bad)


def test_a_variance_at_which_moments_do_not_converge_is_refused():
    with pytest.raises(SpecError, match=r"fixed_point=1e\+20.*from 1e-08 to 1e\+06"):
        di.critical("sin", 1e20)


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
