"""The kernel of velocities along a curve: neural-tangents, other quadratures, its diagonal."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from deepinit.core import activations as act
from deepinit.core import curves
from deepinit.core.errors import SpecError
from deepinit.core.laws import normal
from deepinit.core.specs import MLP
from deepinit.infinite_width.kernels import neural_tangents_velocities
from deepinit.infinite_width.lengths import velocity_kernel
from deepinit.infinite_width.pairs import propagate, rows_of_points
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances

BIAS = normal(0.3, scaling="absolute")
CIRCLE = curves.circle()
LINE = curves.line([1.0, -2.0, 0.0], [1.0, 2.0, 0.5])
TILTED = curves.circle_through([1.0, 0.3, -0.5], [-0.2, 1.1, 0.4], [0.5, -0.8, 1.3])
NODES = 0.3 + np.array([0.0, 1e-4, 1e-2, 0.1, 0.3, 0.6])


def _mixed_derivative(kernel, t, s):
    """d^2 kernel(t, s) / dt ds by forward mode twice, for rows of t and s, in float64."""

    def by_s(t, s):
        return jax.jvp(lambda s: kernel(t, s), (s,), (jnp.ones_like(s),))[1]

    def both(t, s):
        return jax.jvp(lambda t: by_s(t, s), (t,), (jnp.ones_like(t),))[1]

    return np.asarray(jax.jit(jax.vmap(both))(jnp.asarray(t), jnp.asarray(s)))


def _recursion_velocities(spec, curve, t, s):
    with host_float64():
        weight_vars, bias_vars = (jnp.asarray(v) for v in layer_variances(spec, curve.dimension))

        def kernel(t, s):
            rows = rows_of_points(curve.points(jnp.stack([t, s])))
            return propagate(spec.activation, rows, weight_vars, bias_vars).covariance[-1, 0]

        return _mixed_derivative(kernel, t, s)


def _off_diagonal(num):
    return np.triu_indices(num, k=1)


def _held_to_neural_tangents(activation, curve, bias_law):
    first, second = _off_diagonal(len(NODES))
    expected = neural_tangents_velocities(
        _three_layers(activation, bias_law), curve, NODES[first], NODES[second]
    )
    kernel, rival = (
        velocity_kernel(_three_layers(activation, law), curve, NODES)[first, second]
        for law in (bias_law, normal(0.25, scaling="absolute"))
    )
    np.testing.assert_allclose(kernel, expected, rtol=1e-9)
    # biases of another variance
    assert np.abs(rival / expected - 1.0).max() > 1e-3


def _three_layers(activation, bias_law):
    return MLP((8,) * 3, activation, bias_law=bias_law)


@pytest.mark.parametrize("activation", [act.relu, act.leaky_relu(-0.4)], ids=repr)
@pytest.mark.parametrize(
    ("curve", "bias_law"),
    [(LINE, BIAS), *(pytest.param(TILTED, law, marks=pytest.mark.slow) for law in (BIAS, None))],
)
@pytest.mark.slow_cases("curve0-bias_law0-relu")
@pytest.mark.exhaustive_cases(
    "curve0-bias_law0-leaky_relu(negative_slope=-0.4)",
    "curve1-bias_law1-leaky_relu(negative_slope=-0.4)",
    "curve1-bias_law1-relu",
)
def test_homogeneous_velocities_equal_the_derivatives_of_neural_tangents(
    activation, curve, bias_law
):
    _held_to_neural_tangents(activation, curve, bias_law)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_velocities_by_quadrature_equal_the_derivatives_of_neural_tangents():
    _held_to_neural_tangents(act.erf, LINE, BIAS)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [act.erf, act.sin, act.gelu, act.absolute], ids=repr)
@pytest.mark.parametrize(("curve", "bias_law"), [(LINE, BIAS), (TILTED, None)])
@pytest.mark.exhaustive_cases(
    "curve0-bias_law0-gelu",
    "curve0-bias_law0-sin",
    "curve1-None-erf",
    "curve1-None-gelu",
    "curve1-None-sin",
)
def test_more_activations_equal_the_derivatives_of_neural_tangents(activation, curve, bias_law):
    _held_to_neural_tangents(activation, curve, bias_law)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [act.tanh, act.softplus], ids=repr)
@pytest.mark.exhaustive
def test_velocities_equal_the_derivatives_of_the_recursion_where_there_is_no_closed_form(
    activation,
):
    spec = MLP((8,) * 3, activation, weight_law=normal(1.5), bias_law=BIAS)
    first, second = _off_diagonal(len(NODES))
    expected = _recursion_velocities(spec, LINE, NODES[first], NODES[second])
    np.testing.assert_allclose(
        velocity_kernel(spec, LINE, NODES)[first, second], expected, rtol=1e-8
    )


def _tanh_kernel_by_gauss_hermite(spec, curve, t):
    """K of the last layer at the nodes, by a product rule and Cholesky factors."""
    z, mass = np.polynomial.hermite_e.hermegauss(120)
    mass = np.outer(mass, mass) / (2.0 * math.pi)
    x = curve.points(t)
    kernel = x @ x.T / x.shape[1]
    weight_vars, bias_vars = layer_variances(spec, curve.dimension)
    kernel = weight_vars[0] * kernel + bias_vars[0]
    for weight_var, bias_var in zip(weight_vars[1:], bias_vars[1:], strict=True):
        u = np.sqrt(np.diag(kernel))
        rho = np.clip(kernel / np.outer(u, u), -1.0, 1.0)
        v = rho[..., None, None] * z[:, None] + np.sqrt(1.0 - rho**2)[..., None, None] * z
        phi_u = np.tanh(u[:, None] * z)[:, None, :, None]
        kernel = (
            weight_var * np.einsum("ijkl,kl->ij", phi_u * np.tanh(u[:, None, None] * v), mass)
            + bias_var
        )
    return kernel


@pytest.mark.slow
@pytest.mark.exhaustive
def test_tanh_velocities_equal_differences_of_a_kernel_by_another_rule():
    spec = MLP((8,) * 3, "tanh", weight_law=normal(1.5), bias_law=BIAS)
    kernel = velocity_kernel(spec, LINE, NODES)
    t, s = NODES[3], NODES[5]
    differences = []
    for step in (0.01, 0.005):
        k = _tanh_kernel_by_gauss_hermite(
            spec, LINE, np.array([t + step, t - step, s + step, s - step])
        )
        differences.append((k[0, 2] - k[0, 3] - k[1, 2] + k[1, 3]) / (4.0 * step**2))
    expected = (4.0 * differences[1] - differences[0]) / 3.0
    assert kernel[3, 5] == pytest.approx(expected, rel=1e-5)


def _relu_as_any_function(x):
    return jnp.maximum(x, 0.0)


def test_quadrature_across_a_kink_equals_the_closed_form():
    activation = act.from_function(_relu_as_any_function, kinks=(0.0,))
    numerical, closed = (
        velocity_kernel(MLP((8,) * 3, a, normal(2.0), BIAS), LINE, NODES)
        for a in (activation, act.relu)
    )
    np.testing.assert_allclose(numerical, closed, rtol=1e-9)


@pytest.mark.parametrize("bias_law", [None, BIAS])
@pytest.mark.slow
def test_the_diagonal_for_relu_is_a_product_of_half_variances(bias_law):
    spec = MLP(
        (8,) * 3, weight_law=normal(3.0), bias_law=bias_law, output_width=1, output_law=normal(0.7)
    )
    expected = 0.7 * (3.0 / 2.0) ** 3 * LINE.speed**2 / LINE.dimension
    np.testing.assert_allclose(np.diag(velocity_kernel(spec, LINE, NODES)), expected, rtol=1e-13)


@pytest.mark.parametrize("activation", [act.relu, act.tanh], ids=repr)
@pytest.mark.slow_cases("relu")
@pytest.mark.exhaustive_cases("tanh")
def test_the_diagonal_is_the_limit_of_the_pairs(activation):
    spec = MLP((8,) * 3, activation, bias_law=BIAS)
    gap = 1e-5
    kernel = velocity_kernel(spec, TILTED, 1.0 + gap * np.arange(6))
    # extrapolated over the kink (ReLU) or the parabola (tanh) of C(t, t + d)
    slope = kernel[0, 2] - kernel[0, 1]
    assert kernel[0, 1] - slope == pytest.approx(kernel[0, 0], rel=1e-9)
    kink = abs(slope / gap / kernel[0, 0])
    assert kink > 0.1 if activation is act.relu else kink < 10.0


@pytest.mark.slow
def test_velocities_on_the_circle_are_the_second_derivative_of_the_arc_cosine_chain():
    nodes = np.array([0.0, 0.05, 1.0, 3.0, math.pi])

    def chain(distance):
        c = mpmath.cos(distance)
        for _ in range(2):
            theta = mpmath.acos(c)
            c = (mpmath.sin(theta) + (mpmath.pi - theta) * c) / mpmath.pi
        return c

    with mpmath.workdps(40):
        expected = [-float(mpmath.diff(chain, d, 2)) / 2.0 for d in nodes[1:4]]
    kernel = velocity_kernel(MLP((8, 8), output_width=1), CIRCLE, nodes)
    np.testing.assert_allclose(kernel[0, 1:4], expected, rtol=1e-12)
    # at antipodes the first layer leaves nothing in common to the velocities
    assert abs(kernel[0, 4]) < 1e-12


@pytest.mark.parametrize("activation", [act.relu, act.tanh], ids=repr)
@pytest.mark.slow_cases("tanh")
@pytest.mark.exhaustive_cases("tanh")
def test_repeated_points_have_the_velocity_of_one(activation):
    kernel = velocity_kernel(
        _three_layers(activation, BIAS), TILTED, np.array([0.0, 2.0 * math.pi, 0.0, 0.0, 0.0, 0.0])
    )
    np.testing.assert_allclose(kernel, kernel[0, 0], rtol=1e-12)


@pytest.mark.slow
def test_a_smooth_network_without_biases_may_cross_the_origin():
    through = curves.line([-1.0, -2.0], [1.0, 2.0])
    at, beside = (
        velocity_kernel(
            _three_layers(act.tanh, None), through, np.array([0.1, 0.2, middle, 0.7, 0.8, 0.9])
        )
        for middle in (0.5, 0.5 + 1e-9)
    )
    np.testing.assert_allclose(at, beside, rtol=1e-7)


@pytest.mark.parametrize("t", [0.5, np.zeros((2, 2)), [0.0, math.nan], [], "half way"])
def test_nodes_that_are_no_row_of_numbers_are_refused(t):
    with pytest.raises(SpecError, match=r"Got t (of shape|of type|that is not finite)"):
        velocity_kernel(MLP((8,)), LINE, t)
