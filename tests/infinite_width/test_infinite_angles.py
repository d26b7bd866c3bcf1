import math

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from deepinit.core import activations as act
from deepinit.core import gaussian, inputs
from deepinit.core.laws import normal
from deepinit.core.specs import MLP
from deepinit.infinite_width.angles import log_sin2_angles
from deepinit.infinite_width.recursion import kernel_layers, layer_variances

BIAS = normal(0.1, scaling="absolute")


def _chain_in_80_digits(spec, first, displacement):
    """ln sin^2 of post-activation angles by arccos, homogeneous activation, in 80 digits."""
    with mpmath.workdps(80):
        left, right = (mpmath.mpf(slope) for slope in spec.activation.slopes)
        p, r = (left**2 + right**2) / 2, (right - left) ** 2 / (2 * mpmath.pi)
        a = [mpmath.mpf(value) for value in first]
        b = [value + mpmath.mpf(step) for value, step in zip(a, displacement, strict=True)]
        q_1, q_2, c = (mpmath.fdot(u, v) / len(a) for u, v in ((a, a), (b, b), (a, b)))
        found = []
        for w, bias in zip(*layer_variances(spec, len(a)), strict=True):
            q_1, q_2, c = (w * value + bias for value in (q_1, q_2, c))
            norm = mpmath.sqrt(q_1 * q_2)
            theta = mpmath.acos(c / norm)
            c = norm * (p * mpmath.cos(theta) + r * (mpmath.sin(theta) - theta * mpmath.cos(theta)))
            q_1, q_2 = p * q_1, p * q_2
            found.append(float(mpmath.log(1 - c**2 / (q_1 * q_2))))
        return np.array(found)


@pytest.mark.slow
def test_relu_angles_equal_the_reference_values():
    theta = np.arcsin(
        np.exp(log_sin2_angles(MLP((8,) * 1000), inputs.pair(0.3))[[9, 99, 999], 0] / 2)
    )
    np.testing.assert_allclose(theta, [0.2249263816, 0.07046334405, 0.009089632667], rtol=5e-10)


@pytest.mark.parametrize(
    "activation", [act.relu, act.leaky_relu(0.3), act.leaky_relu(-0.4), act.absolute]
)
@pytest.mark.parametrize("bias_law", [None, BIAS])
@pytest.mark.slow_cases("None-activation1")
@pytest.mark.exhaustive_cases("None-activation0")
def test_homogeneous_angles_equal_the_chain_in_80_digits(activation, bias_law):
    spec = MLP((4,) * 12, activation, bias_law=bias_law)
    pairs = inputs.pairs((1e-12, 1e-7, 1e-3, 0.5, math.pi / 2, 2.5, math.pi - 1e-3), dimension=3)
    expected = np.stack(
        [_chain_in_80_digits(spec, pairs.points[0], step) for step in pairs.displacements], axis=1
    )
    # 2 ln(theta) of a relative error 1e-13 in theta
    np.testing.assert_allclose(log_sin2_angles(spec, pairs), expected, rtol=0, atol=2e-12)


@pytest.mark.parametrize("bias_law", [None, BIAS])
@pytest.mark.slow_cases("bias_law1")
@pytest.mark.exhaustive_cases("None")
def test_unequal_norms_and_tiny_displacements(bias_law):
    rng = np.random.default_rng(0)
    points, directions = rng.standard_normal((2, 4, 5))
    sizes = np.array([[1e-12], [1e-6], [1.0], [10.0]])
    pairs = inputs.Inputs(points, sizes * directions, (0, 1, 2, 3), "test")
    spec = MLP((4,) * 6, act.relu, bias_law=bias_law)
    expected = np.stack(
        [_chain_in_80_digits(spec, points[i], pairs.displacements[i]) for i in range(4)], axis=1
    )
    np.testing.assert_allclose(log_sin2_angles(spec, pairs), expected, rtol=0, atol=2e-12)


@pytest.mark.exhaustive
def test_real_images_give_the_angles_of_the_kernels():
    pairs = inputs.image_pairs(2, seed=1)
    spec = MLP((4,) * 3, "tanh", bias_law=BIAS, weight_law=normal(1.5))
    rows = np.concatenate([pairs.points, pairs.partners])
    # K^{l+1} less its bias is w E[phi phi]: the post-activation cosine of layer l
    kernels = (kernel_layers(spec, rows).nngp[1:] - 0.1) / 1.5
    cosines = np.stack(
        [
            kernels[:, i, i + 2] / np.sqrt(kernels[:, i, i] * kernels[:, i + 2, i + 2])
            for i in range(2)
        ],
        1,
    )
    np.testing.assert_allclose(log_sin2_angles(spec, pairs)[:2], np.log1p(-(cosines**2)), rtol=1e-9)


