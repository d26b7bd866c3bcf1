"""Random pairs: a metric's class never expands it, and every counterexample is found."""

import jax
import numpy as np
import pytest
from scipy.special import lambertw

from deepinit.core.errors import SpecError
from deepinit.random_maps import metrics
from deepinit.random_maps.layer_classes import Layer, classify
from deepinit.random_maps.semi_invariance import (
    audit,
    birkhoff,
    draw_pairs,
    expansion_ratios,
    lipschitz_constant,
)

RNG = np.random.default_rng(1)
POSITIVE = np.exp(RNG.standard_normal((4, 4))) / 4
PAIRS = 3000


def audited(layer, metric, num_pairs=PAIRS, **options):
    with jax.enable_x64(True):
        result = audit(
            layer, metric, jax.random.key(0), num_pairs=num_pairs, dtype="float64", **options
        )
        return result._replace(
            ratios=np.asarray(result.ratios), rounding=np.asarray(result.rounding)
        )


@pytest.mark.parametrize(
    ("activation", "bias"),
    [("relu", 0), ("relu", 0.5), ("leaky_relu", 0), ("linear", 0.2), ("tanh", 0), ("tanh", 0.5),
     ("erf", 0), ("sigmoid", 1), ("sigmoid", 0), ("sigmoid", -1), ("sigmoid", -2), ("softplus", 0),
     ("gelu", 0.5), ("silu", 0.5), ("x_tanh", 0.5)],
)  # fmt: skip
@pytest.mark.slow_cases(
    "erf-0",
    "gelu-0.5",
    "leaky_relu-0",
    "linear-0.2",
    "relu-0",
    "relu-0.5",
    "sigmoid-1",
    "silu-0.5",
    "softplus-0",
    "tanh-0",
    "x_tanh-0.5",
)
def test_thompson_never_expands_under_its_class(activation, bias):
    layer = Layer(POSITIVE, activation, np.full(4, float(bias)))
    assert "positive subhomogeneous" in classify(layer)
    result = audited(layer, metrics.thompson)
    assert not bool(result.violations.any()), result.largest
    assert float(result.rounding.max()) < 1e-3


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "linear", "absolute"])
@pytest.mark.slow
def test_hilbert_never_expands_under_its_class_and_contracts_by_birkhoff(activation):
    result = audited(Layer(POSITIVE, activation), metrics.hilbert, bound=birkhoff(POSITIVE))
    assert not bool(result.violations.any())
    assert float(result.largest[:2].max()) > 0.8 * result.bound  # a supremum, approached in corners
    assert not bool(
        audited(
            Layer(POSITIVE * (RNG.random((4, 4)) > 0.3) + np.eye(4), activation), metrics.hilbert
        ).violations.any()
    )


@pytest.mark.slow
def test_birkhoffs_constant_is_attained_in_the_limit_at_width_2():
    matrix = np.array([[2.0, 1.0], [0.5, 3.0]])
    assert birkhoff(matrix) == pytest.approx(np.tanh(0.25 * np.log(12)))
    with jax.enable_x64(True):
        tilts = np.exp(np.linspace(-4, 4, 4001))[
            :, None
        ]  # near pairs along the only direction that Hilbert's metric sees
        x, y = (
            np.hstack([np.ones_like(tilts), tilts]),
            np.hstack([np.ones_like(tilts), tilts * 1.001]),
        )
        ratios, _ = expansion_ratios(Layer(matrix, "linear"), metrics.hilbert, x, y)
        highest = float(ratios.max())
    assert highest == pytest.approx(birkhoff(matrix), rel=1e-4)


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sin", "sigmoid"])
@pytest.mark.slow
def test_norms_never_expand_under_their_class(order, activation):
    weights = RNG.standard_normal((4, 4))
    weights /= max(np.linalg.norm(weights, order), np.linalg.norm(weights.T, order))
    layer = Layer(weights, activation, RNG.standard_normal(4), weights.T)
    metrics.check_semi_invariant(metrics.norm(order), layer)
    assert not bool(audited(layer, metrics.norm(order)).violations.any())


@pytest.mark.slow
@pytest.mark.exhaustive
def test_audits_run_in_float32_with_their_rounding_stated():
    layer = Layer(POSITIVE, "tanh")
    result = audit(layer, metrics.thompson, jax.random.key(0), num_pairs=PAIRS)
    assert result.ratios.dtype == np.float32
    assert not bool(result.violations.any())
    assert (
        float(result.rounding[1].max()) > 1e-4
    )  # near pairs in float32: this is why an audit states it


@pytest.mark.slow
def test_hilbert_expands_under_tanh_and_under_relu_with_bias():
    for layer, kinds in (
        (Layer(4 * POSITIVE, "tanh"), {1, 2}),
        (Layer(POSITIVE, "relu", np.array([0.0, 1, 0, 2])), {0, 2}),
    ):
        result = audited(layer, metrics.hilbert)
        assert kinds <= set(np.flatnonzero(np.asarray(result.violations.any(axis=1))))
        assert float(result.largest[:2].max()) > 1.1
        assert np.isinf(result.largest[2])  # points of one ray go to different rays
        assert not bool(audited(layer, metrics.thompson).violations.any())


