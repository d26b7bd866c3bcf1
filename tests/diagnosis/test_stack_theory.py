"""Theory of stacks against exact cases, `di.critical`, and simulation."""

import math

import jax
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.diagnosis.stack_theory import mlp_theory, moments, stack_theory
from deepinit.theory.criticality.moments import single_variance_moments


def test_moments_agree_with_adaptive_quadrature():
    for phi in (di.relu, di.tanh, di.gelu, di.selu, di.softplus, di.sigmoid):
        exact = single_variance_moments(phi, [0.01, 1.0, 30.0])
        for number, variance in enumerate((0.01, 1.0, 30.0)):
            own = moments(phi, variance)
            assert own.square == pytest.approx(exact.square[number], rel=1e-4)
            assert own.slope_square == pytest.approx(exact.slope_square[number], rel=1e-4)


def test_he_relu():
    found = stack_theory(di.relu, width=64, depth=33, weight=2.0, first=2.0, bias=0.0)
    assert found.gradient_slope == pytest.approx(0.0, abs=1e-9)
    assert found.stretch == pytest.approx(0.0, abs=1e-9)
    assert found.gradient_spread == pytest.approx(math.sqrt(5 * 32 / 64), rel=1e-9)


@pytest.mark.parametrize("name", ["gelu", "silu", "mish"])
def test_at_the_critical_point_nothing_grows(name):
    point = di.critical(name)
    phi = getattr(di, name)
    found = stack_theory(
        phi,
        width=64,
        depth=20,
        weight=point.weight_var,
        first=point.first_weight_var,
        bias=point.bias_var,
    )
    assert found.gradient_slope == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_allclose(found.log_norm, math.log(point.fixed_point) / 2, atol=1e-6)
    without = stack_theory(phi, width=64, depth=20, weight=2.0, first=2.0, bias=0.0)
    assert abs(without.gradient_slope) > 0.1


def test_layernorm_has_the_chi_of_the_default():
    """h(1) / g(1), whatever the weights: 1.0720 of gelu (dossier, 1.3)."""
    chi = math.exp(
        stack_theory(
            di.gelu, width=64, depth=2, weight=0.7, first=0.7, bias=0.0, normalized=True
        ).gradient_slope
    )
    later = stack_theory(
        di.gelu, width=64, depth=3, weight=0.7, first=0.7, bias=0.0, normalized=True
    ).gradient_slope
    assert later - math.log(chi) == pytest.approx(math.log(1.0720), abs=1e-4)


@pytest.mark.slow
def test_an_mlp_of_two_widths_against_simulation():
    from deepinit.core.layers import Shape
    from deepinit.diagnosis.doors.layers import layers_probe
    from deepinit.diagnosis.estimates import by_layer, estimate, many
    from deepinit.diagnosis.probe import Batch

    spec = di.MLP((600, 900, 600), di.gelu, di.normal(1.8), output_width=4)
    x = np.random.default_rng(0).standard_normal((4, 30)).astype("float32")
    x /= np.sqrt(np.mean(x**2, axis=1, keepdims=True))
    theory = mlp_theory(spec, x)
    probe = layers_probe(spec, Shape((), 30))
    values = jax.jit(lambda key: many(probe, Batch(x), key, 48))(jax.random.key(1))
    found = {name: np.asarray(value) for name, value in values.items()}
    slope, stretch = (estimate(found[name]) for name in ("gradient_slope", "stretch"))
    # infinite width: the difference is of order 1/width
    assert_value(slope.mean, slope.standard_error + 2e-3, theory.gradient_slope, rejects=0.0)
    # rival: displacements orthogonal to the rows, that grow by chi_perp alone
    rival = stack_theory(di.gelu, width=1, depth=3, weight=1.8, first=1.8, bias=0.0).stretch
    assert_value(stretch.mean, stretch.standard_error + 2e-3, theory.stretch, rejects=rival)
    norms = by_layer(found)["log_norm"]
    for own, expected in zip(norms, theory.log_norm, strict=True):
        assert abs(own.mean - expected) < 5 * own.standard_error + 5e-3


def test_orthogonal_weights_have_no_theory_here():
    assert mlp_theory(di.MLP((8, 8), di.tanh, di.orthogonal(1.0)), np.eye(4)) is None
