"""`criticality_class` and the default variance: what they are, from seven digits on (case A10)."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.gaussian import default_weight_var
from deepinit.theory.criticality.moments import single_variance_moments
from deepinit.theory.kernel_corrections import criticality_class

BUILT_IN = (
    "relu",
    "linear",
    "absolute",
    "tanh",
    "sin",
    "erf",
    "gelu",
    "silu",
    "x_tanh",
    "softplus",
    "sigmoid",
)
ACTIVATIONS = {
    **{name: name for name in BUILT_IN},
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
    "relu_of_jax": di.from_function(jax.nn.relu, kinks=(0.0,)),
}
HAVE_A_POINT = [name for name in ACTIVATIONS if name not in ("softplus", "sigmoid")]


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
        result = criticality_class(phi, weight)
        assert result.name == ("ordered" if name in ("softplus", "sigmoid") else "chaotic")
        assert result.fixed_point == pytest.approx(1.0, abs=1e-5)
        chi = (result.chi_parallel, result.chi_perpendicular)
        assert chi == pytest.approx(CHI_OF_UNIT_VARIANCE[name], abs=6e-5)


@pytest.mark.parametrize("name", ["gelu", "silu", "softplus", "x_tanh", "tanh", "erf", "relu"])
def test_a10_the_default_variance(name):
    phi = di.MLP((1,), name).activation
    weight = default_weight_var(phi)
    if name in ("tanh", "erf", "relu"):
        assert weight == pytest.approx(di.critical(phi).weight_var, rel=1e-14)
    else:
        assert weight == pytest.approx(
            1.0 / float(single_variance_moments(phi, np.ones(1)).square[0]), rel=1e-12
        )


@pytest.mark.parametrize(
    ("fn", "expected"),
    [("x2_tanh", 0.37323433), (lambda x: x**3, 1.0 / 15.0), (jax.nn.soft_sign, 1.0)],
)
def test_a10_odd_activations_without_a_slope_at_zero_have_a_finite_default(fn, expected):
    assert di.MLP((1,), fn).weight_law.variance == pytest.approx(expected, rel=1e-8)


# -- criticality_class


def test_a10_silu_at_seven_digits_is_chaotic():
    result = criticality_class("silu", 2.810761)
    assert (result.name, result.fixed_point) == ("chaotic", pytest.approx(1.0, abs=1e-6))
    assert (result.chi_parallel, result.chi_perpendicular) == pytest.approx(
        (1.1726, 1.0666), abs=6e-5
    )
    assert criticality_class("silu", 2.80).name == "vanishing"  # 0.4 % away K = 1 is no fixed point
    assert criticality_class("silu", 2.82).name == "unsettled"


def test_a10_silu_next_to_its_critical_point_has_a_fixed_point():
    result = criticality_class("silu", 1.988, 0.555)
    g, h, growth, _ = single_variance_moments(di.silu, np.array([result.fixed_point]))
    assert result.name == "ordered"
    assert 0.555 + 1.988 * g[0] == pytest.approx(result.fixed_point, rel=1e-13)
    assert (result.chi_parallel, result.chi_perpendicular) == pytest.approx(
        (1.988 * growth[0], 1.988 * h[0]), rel=1e-12
    )
    assert result.fixed_point == pytest.approx(12.0576, abs=1e-4)
    assert np.isfinite([result.kernel_variance, result.kernel_shift]).all()
    path = 0.555 + 1.988 * single_variance_moments(di.silu, np.linspace(1.0, 12.0, 50)).square
    assert (path > np.linspace(1.0, 12.0, 50)).all()  # no fixed point on the way from 1


@pytest.mark.parametrize("name", HAVE_A_POINT)
@pytest.mark.parametrize("digits", [6, 16])
def test_a10_criticality_class_agrees_with_critical(name, digits):
    point = di.critical(ACTIVATIONS[name])
    weight, bias = (float(f"{value:.{digits}e}") for value in point[:2])
    for start in (0.3, 30.0):
        result = criticality_class(ACTIVATIONS[name], weight, bias, mean_square=start)
        assert result.name == point.kind
        assert result.fixed_point == pytest.approx(point.fixed_point, nan_ok=True)
        assert (result.chi_parallel, result.chi_perpendicular) == pytest.approx(
            (1.0, 1.0), abs=1e-6
        )


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
    ("name", "variance", "shift"),
    [("tanh", 2 / 3, -1 / 3), ("elu", 2 / 3, -1 / 4), ("selu", 0.8910185, -0.3341319)],
)
def test_a10_slopes_of_the_one_over_depth_squared_class(name, variance, shift):
    result = criticality_class(ACTIVATIONS[name], di.critical(ACTIVATIONS[name]).weight_var)
    assert (result.kernel_variance, result.kernel_shift) == pytest.approx(
        (variance, shift), abs=1e-7
    )
    phi, weight = (
        {"tanh": np.tanh, "elu": _elu, "selu": _selu}[name],
        di.critical(ACTIVATIONS[name]).weight_var,
    )
    nodes, weights = _rule()

    def square(kernel, power=2):
        return weight ** (power / 2) * float(weights @ phi(math.sqrt(kernel) * nodes) ** power)

    kernel, spread, moved, depth = 0.3, 0.0, 0.0, 4000
    for _ in range(depth):  # n V and n K1 of one input, by finite differences of w g(K)
        step = 1e-3 * kernel
        below, at, above = (square(kernel + sign * step) for sign in (-1.0, 0.0, 1.0))
        slope, curvature = (above - below) / (2.0 * step), (above - 2.0 * at + below) / step**2
        spread, moved = (
            slope**2 * spread + square(kernel, 4) - at**2,
            slope * moved + 0.5 * curvature * spread,
        )
        kernel = at
    assert spread / kernel**2 / depth == pytest.approx(result.kernel_variance, rel=0.01)
    assert moved / kernel / depth == pytest.approx(result.kernel_shift, rel=0.01)
    # the slopes of the other decay law
    other = (2 / 3, -1 / 4) if name == "tanh" else (2 / 3, -1 / 3)
    assert (spread / kernel**2 / depth, moved / kernel / depth) != pytest.approx(other, rel=0.1)


def test_a10_pairs_of_fixed_points_between_grid_points_are_found():
    point = di.critical(ACTIVATIONS["mish"])
    below = criticality_class(
        ACTIVATIONS["mish"], point.weight_var, point.bias_var * (1.0 - 1e-4), mean_square=0.5
    )
    # the stable one of two, 12 % below K*, 0.9 % of a grid step apart in K' - K
    assert below.name == "ordered"
    assert 0.8 < below.fixed_point / point.fixed_point < 1.0
    above = criticality_class(
        ACTIVATIONS["mish"], point.weight_var, point.bias_var * (1.0 + 1e-4), mean_square=0.5
    )
    assert above.name == "unsettled"


def test_an_identity_up_to_far_tails_keeps_every_size():
    far = di.from_function(lambda x: jnp.where(x > 20.0, 5.0 * x - 80.0, x))
    found = criticality_class(far, 1.0, mean_square=0.7)
    assert (found.name, found.fixed_point) == ("marginal", 0.7)
    spec = di.MLP((50,), far, di.normal(1.0), output_width=1)
    predicted = di.predict(spec, di.quantities.nngp, di.inputs.ones(2))
    assert predicted.mean[0, 0] == pytest.approx(1.0, rel=1e-12)
    assert predicted.variance[0, 0] == pytest.approx(2.0 / 50, rel=1e-9)