@pytest.mark.parametrize(
    ("bias", "expected"), [(1, 0.1200), (0, 0.2785), (-1, 0.5671), (-2, 1.0), (-3, 1.5571)]
)
@pytest.mark.slow_cases("0-0.2785", "1-0.12")
def test_thompson_constant_of_the_sigmoid_is_lamberts_function_whatever_the_weights(bias, expected):
    exact = float(lambertw(np.exp(-(1.0 + bias))).real)
    assert exact == pytest.approx(expected, abs=6e-5)
    for weights in (POSITIVE, 20 * POSITIVE**3):
        layer = Layer(weights, "sigmoid", np.full(4, float(bias)))
        assert lipschitz_constant(layer, metrics.thompson) == pytest.approx(exact, rel=1e-9)
        result = audited(layer, metrics.thompson, bound=exact, num_pairs=20_000)
        assert not bool(result.violations.any())
        assert float(result.largest.max()) > 0.999 * exact
        assert bool((result.ratios > 1 + result.rounding).any()) == (bias == -3)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_norm_without_that_of_the_transpose_expands():
    weights = np.array([[1.0, 0.0], [1.0, 0.0]])
    layer = Layer(weights, "relu", None, weights.T)
    result = audited(layer, metrics.norm(np.inf))
    assert float(result.largest.max()) == pytest.approx(2.0, rel=1e-6)
    assert lipschitz_constant(layer, metrics.norm(np.inf)) == 2.0
    assert not bool(audited(Layer(weights, "relu"), metrics.norm(np.inf)).violations.any())


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_gelu_expands_the_norm_although_its_weights_do_not():
    result = audited(Layer(np.eye(3), "gelu"), metrics.norm(2))
    assert bool(result.violations.any())
    assert not bool(
        (
            result.ratios
            > lipschitz_constant(Layer(np.eye(3), "gelu"), metrics.norm(2)) + result.rounding
        ).any()
    )


def test_images_that_leave_the_cone_count_as_violations():
    for layer in (
        Layer(-POSITIVE, "tanh"),
        Layer(POSITIVE, "tanh", np.full(4, -0.5)),
        Layer(POSITIVE, "relu", np.full(4, -0.5)),
    ):
        assert bool(np.isnan(audited(layer, metrics.thompson).ratios).any())
        assert bool(audited(layer, metrics.thompson).violations.any())
        assert np.isinf(lipschitz_constant(layer, metrics.thompson))


def test_one_sided_distance_is_contracted_by_subhomogeneous_maps_only_in_its_positive_part():
    one_sided = metrics.Metric(
        "one-sided", lambda x, y: np.log(np.max(np.asarray(y) / np.asarray(x), axis=-1)), "", "", ""
    )
    x, y = np.full(2, 1.0), np.full(2, 0.5)
    after, before = float(one_sided(np.tanh(x), np.tanh(y))), float(one_sided(x, y))
    assert before == pytest.approx(-np.log(2))
    assert after > before + 0.1  # non-expansion, after <= before, fails
    assert max(after, 0) <= max(before, 0)


@pytest.mark.slow
def test_relu_with_a_lower_bias_than_allowed_and_tanh_are_told_apart_by_ray_pairs():
    result = audited(
        Layer(POSITIVE, "gelu"), metrics.thompson
    )  # gelu(s x) <= s gelu(x): the wrong way round
    assert float(result.largest[2]) > 1.1
    assert "positive subhomogeneous" not in classify(Layer(POSITIVE, "gelu"))


@pytest.mark.slow
def test_jacobian_distortion_never_expands_under_injective_maps_of_an_interval():
    grid = np.linspace(-1, 1, 200_001)
    slope = lambda w, x: np.log(w) - 2 * np.log(np.cosh(w * x))
    for w1, w2, w in RNG.uniform(0.5, 5, (30, 3)):
        before = float(metrics.distortion(slope(w1, grid), slope(w2, grid)))
        x = np.linspace(-1, 1, 301)
        inner = np.tanh(w * x)
        after = float(
            metrics.distortion(slope(w1, inner) + slope(w, x), slope(w2, inner) + slope(w, x))
        )
        assert after <= before * (1 + 1e-5)


def test_metrics_on_functions_have_no_pairs_of_points():
    with pytest.raises(SpecError, match="arguments are functions"):
        draw_pairs(jax.random.key(0), metrics.bilipschitz, 3, 10)
    with pytest.raises(SpecError, match="Use Thompson"):
        lipschitz_constant(Layer(POSITIVE, "tanh"), metrics.hilbert)


@pytest.mark.slow
def test_expansion_ratios_run_under_jit():
    layer = Layer(np.float32(POSITIVE), "relu")
    x, y = draw_pairs(jax.random.key(3), metrics.thompson, 4, 50)
    eager, _ = expansion_ratios(layer, metrics.thompson, x, y)
    jitted, _ = jax.jit(lambda x, y: expansion_ratios(layer, metrics.thompson, x, y))(x, y)
    np.testing.assert_allclose(jitted, eager, rtol=1e-3)