@pytest.mark.parametrize("activation", [act.tanh, act.gelu, act.sin, act.softplus])
@pytest.mark.slow_cases("activation1", "activation2", "activation3")
@pytest.mark.exhaustive_cases("activation0")
def test_smooth_activations_multiply_tiny_angles_by_the_stretch_of_the_linearized_map(activation):
    # theta'^2 / theta^2 -> q E[phi'(u)^2] / E[phi(u)^2] as theta -> 0 at equal norms, u ~ N(0, q)
    weight_var = 1.7
    spec = MLP((4,), activation, weight_law=normal(weight_var))
    angles = np.array([1e-3, 1e-7, 1e-12])
    measured = log_sin2_angles(spec, inputs.pairs(tuple(angles)))[0] - 2.0 * np.log(angles)
    std = math.sqrt(weight_var / 2.0)
    nodes, weights = gaussian.normal_rule()
    slope = np.sum(weights * activation.derivative(std * nodes) ** 2)
    expected = math.log(std**2 * slope / gaussian.expectation(activation, 2, std**2))
    assert (np.abs(measured - expected) < [2e-6, 1e-8, 1e-8]).all()
    assert abs(expected) > 0.01


def _relu_with_a_kink(x):
    return jnp.maximum(x, 0.0)


@pytest.mark.slow
def test_quadrature_across_a_kink_keeps_the_cubic_term_of_small_angles():
    angles = (1e-6, 1e-3, 0.1, 1.0)
    spec = MLP((4,), act.from_function(_relu_with_a_kink, kinks=(0.0,)), weight_law=normal(2.0))
    closed, numerical = (log_sin2_angles(s, inputs.pairs(angles))[0] for s in (MLP((4,)), spec))
    np.testing.assert_allclose(numerical, closed, rtol=0, atol=1e-10)
    # X' = X - (2/(3 pi)) theta: what a rule that misses the kink at scale theta would lose
    shift = closed[1] - math.log(math.sin(1e-3) ** 2)
    assert shift == pytest.approx(-2.0 / (3.0 * math.pi) * 1e-3, rel=1e-3)


@pytest.mark.slow
def test_only_homogeneous_networks_without_bias_ignore_norms():
    first, second = np.random.default_rng(0).standard_normal((2, 1, 3))
    for spec, ignores in (
        (MLP((4,) * 3), True),
        (MLP((4,) * 3, bias_law=BIAS), False),
        (MLP((4,) * 3, "tanh"), False),
    ):
        plain = log_sin2_angles(spec, inputs.from_arrays(first, second))
        scaled = log_sin2_angles(spec, inputs.from_arrays(3.0 * first, 0.2 * second))
        assert np.allclose(plain, scaled, rtol=1e-12) == ignores


@pytest.mark.parametrize("weight_var", [1e-3, 1e3])
@pytest.mark.slow_cases("0.001")
def test_depth_10000_neither_overflows_nor_underflows(weight_var):
    critical, other = (
        log_sin2_angles(MLP((2,) * 10_000, weight_law=normal(v)), inputs.pair(0.3))
        for v in (2.0, weight_var)
    )
    np.testing.assert_allclose(other, critical, rtol=1e-12)
    # theta_L ~ 3 pi / (L + 1.5 ln L + ...)
    assert -2.0 < critical[-1, 0] - 2.0 * math.log(3.0 * math.pi / 10_000) < 0.0


@pytest.mark.slow
@pytest.mark.exhaustive
def test_smooth_activations_neither_overflow_nor_underflow_far_from_critical():
    # tanh at weight_var 1/20 shrinks (to 1e-520) to a linear map, which keeps the angle;
    # GELU at 20 grows to a ReLU (at 1e400)
    shrinking = log_sin2_angles(MLP((2,) * 400, "tanh", weight_law=normal(0.05)), inputs.pair(0.3))
    np.testing.assert_allclose(shrinking[-1], shrinking[40], rtol=1e-9)
    growing, relu = (
        log_sin2_angles(MLP((2,) * 400, a, weight_law=normal(20.0)), inputs.pair(0.3))
        for a in ("gelu", "relu")
    )
    assert np.exp(-growing[-1] / 2) == pytest.approx(np.exp(-relu[-1] / 2), rel=0.02)


@pytest.mark.slow
def test_biases_far_from_critical_neither_overflow():
    grown = log_sin2_angles(
        MLP((2,) * 3000, weight_law=normal(20.0), bias_law=BIAS), inputs.pair(0.3)
    )
    assert np.isfinite(grown).all()
    expected = _chain_in_80_digits(
        MLP((2,) * 30, weight_law=normal(20.0), bias_law=BIAS),
        (1.0, 0.0),
        inputs.pair(0.3).displacements[0],
    )
    np.testing.assert_allclose(grown[:30, 0], expected, rtol=0, atol=1e-12)


def test_the_output_layer_and_the_widths_play_no_part():
    pair = inputs.pair(0.4)
    plain = log_sin2_angles(MLP((4, 4)), pair)
    np.testing.assert_array_equal(plain, log_sin2_angles(MLP((9, 3), output_width=2), pair))
    assert plain.shape == (2, 1)
