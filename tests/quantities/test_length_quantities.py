"""Lengths and volumes by every route: samplers, exact laws, infinite width, refusals."""

import jax
import numpy as np
import pytest
import scipy.stats
from statistical import assert_mean, assert_value

import deepinit as di
from deepinit.infinite_width.norm_growth import mean_lengths
from deepinit.networks.network import network
from deepinit.piecewise_linear.region_sweep import exact_lengths
from deepinit.piecewise_linear.relu_layers import layers_of

VOLUME, LENGTH = di.quantities.log_volume, di.quantities.length_distortion
BIAS = di.normal(0.5, "absolute")
NUM = 6000

LAWS = {
    "relu": (di.MLP(widths=(5, 3, 8), output_width=4), di.frames.random(3)),
    "relu, biases": (di.MLP(widths=(4, 6), bias_law=BIAS, output_width=2), di.frames.random(3)),
    "one output": (di.MLP(widths=(2, 4), output_width=1), di.frames.random(2)),
    "planes": (di.MLP(widths=(5, 8, 4), output_width=3), di.frames.random(4, 2)),
    "leaky": (
        di.MLP(widths=(3, 5), activation=di.leaky_relu(0.3), output_width=4),
        di.frames.random(3),
    ),
    "absolute value, steep": (
        di.MLP(widths=(3, 4), activation=di.absolute, weight_law=di.normal(3.0)),
        di.frames.random(2),
    ),
    "orthogonal": (di.MLP(widths=(4, 7, 3), weight_law=di.orthogonal(2.0)), di.frames.random(5)),
    "orthogonal planes": (
        di.MLP(widths=(6, 5), weight_law=di.orthogonal(2.0)),
        di.frames.random(5, 2),
    ),
    "residual": (di.ResNet(width=4, depth=3, branch_width=2), di.frames.random(4)),
    "residual, output": (
        di.ResNet(width=3, depth=2, bias_law=BIAS, output_width=2),
        di.frames.random(3),
    ),
}
NOT_SAMPLED = {"orthogonal planes", "residual, output"}


def z_scores(estimate, prediction):
    """Of means and of variances, [layers]."""
    return (
        ((estimate.mean - prediction.mean) / estimate.standard_error)[:, 0],
        ((estimate.variance - prediction.variance) / estimate.variance_standard_error)[:, 0],
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=[] if name in ("relu", "planes", "residual") else [pytest.mark.slow]
        )
        for name in LAWS
    ],
)
@pytest.mark.exhaustive
def test_every_sampler_has_the_exact_mean_and_variance_and_one_law(name):
    spec, frames = LAWS[name]
    exact = di.predict(spec, VOLUME, frames)
    assert (exact.name, exact.error_order) == ("exact", "exact")
    samplers = ("explicit", "conditional", *(() if name in NOT_SAMPLED else ("chi_square",)))
    samples = []
    for key, linear_map in enumerate(samplers):
        found = di.simulate(
            spec, VOLUME, frames, num_seeds=NUM, key=key, linear_map=linear_map, keep_samples=True
        )
        means, variances = z_scores(found, exact)
        assert np.abs(means).max() < 5
        assert np.abs(variances).max() < 5
        rival = di.infinite(
            spec, VOLUME, frames
        ).mean  # infinite width: rejected by 19 standard errors or more
        assert abs((found.mean - rival)[-1, 0] / found.standard_error[-1, 0]) > 5
        samples.append(found.samples[:, -1, 0])
    for one in samples[1:]:
        both = [sample[np.isfinite(sample)] for sample in (samples[0], one)]
        assert scipy.stats.ks_2samp(*both).pvalue > 1e-6
        assert not np.array_equal(samples[0][:20], one[:20])
        alive = [np.isfinite(sample).mean() for sample in (samples[0], one)]
        assert abs(alive[0] - alive[1]) < 5 * np.sqrt(0.5 / NUM)


CURVES = {"circle": di.curves.circle(), "line": di.curves.line([0.5, 0.0], [-1.0, 1.5])}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("bias_law", [None, BIAS], ids=["no biases", "biases"])
@pytest.mark.exhaustive
def test_the_mean_length_is_exact_for_every_curve(name, bias_law):
    spec = di.MLP(widths=(5, 8, 6), bias_law=bias_law, output_width=3)
    held_to_the_exact_mean(spec, di.curves.sampled(CURVES[name], 3))


@pytest.mark.exhaustive
def test_the_mean_length_is_exact_between_images():
    held_to_the_exact_mean(
        di.MLP(widths=(6, 6), output_width=3), di.curves.sampled(di.curves.image_line(), 2)
    )


@pytest.mark.slow
@pytest.mark.parametrize("linear_map", ["explicit", "conditional"])
@pytest.mark.exhaustive
def test_the_mean_length_is_exact_for_orthogonal_layers_narrower_than_the_rows(linear_map):
    spec = di.MLP(widths=(4, 4, 4), weight_law=di.orthogonal(2.0))
    held_to_the_exact_mean(spec, di.curves.sampled(di.curves.circle(), 12), linear_map)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_mean_length_is_exact_for_residual_networks():
    spec = di.ResNet(width=3, depth=3, branch_width=4, bias_law=BIAS, output_width=2)
    held_to_the_exact_mean(spec, di.curves.sampled(di.curves.circle(3), 3))


