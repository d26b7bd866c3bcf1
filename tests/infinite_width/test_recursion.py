import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from statistical import assert_mean

import deepinit as di
from deepinit.core import activations as act
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal, orthogonal, uniform
from deepinit.core.specs import MLP
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers, kernel_scan, layer_variances

ROWS = np.random.default_rng(0).standard_normal((4, 7))
BIAS = normal(0.1, scaling="absolute")


def _arc_cosine_in_50_digits(spec, x):
    """The textbook recursion by arccos, in enough digits that its cancellations do not matter."""
    left, right = (mpmath.mpf(slope) for slope in spec.activation.slopes)
    p, r = (left**2 + right**2) / 2, (right - left) ** 2 / (2 * mpmath.pi)
    weight_vars, bias_vars = layer_variances(spec, x.shape[1])
    num = len(x)
    rows = [[mpmath.mpf(value) for value in row] for row in x]
    kernel = [[mpmath.fdot(a, b) / x.shape[1] for b in rows] for a in rows]
    ntk = [[mpmath.mpf(0)] * num for _ in rows]
    layers = []
    for layer, (w, b) in enumerate(zip(weight_vars, bias_vars, strict=True)):
        if layer:
            norms = [
                [mpmath.sqrt(kernel[i][i] * kernel[j][j]) for j in range(num)] for i in range(num)
            ]
            angles = [
                [
                    mpmath.mpf(0) if i == j else mpmath.acos(kernel[i][j] / norms[i][j])
                    for j in range(num)
                ]
                for i in range(num)
            ]
            ntk = [[(p - r * angles[i][j]) * ntk[i][j] for j in range(num)] for i in range(num)]
            kernel = [
                [
                    norms[i][j] * (p * mpmath.cos(t) + r * (mpmath.sin(t) - t * mpmath.cos(t)))
                    for j, t in enumerate(angles[i])
                ]
                for i in range(num)
            ]
        kernel = [[w * value + b for value in row] for row in kernel]
        ntk = [[w * ntk[i][j] + kernel[i][j] for j in range(num)] for i in range(num)]
        layers.append((np.array(kernel, dtype=np.float64), np.array(ntk, dtype=np.float64)))
    return (np.stack(kernels) for kernels in zip(*layers, strict=True))


