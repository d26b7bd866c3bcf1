import math

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Dense, LayerNorm, Repeat, Residual, Sequential
from deepinit.theory.criticality import layer_fluctuations

ONES = di.inputs.points(np.ones((1, 20)))
WIDTH, LAYERS, SEEDS = 256, 10, 1500


def measured(network, quantity):
    """Variances over networks of 2 ln |.| by site."""
    value = di.simulate(network, quantity, ONES, num_seeds=SEEDS)
    return 4 * np.ravel(value.variance)


def assert_near(variance, expected, second_order=0.04):
    """Five standard errors of a sample variance, and (depth/width) of it."""
    assert abs(variance / expected - 1) < 5 * math.sqrt(2 / SEEDS) + second_order


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "weight_var", "bias_var"),
    [("relu", 2.0, 0.0), ("tanh", 1.5, 0.05), ("gelu", 1.983, 0.1729)],
)
def test_plain_stacks(name, weight_var, bias_var):
    bias = di.normal(bias_var, "absolute") if bias_var else None
    spec = di.MLP((WIDTH,) * LAYERS, name, di.normal(weight_var), bias, output_width=1)
    found = layer_fluctuations(
        name, LAYERS, WIDTH, weight_var, bias_var, first_variance=weight_var + bias_var
    )
    norms = measured(spec, di.quantities.log_norm)
    assert_near(norms[0], found.log_norm_variance[0])
    assert_near(norms[-1], found.log_norm_variance[-1])
    # the gradient by h^1: layers 2 to L, and the readout's 2/n
    gradient = measured(spec, di.quantities.log_gradient_norm)[0]
    assert_near(gradient, found.gradient_variance[-1] - found.fresh[0] + 2 / WIDTH)
    if name == "gelu":  # without the response to norms it is wrong
        alone = found.fresh[1:].sum() + 2 / WIDTH
        assert abs(gradient / alone - 1) > 5 * math.sqrt(2 / SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("scale", [None, 0.5])
def test_norms_and_residual_blocks(norm, scale):
    pre = [LayerNorm()] if norm else []
    block = Sequential(*pre, Activation("tanh"), Dense(WIDTH, law=di.normal(1.5)))
    block = block if scale is None else Residual(block, None, scale)
    net = Sequential(Dense(WIDTH), Repeat(block, LAYERS), Dense(1))
    found = layer_fluctuations("tanh", LAYERS, WIDTH, 1.5, norm=norm, branch_scale=scale)
    gradient = measured(net, di.quantities.log_gradient_norm)[0]
    assert_near(gradient, found.gradient_variance[-1] + 2 / WIDTH, 0.08)


def test_he_relu_is_five_depth_over_width():
    found = layer_fluctuations("relu", 7, 100, 2.0)
    assert found.fresh == pytest.approx(np.full(7, 5 / 100))
    assert found.gradient_variance[-1] == pytest.approx(35 / 100)
    assert found.log_chi == pytest.approx(np.zeros(7))
    assert found.variance == pytest.approx(np.ones(7))


def test_the_formula_of_a_residual_block():
    alpha, w, n = 0.3, 2.0, 50
    found = layer_fluctuations("relu", 3, n, w, branch_scale=alpha)
    a = alpha**2 * w * 0.5
    assert found.fresh == pytest.approx((4 * a + 5 * a**2) / ((1 + a) ** 2 * n))
    assert found.log_chi == pytest.approx(math.log(1 + a))
    assert found.variance == pytest.approx((1 + a) ** np.arange(3))


def test_chi_and_variances_are_those_of_the_critical_point():
    point = di.critical("gelu")
    found = layer_fluctuations(
        "gelu", 5, 64, point.weight_var, point.bias_var, first_variance=point.fixed_point
    )
    assert found.variance == pytest.approx(point.fixed_point, rel=1e-9)
    assert found.log_chi == pytest.approx(0.0, abs=1e-9)


def test_refusals_and_ends():
    assert len(layer_fluctuations("relu", 3000, 10, 20.0).variance) < 3000  # K leaves float64
    with pytest.raises(SpecError):
        layer_fluctuations("relu", 3, 10, -1.0)
    with pytest.raises(SpecError):
        layer_fluctuations("relu", 3, 10, 1.0, first_variance=0.0)
