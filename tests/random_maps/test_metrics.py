"""Metrics against their definitions, at any size, with their classes of layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepinit.core.errors import SpecError
from deepinit.random_maps import metrics
from deepinit.random_maps.layer_classes import Layer, apply, classify
from deepinit.random_maps.scaled import Scaled, added, as_scaled, log_norm

RNG = np.random.default_rng(0)
POSITIVE = np.exp(RNG.standard_normal((4, 4)))
entries = st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3)


def at_scale(x, exponent):
    start = as_scaled(jnp.asarray(x))
    return Scaled(start.mantissa, start.exponent + exponent)


@pytest.mark.slow
def test_thompson_and_hilbert_equal_their_definitions():
    x, y = np.exp(RNG.standard_normal((2, 50, 6)))
    up, down = (x / y).max(axis=1), (y / x).max(axis=1)
    with jax.enable_x64(True):
        np.testing.assert_allclose(metrics.thompson(x, y), np.log(np.maximum(up, down)), rtol=1e-13)
        np.testing.assert_allclose(metrics.hilbert(x, y), np.log(up * down), rtol=1e-13)
    single = metrics.thompson(x.astype(np.float32), y.astype(np.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, np.log(np.maximum(up, down)), rtol=1e-5)


@given(entries, entries, entries)
@settings(max_examples=25, deadline=None)
@pytest.mark.slow
def test_metrics_on_points_satisfy_the_axioms(x, y, z):
    x, y, z = (np.array(v, np.float32) for v in (x, y, z))
    for metric in (
        metrics.thompson,
        metrics.hilbert,
        metrics.norm(1),
        metrics.norm(2),
        metrics.norm(np.inf),
    ):
        xy, yz, xz = (float(metric(*pair)) for pair in ((x, y), (y, z), (x, z)))
        size = 1.0 if metric.name in ("Thompson", "Hilbert") else 3e6
        assert float(metric(x, x)) == 0
        assert xy == pytest.approx(
            float(metric(y, x)), rel=1e-6
        )  # logarithms of compiled code may differ in the last digit
        assert xz <= xy + yz + 1e-5 * size


@pytest.mark.parametrize("exponent", [-30_000, 30_000])
@pytest.mark.slow_cases("-30000")
def test_metrics_keep_their_digits_at_sizes_no_float_holds(exponent):
    x, y = np.exp(RNG.standard_normal((2, 5))).astype(np.float32)
    far_x, far_y = at_scale(x, exponent), at_scale(y, exponent)
    for metric in (metrics.thompson, metrics.hilbert):
        np.testing.assert_allclose(metric(far_x, far_y), metric(x, y), rtol=1e-6)
    np.testing.assert_allclose(metrics.thompson(far_x, x), abs(exponent) * np.log(2), rtol=1e-6)
    np.testing.assert_allclose(
        metrics.hilbert(far_x, x), 0, atol=1e-2
    )  # rounding of logarithms near 20 000
    expected = np.log(np.linalg.norm(x - y)) + exponent * np.log(2)
    difference = added(far_x, Scaled(-far_y.mantissa, far_y.exponent))
    np.testing.assert_allclose(log_norm(difference), expected, rtol=1e-6)
    np.testing.assert_allclose(
        log_norm(far_x), np.log(np.linalg.norm(x)) + exponent * np.log(2), rtol=1e-6
    )
    logs = np.log(np.asarray(far_x.mantissa, float)) + int(far_x.exponent) * np.log(2)
    np.testing.assert_allclose(logs, np.log(x.astype(float)) + exponent * np.log(2), rtol=1e-12)


def test_thompson_of_near_points_has_relative_accuracy_in_float32():
    x = np.array([3.0, 5.0], np.float32)
    y = np.nextafter(x, np.inf, dtype=np.float32)
    exact = np.max(np.log1p((y.astype(float) - x) / x))
    assert float(metrics.thompson(x, y)) == pytest.approx(exact, rel=1e-5)


@pytest.mark.slow
def test_norms_equal_their_definitions():
    x, y = RNG.standard_normal((2, 7, 4)).astype(np.float32)
    for order in (1, 2, np.inf):
        np.testing.assert_allclose(
            metrics.norm(order)(x, y), np.linalg.norm(x - y, order, axis=1), rtol=1e-5
        )


@pytest.mark.slow
def test_bilipschitz_distance_of_linear_maps_is_the_logarithm_of_their_extreme_stretch():
    points = RNG.standard_normal((400, 2)).astype(np.float32)
    stretched = metrics.distance_function(points * np.array([3.0, 0.1], np.float32))
    found = float(metrics.bilipschitz(metrics.distance_function(points), stretched))
    assert np.log(10) - 1e-3 < found <= np.log(10) + 1e-5


@pytest.mark.slow
def test_jacobian_distortion_is_hilberts_metric_of_jacobians():
    first, second = RNG.standard_normal((2, 30)).astype(np.float32)
    np.testing.assert_allclose(
        metrics.distortion(first, second), metrics.hilbert(np.exp(first), np.exp(second)), rtol=1e-5
    )
    pairs = first[:, None] - second[:, None] - first[None] + second[None]
    np.testing.assert_allclose(metrics.distortion(first, second), np.abs(pairs).max(), rtol=1e-6)


@pytest.mark.exhaustive
def test_metrics_run_under_jit_and_vmap():
    x, y = np.exp(RNG.standard_normal((2, 9, 4))).astype(np.float32)
    for metric in metrics.METRICS:
        np.testing.assert_allclose(
            jax.jit(jax.vmap(metric.function))(x, y), metric(x, y), rtol=1e-5, err_msg=metric.name
        )


@pytest.mark.slow
def test_non_positive_vectors_are_refused_and_nan_under_jit():
    x = np.array([1.0, 0.0, 2.0], np.float32)
    for metric in (metrics.thompson, metrics.hilbert):
        for bad in (x, x - 1.5):
            with pytest.raises(SpecError, match="positive"):
                metric(np.ones(3, np.float32), bad)
            assert np.isnan(jax.jit(metric.function)(np.ones(3, np.float32), bad))


@pytest.mark.parametrize("shape", [(3, 4), (3, 3000, 4)])
@pytest.mark.slow_cases("shape0")
@pytest.mark.exhaustive_cases("shape1")
@pytest.mark.exhaustive_cases("shape0")
def test_nan_survives_every_metric_whatever_the_shape(shape):
    ones = jnp.ones(shape)
    for metric in metrics.METRICS:
        assert np.isnan(jax.jit(metric.function)(ones, jnp.nan * ones)).all(), metric.name
        assert np.isnan(jax.jit(metric.function)(ones, ones.at[..., 1].set(jnp.nan))).all(), (
            metric.name
        )


@pytest.mark.slow
def test_identified_points_and_vanishing_jacobians_are_refused():
    points = np.array([[-1.0, -2.0], [-3.0, -1.0], [1.0, 1.0]], np.float32)
    with pytest.raises(SpecError, match="injective"):
        metrics.bilipschitz(
            metrics.distance_function(points), metrics.distance_function(np.maximum(points, 0))
        )
    with pytest.raises(SpecError, match="determinants that are not finite"):
        metrics.distortion(np.array([0.0, -np.inf]), np.zeros(2))


@pytest.mark.parametrize(
    ("activation", "bias", "expected"),
    [
        ("relu", 0.0, "Hilbert"),
        ("linear", 0.0, "Hilbert"),
        ("leaky_relu", 0.0, "Hilbert"),
        ("relu", 0.5, "Thompson"),
        ("tanh", 0.0, "Thompson"),
        ("tanh", 0.7, "Thompson"),
        ("sigmoid", -1.9, "Thompson"),
        ("softplus", 0.0, "Thompson"),
        ("sigmoid", -2.1, "Jacobian distortion"),  # elasticity above 1, but injective
        ("tanh", -0.5, "Jacobian distortion"),  # leaves the cone
        (
            "gelu",
            0.0,
            "Jacobian distortion",
        ),  # x Phi(x) grows faster than x, but W >= 0 and small keeps it increasing
        ("relu", -0.5, "supremum"),
    ],
)
def test_a_layer_gets_the_finest_metric_that_it_does_not_expand(activation, bias, expected):
    layer = Layer(
        0.2 * POSITIVE if activation == "gelu" else 3 * POSITIVE, activation, np.full(4, bias)
    )
    if activation == "gelu":
        layer = layer._replace(weights=np.eye(4) * 0.5)
        assert (
            metrics.metric_for(frozenset(classify(layer)) - {"1-Lipschitz in l2"}).name == expected
        )
    else:
        assert metrics.metric_for(layer).name == expected


def test_a_metric_on_the_wrong_class_is_refused_with_the_right_one_named():
    with pytest.raises(SpecError, match=r"metric Hilbert .* use Thompson"):
        metrics.check_semi_invariant(metrics.hilbert, Layer(POSITIVE, "tanh"))
    with pytest.raises(SpecError, match=r"Thompson .* l2 norm"):
        metrics.check_semi_invariant(metrics.thompson, Layer(-0.1 * POSITIVE / 4, "tanh"))
    with pytest.raises(SpecError, match="bi-Lipschitz"):
        metrics.check_semi_invariant(metrics.bilipschitz, Layer(POSITIVE, "relu"))
    with pytest.raises(SpecError, match="layer_class='monotone'"):
        metrics.check_semi_invariant(metrics.thompson, "monotone")
    with pytest.raises(SpecError, match=r"numpy\.inf"):
        metrics.norm(3)
    metrics.check_semi_invariant(
        metrics.thompson, "positive homogeneous"
    )  # a subclass of its own class
    metrics.check_semi_invariant(metrics.hilbert, Layer(POSITIVE, "relu"))
    metrics.check_semi_invariant(metrics.supremum, Layer(-POSITIVE, "sin"))


def test_injectivity_needs_full_column_rank_and_smoothness_no_kink():
    flat = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert "injective" not in classify(Layer(flat, "tanh"))
    assert "injective" not in classify(Layer(np.ones((1, 2)), "tanh"))  # fewer rows than columns
    assert "smooth injective" in classify(Layer(np.eye(3)[:, :2], "tanh"))
    assert {"injective"} == classify(Layer(np.eye(2), "leaky_relu")) & {
        "injective",
        "smooth injective",
    }
    with pytest.raises(SpecError, match="bi-Lipschitz"):
        metrics.check_semi_invariant(metrics.bilipschitz, Layer(flat, "tanh"))


def test_the_norm_of_the_transpose_counts_in_composite_layers():
    weights = np.array([[1.0, 0.0], [1.0, 0.0]])  # norm 1 in linf, its transpose 2
    assert "1-Lipschitz in linf" in classify(Layer(weights, "relu"))
    assert "1-Lipschitz in linf" not in classify(Layer(weights, "relu", output=weights.T))
    assert "1-Lipschitz in l2" in classify(
        Layer(weights / np.sqrt(2), "relu", output=weights.T / np.sqrt(2))
    )


def test_layers_that_do_not_fit_are_refused():
    for layer in (
        Layer(np.ones(3), "tanh"),
        Layer(np.full((2, 2), np.nan), "tanh"),
        Layer(np.ones((2, 2)), "tanh", np.ones(3)),
        Layer(np.ones((2, 2)), "tanh", None, np.ones((2, 3))),
    ):
        with pytest.raises(SpecError, match="Allowed"):
            classify(layer)


def test_apply_agrees_in_numpy_and_jax():
    layer = Layer(POSITIVE, "tanh", np.ones(4), POSITIVE.T)
    x = RNG.standard_normal((3, 4))
    expected = np.tanh(x @ POSITIVE.T + 1) @ POSITIVE
    np.testing.assert_allclose(apply(layer, x), expected, rtol=1e-12)
    np.testing.assert_allclose(apply(layer, jnp.asarray(x)), expected, rtol=1e-5)