def held_to_the_exact_mean(spec, inputs, linear_map="auto"):
    found = di.simulate(spec, LENGTH, inputs, num_seeds=15_000, linear_map=linear_map)
    exact, limit = di.predict(spec, LENGTH, inputs), di.infinite(spec, LENGTH, inputs)
    assert exact.name == "exact"
    assert_mean(found, exact.mean, rejects=limit.mean)
    last = found.mean[-1], found.standard_error[-1]
    assert_value(*last, exact.mean[-1], rejects=limit.mean[-1])
    assert (found.num_excluded == 0).all()  # a dead network has length 0, and counts


@pytest.mark.slow
@pytest.mark.exhaustive
def test_polygons_fall_short_of_the_same_networks_and_tangents_do_not():
    # exact lengths of the very networks: what is left is the error of the two methods alone
    spec, depth, num = di.MLP(widths=(24,) * 3), 3, 150
    curve, key = di.curves.circle(), jax.random.key(9)
    init = jax.jit(jax.vmap(lambda key: network(spec).init(key, 2)))
    parameters = init(
        jax.vmap(lambda seed: jax.random.fold_in(key, seed))(np.arange(num, dtype=np.uint32))
    )
    exact = np.array(
        [
            exact_lengths(
                layers_of(
                    spec,
                    jax.tree.map(lambda leaf, i=i: np.asarray(leaf[i], np.float64), parameters),
                ),
                curve,
                last_is_linear=False,
            ).lengths
            / curve.length
            for i in range(num)
        ]
    )
    found = {
        method: di.simulate(
            spec,
            LENGTH,
            di.curves.sampled(curve, num_nodes, method=method),
            num_seeds=num,
            key=key,
            linear_map="explicit",
            keep_samples=True,
        ).samples[:, :, 0]
        for method, num_nodes in (("polygon", 64), ("tangents", 64))
    }
    ratios = {method: samples / exact - 1 for method, samples in found.items()}
    errors = {method: ratio.std(axis=0, ddof=1) / np.sqrt(num) for method, ratio in ratios.items()}
    assert (ratios["polygon"] < 1e-5).all()
    # 2 l / (3 N), up to O(1 / width): a fifth of it is allowed; a layer fewer or more is not
    documented = 2 * np.arange(1, depth + 1) / (3 * 64)
    deficit = -ratios["polygon"].mean(axis=0)
    assert np.abs(deficit / documented - 1).max() < 0.2
    for rival in (documented[-1] * 2 / 3, documented[-1] * 4 / 3):
        assert abs(deficit[-1] - rival) > 5 * errors["polygon"][-1]
    # the tangents would have shown the polygon's bias
    assert_mean(ratios["tangents"], 0.0, rejects=deficit)
    assert_mean(ratios["tangents"][:, -1], 0.0, rejects=deficit[-1])


@pytest.mark.slow
@pytest.mark.exhaustive
def test_tanh_with_biases_is_near_infinite_width():
    widths, inputs = (
        (400, 400),
        di.curves.sampled(di.curves.line([0.5, -1.0, 0.3], [1.0, 1.5, 0.0]), 8),
    )
    spec = di.MLP(
        widths=widths, activation=di.tanh, weight_law=di.normal(1.5), bias_law=BIAS, output_width=3
    )
    frames = di.frames.at([0.5, -1.0, 0.3], [[1.0, 0.0, 0.0], [0.3, 1.0, 0.0]])
    for quantity, at in ((LENGTH, inputs), (VOLUME, frames)):
        found, limit = (
            di.simulate(spec, quantity, at, num_seeds=3000),
            di.infinite(spec, quantity, at),
        )
        # lengths relative to themselves, logarithms as they are
        unit = limit.mean[:, 0] if quantity is LENGTH else np.ones(3)
        allowed = 5 * found.standard_error[:, 0] / unit + 2 / 400  # O(depth / width)
        assert (np.abs(found.mean - limit.mean)[:, 0] / unit < allowed).all()
        assert (
            allowed.max() < 0.09
        )  # resolved: at the output 5 sqrt(0.64 / 3000) for a plane and three outputs
        other = di.MLP(widths=widths, activation=di.tanh, weight_law=di.normal(1.5), output_width=3)
        # no biases; of lengths the mean alone, whose variance takes most of the time
        rival = (
            mean_lengths(other, at.curve)
            if quantity is LENGTH
            else di.infinite(other, quantity, at).mean[:, 0]
        )
        assert (
            np.abs(found.mean[:, 0] - rival)[1] / unit[1] > allowed[1]
        )  # at the output three neurons hide it
        variances = found.variance[:, 0] / unit**2
        assert (
            abs(variances[-1] * unit[-1] ** 2 / limit.variance[-1, 0] - 1) < 0.2
        )  # the outputs' own
        assert (variances[:-1] < 0.1 * variances[-1]).all()
        assert (limit.variance[:-1] == 0).all()
