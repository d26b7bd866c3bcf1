"""Growth of first-order corrections with depth, fixed points, logarithms, outputs."""

import numpy as np
import pytest

from deepinit.core.activations import leaky_relu
from deepinit.theory.kernel_corrections import (
    criticality_class,
    kernel_corrections,
    log_kernel,
    tangent_covariance,
)

FIRST = np.array([[1.0, 0.4], [0.4, 0.7]])
WIDTHS = (20, 40, 30)


@pytest.mark.parametrize(("activation", "weight_var"), [("tanh", 1.0), ("erf", np.pi / 4.0)])
@pytest.mark.slow_cases("erf-0.7853981633974483")
def test_marginal_activations_reach_their_slopes(activation, weight_var):
    depth, width = 999, 10**6  # the printed values are for layer 1000
    result = kernel_corrections(activation, 0.3, (width,) * depth, weight_var)
    expected = criticality_class(activation, weight_var)
    r, k, t = 1000 / width, result.kernel[-1, 0], result.tangent[-1, 0]
    assert result.class_name == expected.name == "zero_critical"
    assert result.kernel_covariance[-1, 0, 0] / k**2 / r == pytest.approx(
        expected.kernel_variance, rel=0.01
    )
    assert result.kernel_shift[-1, 0] / k / r == pytest.approx(expected.kernel_shift, rel=0.01)
    assert tangent_covariance(result)[-1, 0, 0] / t**2 / r == pytest.approx(
        expected.tangent_variance, rel=0.01
    )
    assert result.tangent_shift[-1, 0] / t / r == pytest.approx(expected.tangent_shift, rel=0.012)
    if activation == "tanh":
        slopes = [result.kernel_covariance[-1, 0, 0] / k**2 / r, result.kernel_shift[-1, 0] / k / r]
        slopes += [
            tangent_covariance(result)[-1, 0, 0] / t**2 / r,
            result.tangent_shift[-1, 0] / t / r,
        ]
        assert slopes == pytest.approx([0.66513, -0.33102, 0.66680, -0.24731], abs=6e-6)


@pytest.mark.parametrize("activation", ["relu", leaky_relu(0.2), "linear"])
def test_scale_invariant_activations_reach_their_slopes(activation):
    expected = criticality_class(activation, _gain(activation))
    depth, width = 400, 10**5
    result = kernel_corrections(activation, 1.0, (width,) * depth, _gain(activation))
    r, t = depth / width, result.tangent[-1, 0]
    assert result.kernel_covariance[-1, 0, 0] / r == pytest.approx(
        expected.kernel_variance, rel=1e-12
    )
    assert tangent_covariance(result)[-1, 0, 0] / t**2 / r == pytest.approx(
        expected.tangent_variance, rel=0.005
    )
    assert result.tangent_kernel_covariance[-1, 0, 0] / t / r == pytest.approx(
        expected.mixed, rel=0.005
    )


def _gain(activation):
    return {"relu": 2.0, "linear": 1.0}.get(
        activation if isinstance(activation, str) else "", 2.0 / 1.04
    )


@pytest.mark.parametrize(
    ("weight_var", "variance", "shift"),
    [(1.3, 0.1235550517, -0.0903929263), (3.0, 1.162754563, -0.2310426969)],
)
def test_fixed_points_off_criticality(weight_var, variance, shift):
    kind = criticality_class("tanh", weight_var, 0.1)
    assert kind.name == ("ordered" if weight_var < 2.0 else "chaotic")
    assert kind.kernel_variance * kind.fixed_point**2 == pytest.approx(variance, rel=1e-9)
    assert kind.kernel_shift * kind.fixed_point == pytest.approx(shift, rel=1e-9)
    result = kernel_corrections("tanh", kind.fixed_point, (1000,) * 60, weight_var, 0.1)
    assert 1000.0 * result.kernel_covariance[-1, 0, 0] == pytest.approx(variance, rel=1e-9)
    assert 1000.0 * result.kernel_shift[-1, 0] == pytest.approx(shift, rel=1e-9)


def test_logarithms_take_half_the_variance():
    result = kernel_corrections("tanh", 1.0, (40, 30), 1.5, 0.05)
    logs = log_kernel(result)
    relative = result.kernel_covariance[:, 0, 0] / result.kernel[:, 0] ** 2
    assert logs.variance[:, 0] == pytest.approx(relative)
    assert 3.0 * relative[-1] == pytest.approx(0.07312, abs=6e-6)
    assert logs.mean[-1, 0] - np.log(result.kernel[-1, 0]) == pytest.approx(-0.014839, abs=6e-7)


def test_tangent_kernel_between_two_outputs():
    # simulated: second moments .0924(7) at these widths and .0452(3) at twice, mixed inputs .0586
    result = kernel_corrections("tanh", FIRST, (24, 32, 40), 1.4, 0.1)
    assert result.straight[-1][[0, 0], [0, 2]] == pytest.approx([0.0890, 0.05857], abs=5e-5)
    assert result.tangent_covariance[-1, 0, 0] == pytest.approx(0.0071, abs=5e-5)


@pytest.mark.parametrize(("weight_var", "grows"), [(1.3, 0.0), (3.0, 5.2)])
def test_tangent_kernel_saturates_in_the_ordered_phase_and_grows_with_depth_in_the_chaotic_one(
    weight_var, grows
):
    result = kernel_corrections("tanh", 1.0, (1000,) * 200, weight_var, 0.1)
    variance = 1000 * tangent_covariance(result)[:, 0, 0] / result.tangent[:, 0] ** 2
    shift = 1000 * result.tangent_shift[:, 0] / result.tangent[:, 0]
    if grows:
        assert variance[-1] / 200 == pytest.approx(grows, abs=0.05)
        assert shift[-1] / 200 == pytest.approx(0.30, abs=0.005)
    else:
        assert variance[[150, -1]] == pytest.approx([5.39772, 5.39772], abs=5e-6)
        assert abs(shift[-1] - shift[150]) < 1e-9  # chi_perp^150 is 1e-13


@pytest.mark.slow
def test_two_inputs_on_the_critical_line():
    relu = kernel_corrections("relu", FIRST, (1000,) * 100)
    assert 1000 * relu.kernel_shift[9, 1] / relu.kernel[9, 1] == pytest.approx(-2.12, abs=5e-3)
    depths = np.array([10, 100])
    slopes = 1000 * (relu.tangent_shift / relu.tangent)[depths - 1, 1] / depths
    # more than at infinite width, and the kernel less
    assert slopes == pytest.approx([0.63, 1.14], abs=5e-3)
    tanh = kernel_corrections("tanh", FIRST, (1000,) * 999, 1.0)
    k = tanh.kernel[-1]
    assert k[1] / np.sqrt(k[0] * k[2]) == pytest.approx(0.4255, abs=2e-4)
    assert tanh.kernel_covariance[-1, 1, 1] / k[1] ** 2 == pytest.approx(4.9, abs=0.02)


def test_networks_that_show_the_shift_of_the_mean():
    # z^2 V / K1^2 of them show it at z standard errors
    for setting, number in ((("gelu", 1.8, 0.05), 320), (("tanh", 1.3, 0.1), 980)):
        result = kernel_corrections(setting[0], FIRST, WIDTHS, *setting[1:])
        assert result.kernel_covariance[-1, 0, 0] / result.kernel_shift[
            -1, 0
        ] ** 2 == pytest.approx(number, rel=0.02)
