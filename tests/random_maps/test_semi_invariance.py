"""Random pairs: a metric's class never expands it; other layers do."""

import jax
import numpy as np
import pytest

from deepinit.random_maps import metrics
from deepinit.random_maps.layer_classes import Layer, apply, classify

RNG = np.random.default_rng(1)
POSITIVE = np.exp(RNG.standard_normal((4, 4))) / 4
FIRST, SECOND, SCALES, FACTORS = (RNG.standard_normal((3000, k)) for k in (4, 4, 1, 1))


def ratios(layer, metric, positive=True):
    """d(T x, T y) / d(x, y) of far pairs, pairs 1e-3 apart and pairs on one ray: [3, pairs]."""
    size, factor = np.exp(2 * SCALES), np.exp(FACTORS)
    x = size * (np.exp(FIRST) if positive else FIRST)
    far = size * (np.exp(SECOND) if positive else SECOND)
    near = x * np.exp(1e-3 * SECOND) if positive else x + 1e-3 * far
    x, y = np.stack([x] * 3), np.stack([far, near, x * factor])
    with jax.enable_x64(True):
        before, after = (np.asarray(jax.jit(metric.function)(*pair)) for pair in (
            (x, y), (apply(layer, x), apply(layer, y))
        ))  # fmt: skip
    same = before <= 1e-12  # one ray in Hilbert's metric
    return np.where(same, np.where(after <= 1e-10, 0.0, np.inf), after / np.where(same, 1, before))


@pytest.mark.parametrize(
    ("activation", "bias"),
    [("relu", 0), ("relu", 0.5), ("leaky_relu", 0), ("linear", 0.2), ("tanh", 0), ("tanh", 0.5),
     ("sigmoid", 1), ("sigmoid", -2), ("softplus", 0), ("gelu", 0.5), ("x_tanh", 0.5)],
)  # fmt: skip
@pytest.mark.slow
def test_thompson_never_expands_under_its_class(activation, bias):
    layer = Layer(POSITIVE, activation, np.full(4, float(bias)))
    assert "positive subhomogeneous" in classify(layer)
    assert ratios(layer, metrics.thompson).max() <= 1 + 1e-9


def test_hilbert_never_expands_under_its_class_but_under_tanh_and_biases():
    assert ratios(Layer(POSITIVE, "relu"), metrics.hilbert).max() <= 1 + 1e-9
    for layer in (Layer(4 * POSITIVE, "tanh"), Layer(POSITIVE, "relu", np.array([0.0, 1, 0, 2]))):
        assert "positive homogeneous" not in classify(layer)
        assert ratios(layer, metrics.hilbert)[:2].max() > 1.1
        assert ratios(layer, metrics.thompson).max() <= 1 + 1e-9


@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_norms_never_expand_under_their_class_but_under_gelu_and_transposes(order):
    weights = RNG.standard_normal((4, 4))
    weights /= max(np.linalg.norm(weights, order), np.linalg.norm(weights.T, order))
    metric, unit = metrics.norm(order), np.array([[1.0, 0.0], [1.0, 0.0]])
    layer = Layer(weights, "tanh", RNG.standard_normal(4), weights.T)
    assert metric.layer_class in classify(layer)
    assert ratios(layer, metric, positive=False).max() <= 1 + 1e-9
    assert ratios(Layer(np.eye(4), "gelu"), metric, positive=False).max() > 1.1
    assert metric.layer_class not in classify(Layer(2 * unit, "relu", None, unit.T))


def test_images_that_leave_the_cone_are_nan():
    for layer in (Layer(-POSITIVE, "tanh"), Layer(POSITIVE, "tanh", np.full(4, -0.5))):
        assert "positive subhomogeneous" not in classify(layer)
        assert np.isnan(ratios(layer, metrics.thompson)).any()


@pytest.mark.slow
def test_jacobian_distortion_never_expands_under_injective_maps_of_an_interval():
    grid, x = np.linspace(-1, 1, 200_001), np.linspace(-1, 1, 301)
    slope = lambda w, x: np.log(w) - 2 * np.log(np.cosh(w * x))
    for w1, w2, w in RNG.uniform(0.5, 5, (30, 3)):
        before = float(metrics.distortion(slope(w1, grid), slope(w2, grid)))
        inner = np.tanh(w * x)
        images = (slope(other, inner) + slope(w, x) for other in (w1, w2))
        assert float(metrics.distortion(*images)) <= before * (1 + 1e-5)