@pytest.mark.parametrize("activation", [act.relu, act.leaky_relu(0.3), act.absolute, act.linear])
@pytest.mark.parametrize("bias_law", [None, BIAS])
@pytest.mark.slow_cases(
    "None-activation2",
    "None-activation3",
    "bias_law1-activation0",
    "bias_law1-activation1",
    "bias_law1-activation2",
    "bias_law1-activation3",
)
@pytest.mark.exhaustive_cases("None-activation0", "None-activation1")
def test_homogeneous_kernels_equal_the_arc_cosine_recursion_in_50_digits(activation, bias_law):
    spec = MLP((5, 9, 5), activation, bias_law=bias_law, output_width=1)
    x = np.vstack([ROWS[:3], 1.7 * ROWS[2] + 1e-9, -ROWS[0]])
    with mpmath.workdps(50):
        nngp, ntk = _arc_cosine_in_50_digits(spec, x)
    layers = kernel_layers(spec, x)
    assert layers.nngp.shape == layers.ntk.shape == (4, 5, 5)
    np.testing.assert_allclose(layers.nngp, nngp, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(layers.ntk, ntk, rtol=1e-13, atol=1e-13)


@pytest.mark.slow
def test_critical_relu_has_constant_diagonal_and_linear_ntk_at_depth_1000():
    layers = kernel_layers(MLP((3,) * 1000), ROWS)
    norms = 2.0 * np.mean(ROWS**2, axis=1)
    np.testing.assert_allclose(
        np.diagonal(layers.nngp, axis1=1, axis2=2), np.tile(norms, (1000, 1)), rtol=1e-12
    )
    ntk_diagonal = np.diagonal(layers.ntk, axis1=1, axis2=2) / norms
    np.testing.assert_allclose(
        ntk_diagonal, np.tile(np.arange(1, 1001)[:, None], (1, 4)), rtol=1e-12
    )


def _price(function, a, b, c):
    """E[f(u) f(v)] in closed form, (u, v) of variances a, b and covariance c."""
    if function == "erf":
        return 2.0 / np.pi * np.arcsin(2.0 * c / np.sqrt((1.0 + 2.0 * a) * (1.0 + 2.0 * b)))
    return 0.5 * (np.exp(c - 0.5 * (a + b)) - np.exp(-c - 0.5 * (a + b)))  # sin


@pytest.mark.parametrize(
    ("name", "scale"), [("erf", 1.0), ("erf", 30.0), ("sin", 1.0), ("sin", 3.0)]
)
@pytest.mark.slow_cases("erf-30.0", "sin-3.0")
@pytest.mark.exhaustive_cases("erf-1.0", "sin-1.0")
@pytest.mark.exhaustive_cases("sin-3.0")
def test_quadrature_equals_the_closed_forms_of_erf_and_sin(name, scale):
    spec = MLP((4, 4), name, weight_law=normal(1.3))
    k_1, k_2 = kernel_layers(spec, scale * ROWS).nngp
    variance = np.diag(k_1)
    expected = 1.3 * _price(name, variance[:, None], variance[None, :], k_1)
    np.testing.assert_allclose(k_2, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.slow_cases("30.0")
@pytest.mark.parametrize("std", [1e-3, 1.0, 30.0, 1e3])
@pytest.mark.exhaustive_cases("0.001", "1.0")
def test_quadrature_keeps_its_accuracy_from_small_to_large_preactivations(std):
    k_1, k_2 = kernel_layers(MLP((4, 4), "gelu", weight_law=normal(1.0)), std * ROWS).nngp
    variance = np.diag(k_1)
    # E[(u Phi(u))^2] in closed form: q/4 + q/(2 pi) [asin(q/(1+q)) + 2 q / ((1+q) sqrt(1+2q))]
    ratio = variance / (1.0 + variance)
    expected = variance * (
        0.25 + (np.arcsin(ratio) + 2.0 * ratio / np.sqrt(1.0 + 2.0 * variance)) / (2.0 * np.pi)
    )
    np.testing.assert_allclose(np.diag(k_2), expected, rtol=1e-11)


def _relu_with_a_kink(x):
    return jnp.maximum(x, 0.0)


def _hard_tanh(x):
    return jnp.clip(x, -1.0, 1.0)


@pytest.mark.slow
def test_quadrature_across_a_kink_equals_the_closed_form():
    closed, numerical = (
        kernel_layers(MLP((4, 4, 4), activation, weight_law=normal(2.0), bias_law=BIAS), ROWS[:3])
        for activation in (act.relu, act.from_function(_relu_with_a_kink, kinks=(0.0,)))
    )
    np.testing.assert_allclose(numerical.nngp, closed.nngp, rtol=1e-11)
    np.testing.assert_allclose(numerical.ntk, closed.ntk, rtol=1e-11)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_two_kinks_off_the_origin_equal_their_expression_by_normal_integrals():
    spec = MLP((4, 4), act.from_function(_hard_tanh, kinks=(-1.0, 1.0)), weight_law=normal(1.0))
    k_1, k_2 = kernel_layers(spec, ROWS[:2]).nngp
    variance = np.diag(k_1)
    # E[clip(u)^2] = q P(|u| < 1) - 2 sqrt(q) pdf(1/sqrt(q)) + P(|u| > 1)
    cut = 1.0 / np.sqrt(variance)
    inside = scipy.special.erf(cut / np.sqrt(2.0))
    density = np.exp(-0.5 * cut**2) / np.sqrt(2.0 * np.pi)
    np.testing.assert_allclose(
        np.diag(k_2), variance * (inside - 2.0 * cut * density) + 1.0 - inside, rtol=1e-12
    )
    sample = np.random.default_rng(1).multivariate_normal(np.zeros(2), k_1, size=400_000)
    products = np.prod(np.clip(sample, -1.0, 1.0), axis=1)
    # resolves 0.002 of E[clip(u) clip(v)], and so rejects the linear value E[u v]
    assert_mean(products, k_2[0, 1], rejects=k_1[0, 1])


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([act.relu, act.absolute, act.leaky_relu(0.5)]))
@pytest.mark.exhaustive
def test_kernels_are_symmetric_and_positive_semidefinite(seed, activation):
    x = np.random.default_rng(seed).standard_normal((4, 3)) * 10.0 ** np.random.default_rng(
        seed
    ).uniform(-3, 3, (4, 1))
    for kernels in kernel_layers(MLP((3,) * 4, activation, bias_law=BIAS), x):
        np.testing.assert_array_equal(kernels, kernels.swapaxes(1, 2))
        scale = np.sqrt(np.einsum("lii,ljj->lij", kernels, kernels))
        assert np.linalg.eigvalsh(kernels / scale).min() > -1e-13


@pytest.mark.parametrize("activation", [act.relu, act.gelu])
@pytest.mark.exhaustive_cases("activation1")
def test_zero_and_equal_rows(activation):
    x = np.stack([ROWS[0], ROWS[0], np.zeros(7)])
    for bias_law in (None, BIAS):
        for kernels in kernel_layers(MLP((4,) * 3, activation, bias_law=bias_law), x):
            assert np.isfinite(kernels).all()
            np.testing.assert_allclose(kernels[:, 0, 0], kernels[:, 0, 1], rtol=1e-13)
            if bias_law is None:
                np.testing.assert_array_equal(kernels[:, 2], 0.0)


@pytest.mark.exhaustive
def test_hyperparameters_are_swept_by_vmap_and_differentiable():
    depth, sweep = 3, np.array([1.0, 2.0, 3.0])
    with host_float64():

        def last_ntk(weight_var):
            weight_vars = jnp.full((depth,), weight_var)
            return kernel_scan(act.relu, jnp.asarray(ROWS), weight_vars, jnp.zeros(depth)).ntk[
                -1, 0, 1
            ]

        swept, slopes = jax.jit(jax.vmap(jax.value_and_grad(last_ntk)))(jnp.asarray(sweep))
    alone = [
        kernel_layers(MLP((3,) * depth, weight_law=normal(v)), ROWS).ntk[-1, 0, 1] for v in sweep
    ]
    np.testing.assert_allclose(swept, alone, rtol=1e-13)
    # without a bias the kernel is proportional to weight_var^depth
    np.testing.assert_allclose(slopes, depth * np.array(alone) / sweep, rtol=1e-10)


def test_per_layer_variances_follow_the_laws():
    spec = MLP(
        (4, 8),
        weight_law=Law("normal", 0.5, "absolute"),
        bias_law=BIAS,
        output_width=3,
        output_law=normal(0.7),
    )
    weight_vars, bias_vars = layer_variances(spec, 3)
    np.testing.assert_allclose(weight_vars, [1.5, 2.0, 0.7])
    np.testing.assert_allclose(bias_vars, [0.1] * 3)
    np.testing.assert_allclose(
        layer_variances(MLP((4,) * 5, weight_law=Law("normal", 2.0, "depth")), 3)[0], [0.4] * 5
    )
    np.testing.assert_allclose(layer_variances(MLP((4,), weight_law=orthogonal(1.3)), 3)[0], [1.3])


@pytest.mark.parametrize("x", [np.zeros(3), np.full((2, 2), np.nan), np.zeros((0, 3))])
def test_bad_inputs_are_refused(x):
    with pytest.raises(
        SpecError, match=r"Got inputs (of shape|that is not finite).*One input a row"
    ):
        kernel_layers(MLP((3,)), x)


def test_float64_ends_with_its_scope():
    assert jnp.ones(1).dtype == jnp.float32
    with host_float64():
        assert jnp.ones(1).dtype == jnp.float64
        assert jnp.ones(1).devices() == {jax.local_devices(backend="cpu")[0]}
    assert jnp.ones(1).dtype == jnp.float32


def test_biases_that_are_not_gaussian_are_refused_since_preactivations_are_not_either():
    spec = MLP((8, 8), "tanh", bias_law=uniform(0.5, "absolute"))
    with pytest.raises(SpecError, match="not Gaussian"):
        kernel_layers(spec, np.eye(2))


@pytest.mark.parametrize(
    "spec",
    [
        di.MLP((9, 8, 7), "tanh", bias_law=di.normal(0.3, "absolute"), output_width=2),
        di.MLP((9, 8), "relu", bias_law=di.normal(0.3, "absolute")),
        di.ResNet(
            6,
            4,
            block="shallow",
            bias_law=di.normal(0.3, "depth"),
            output_width=1,
            embedding_law=di.normal(1.0),
        ),
    ],
)
@pytest.mark.slow_cases("spec1", "spec2")
@pytest.mark.exhaustive_cases("spec0")
def test_parts_of_the_tangent_kernel_add_up_and_a_frozen_network_has_none(spec):
    x = np.random.default_rng(3).normal(size=(3, 6))
    whole = kernel_layers(spec, x)
    parts = [
        kernel_layers(spec, x, trained=(name,))
        for name in ("weights", "biases", "output", "embedding")
    ]
    np.testing.assert_allclose(sum(part.ntk for part in parts), whole.ntk, rtol=1e-12)
    np.testing.assert_allclose(parts[0].nngp, whole.nngp, rtol=1e-14)
    np.testing.assert_allclose(kernel_layers(spec, x, trained=()).ntk, 0.0, atol=1e-14)
    # of the output layer's weights: its kernel less its biases
    if spec.output_width is not None:
        bias = 0.3 if isinstance(spec, di.MLP) else 0.0
        np.testing.assert_allclose(parts[2].ntk[-1], whole.nngp[-1] - bias, rtol=1e-12)
    with pytest.raises(SpecError, match="weights, branch"):
        kernel_layers(spec, x, trained=("readout",))
