"""Lengths of curves in wide networks have the moments of infinite width."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_mean, assert_value

from deepinit.core import curves
from deepinit.core.laws import normal
from deepinit.core.specs import MLP
from deepinit.infinite_width.lengths import curve_length_moments, speed_product_excess
from deepinit.infinite_width.recursion import layer_variances

BIAS = normal(0.3, scaling="absolute")
CIRCLE = curves.circle()
LINE = curves.line([1.0, -2.0, 0.0], [1.0, 2.0, 0.5])


def _relative_variance(moments):
    return moments.variance / moments.mean**2


def _simulated_lengths(spec, curve, num_networks, seed, num_nodes=48):
    """Lengths of the image by tangent norms at nodes, explicit Gaussian weights, float32."""
    spacing = (curve.stop - curve.start) / num_nodes
    t = curve.start + spacing * (0.5 + np.arange(num_nodes))
    inputs = [jnp.asarray(rows, jnp.float32) for rows in (curve.points(t), curve.tangents(t))]
    widths = (curve.dimension, *spec.widths, spec.output_width)
    weight_stds, bias_stds = (
        np.sqrt(variances) for variances in layer_variances(spec, curve.dimension)
    )

    @jax.jit
    def length(parameters):
        z, dz = inputs
        for layer, (weights, biases) in enumerate(parameters):
            if layer:
                z, dz = spec.activation(z), spec.activation.derivative(z) * dz
            weights = weights * (weight_stds[layer] / math.sqrt(widths[layer]))
            z, dz = z @ weights + bias_stds[layer] * biases, dz @ weights
        return spacing * jnp.linalg.norm(dz, axis=1).sum()

    rng = np.random.default_rng(seed)

    def normals(*shape):
        return rng.standard_normal(shape, dtype=np.float32)

    shapes = list(itertools.pairwise(widths))
    return np.array(
        [
            float(length([(normals(*shape), normals(shape[1])) for shape in shapes]))
            for _ in range(num_networks)
        ]
    )


@pytest.mark.parametrize(
    ("activation", "curve", "bias_law", "num_outputs"),
    [
        pytest.param("relu", CIRCLE, None, 2, id="relu circle"),
        pytest.param(
            "relu", curves.line([0.5, -2.0], [0.5, 2.0]), BIAS, 1, id="relu line with biases"
        ),
        pytest.param("tanh", LINE, BIAS, 3, id="tanh line with biases", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow_cases("relu circle", "relu line with biases")
@pytest.mark.exhaustive_cases("tanh line with biases")
def test_wide_networks_have_the_mean_and_the_variance_of_infinite_ones(
    activation, curve, bias_law, num_outputs
):
    # Resolves two thirds of the variance on the circle, the smallest, and 40 % on the lines.
    width, depth, num_networks = 200, 2, 1000
    spec = MLP((width,) * depth, activation, normal(2.0), bias_law, num_outputs)
    moments = curve_length_moments(spec, curve, 16)
    found = _simulated_lengths(spec, curve, num_networks, seed=1)
    allowance = (
        2.0 / width
    )  # of the relative variance at finite width; the next test measures 0.8 and 1.5
    centred = (found - found.mean()) ** 2
    variance, error = centred.mean(), centred.std() / math.sqrt(num_networks)
    # the exact mean for ReLU is lower by this factor, up to 1/width^2
    mean = moments.mean * (math.exp(-0.625 * depth / width) if activation == "relu" else 1.0)
    # the rival: a fifth more
    assert_mean(found, mean, rejects=1.2 * mean, resolves=0.12)
    assert abs(variance - moments.variance) < 5.0 * error + allowance * moments.mean**2
    # infinitely many outputs: no variance
    assert variance > 5.0 * error + allowance * moments.mean**2
    # velocities that never turn: a chi variable
    chi = speed_product_excess(num_outputs, 1.0) * moments.mean**2
    assert chi - variance > 5.0 * error + allowance * moments.mean**2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("curve", "bias_law", "num_outputs"),
    [(CIRCLE, None, 2), (curves.line([0.5, -2.0], [0.5, 2.0]), BIAS, 1)],
)
@pytest.mark.exhaustive
def test_the_variance_of_finite_networks_approaches_that_of_infinite_ones_like_one_over_width(
    curve, bias_law, num_outputs
):
    # Resolves a quarter of the relative variance with the 1/width term extrapolated away.
    values, errors = [], []
    for width, num_networks in ((50, 10_000), (100, 20_000)):
        spec = MLP((width,) * 2, bias_law=bias_law, output_width=num_outputs)
        moments = curve_length_moments(spec, curve)
        found = _simulated_lengths(spec, curve, num_networks, seed=2)
        exact_mean = moments.mean * math.exp(-2 * (5 / (8 * width) + 3 / (8 * width**2)))
        # the rival: a tenth more
        assert_mean(found, exact_mean, rejects=1.1 * exact_mean, resolves=0.1)
        squares = (found / moments.mean - exact_mean / moments.mean) ** 2
        values.append(squares.mean())
        errors.append(squares.std() / math.sqrt(num_networks))
    infinite = _relative_variance(moments)
    extrapolated, error = 2.0 * values[1] - values[0], math.hypot(2.0 * errors[1], errors[0])
    # the rival: no variance
    assert_value(extrapolated, error, infinite, rejects=0.0, resolves=0.25)
    # infinite width alone: the finite networks' own part is there
    assert values[0] - infinite > 5.0 * errors[0]
    assert values[0] - infinite == pytest.approx(2.0 * (values[1] - infinite), abs=5.0 * error)
