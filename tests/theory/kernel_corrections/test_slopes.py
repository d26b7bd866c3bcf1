"""The recursion at depth 1000 and beyond has the slopes of `criticality_class`, to 1 %."""

import jax
import numpy as np
import pytest

from deepinit.core.activations import absolute, as_activation, from_function, leaky_relu
from deepinit.core.gaussian import default_weight_var
from deepinit.theory.criticality import critical
from deepinit.theory.kernel_corrections import (
    criticality_class,
    kernel_corrections,
    tangent_covariance,
)

pytestmark = pytest.mark.slow
WIDTH = 10**6


def _slopes(activation, depth):
    """V/K^2, K1/K, Var Theta/T^2, T1/T, D/(K T) after every hidden layer, over r = (number of the
    next layer)/width."""
    reached = kernel_corrections(activation, 0.3, (WIDTH,) * depth)
    k, t = reached.kernel[:, 0], reached.tangent[:, 0]
    parts = (
        reached.kernel_covariance[:, 0, 0] / k**2,
        reached.kernel_shift[:, 0] / k,
        tangent_covariance(reached)[:, 0, 0] / t**2,
        reached.tangent_shift[:, 0] / t,
        reached.tangent_kernel_covariance[:, 0, 0] / (k * t),
    )
    return np.stack(parts) * WIDTH / np.arange(2, depth + 2)


def _stated(activation):
    kind = criticality_class(activation, default_weight_var(activation), mean_square=0.3)
    return kind.name, np.array(
        [
            kind.kernel_variance,
            kind.kernel_shift,
            kind.tangent_variance,
            kind.tangent_shift,
            kind.mixed,
        ]
    )


@pytest.mark.parametrize(
    "activation", [leaky_relu(0.0), leaky_relu(0.2), leaky_relu(1.0), absolute], ids=str
)
def test_scale_invariant(activation):
    (name, stated), reached = _stated(activation), _slopes(activation, 1000)
    assert name == "scale_invariant"
    assert reached[:, -1] == pytest.approx(stated, rel=0.01, abs=1e-9)
    assert stated[1] == stated[3] == 0.0
    # the tangent kernel's slope is (7c - 2)/9, not the kernel's c
    assert reached[2, -1] < 0.8 * stated[0]


@pytest.mark.parametrize("name", ["tanh", "erf", "sin"])
@pytest.mark.exhaustive
def test_marginal_at_zero(name):
    activation = as_activation(name)
    (kind, stated), reached = _stated(activation), _slopes(activation, 3000)
    assert kind == "zero_critical"
    assert stated == pytest.approx([2 / 3, -1 / 3, 2 / 3, -1 / 4, 0.0])
    assert reached[:4, -1] == pytest.approx(stated[:4], rel=0.01)
    assert reached[:4, 998] == pytest.approx(stated[:4], rel=0.015)  # layer 1000
    # log(depth)/depth: far off at layer 10
    assert np.abs(reached[:4, 8] / stated[:4] - 1.0).max() > 0.2
    assert 0.0 < abs(reached[4, -1]) < 0.5 * abs(reached[4, 298]) < 0.05  # D vanishes, slowly


@pytest.mark.parametrize("fn", [jax.nn.elu, jax.nn.selu])
@pytest.mark.exhaustive
def test_marginal_at_zero_with_a_kink(fn):
    activation = from_function(fn, kinks=(0.0,))
    weight = critical(activation).weight_var
    kind = criticality_class(activation, weight, mean_square=0.3)
    reached = kernel_corrections(activation, 0.3, (WIDTH,) * 1000, weight)
    ratios = np.array(
        [
            reached.kernel_covariance[-1, 0, 0] / reached.kernel[-1, 0] ** 2,
            reached.kernel_shift[-1, 0] / reached.kernel[-1, 0],
        ]
    )
    assert reached.class_name == kind.name == "zero_critical"
    assert ratios * WIDTH / 1001 == pytest.approx(
        [kind.kernel_variance, kind.kernel_shift], rel=0.015
    )
