import math

import jax
import numpy as np
import pytest
from diffusion_networks import sampled, shallow
from scipy import stats
from scipy.special import roots_genlaguerre
from statistical import assert_mean, assert_variance

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.diffusions.paths import path_fn, rows_of
from deepinit.theory import diffusion as theory


def _squares(paths):
    """[num_seeds] of the first input at the horizon."""
    return np.mean(paths.states[:, -1, 0].astype(np.float64) ** 2, axis=-1)


def _euler_square_moments(q, weight_var, bias_var, width, num_steps):
    """E q, E q^2 after Euler's steps x + h, h | x of D entries N(0, s dt), phi(h) = h + O(h^3).

    s = bias_var + weight_var q.
    """
    first, second, dt = q, q * q, 1 / num_steps
    for _ in range(num_steps):
        s, qs = bias_var + weight_var * first, bias_var * first + weight_var * second
        ss = bias_var**2 + 2 * bias_var * weight_var * first + weight_var**2 * second
        first, second = (
            first + dt * s,
            second + dt * (2 + 4 / width) * qs + dt**2 * (1 + 2 / width) * ss,
        )
    return np.array([first, second])


@pytest.mark.exhaustive
def test_path_is_the_network_of_that_key_with_the_activation_cut_after_two_orders():
    spec = shallow(
        4,
        8,
        1.5,
        0.6,
        di.silu,
        inner_activation=di.tanh,
        embedding_law=di.normal(1.0),
        output_width=2,
    )
    points, key = np.random.default_rng(0).standard_normal((2, 3)), jax.random.key(5)
    paths = jax.jit(path_fn(spec, points, times=[0.0, 0.5, 1.0], form="driving"))(key)
    embedding, blocks, _ = jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64), di.network(spec).init(key, 3)
    )
    x, expected = points @ embedding["weights"].T, []
    for weights, bias in zip(blocks["inner"]["weights"], blocks["inner"]["biases"], strict=True):
        expected.append(x)
        hidden = np.tanh(x)
        variance = (0.6 + 1.5 * np.mean(hidden**2, axis=1, keepdims=True)) / 8
        x = x + 0.5 * (hidden @ weights.T + bias) + 0.25 * variance
    np.testing.assert_allclose(paths.states, [expected[0], expected[4], x], rtol=2e-5)
    np.testing.assert_allclose(paths.lifetimes, 1.0, rtol=1e-6)
    assert not paths.left.any()
    assert np.abs(x - paths.states[1]).max() > 0.1


@pytest.mark.exhaustive
def test_mean_square_has_the_exact_moments_of_euler_and_they_tend_to_those_of_the_diffusion():
    # effect: the mean of q to 1 %, its second moment to 2 %
    width, depth, start, weight_var, bias_var = 20, 32, 0.64, 0.5, 0.25
    spec = shallow(width, depth, weight_var, bias_var)
    squares = _squares(sampled(path_fn(spec, 0.8 * np.ones(width)), 6000))
    powers = np.stack([squares, squares**2], axis=1)
    exact, rival = (  # the rival has no fluctuation
        _euler_square_moments(start, weight_var, bias_var, size, depth) for size in (width, 10**9)
    )
    assert_mean(powers, exact, rejects=rival, resolves=0.05)
    assert_mean(powers[:, 1], exact[1], rejects=rival[1], resolves=0.05)
    limit = theory.mean_square_moments("tanh", width, start, weight_var, bias_var)[1:]
    one, two = (
        _euler_square_moments(start, weight_var, bias_var, width, steps) for steps in (256, 512)
    )
    # Euler's bias is of order 1 / depth, and of this law
    np.testing.assert_allclose(2 * two - one, limit, rtol=2e-5)


@pytest.mark.parametrize("width", [2, pytest.param(8, marks=pytest.mark.slow)])
@pytest.mark.slow_cases("2")
@pytest.mark.exhaustive_cases("8")
def test_log_of_the_mean_square_is_gaussian_without_biases_at_the_smallest_widths(width):
    # effect: mean and variance of log q to 5 %; a step multiplies q by
    # (1 + e z)^2 + e^2 chi^2(D - 1), e^2 = kappa dt / D
    depth, kappa = 50, 1.0
    squares = _squares(sampled(path_fn(shallow(width, depth, kappa), np.ones(width)), 4000, key=1))
    logs, step = np.log(squares), math.sqrt(kappa / depth / width)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    halves, mass = roots_genlaguerre(60, (width - 1) / 2 - 1)  # of chi^2 / 2
    values = np.log((1 + step * nodes[:, None]) ** 2 + step**2 * 2 * halves)
    weight = weights[:, None] * mass / np.sum(weights) / np.sum(mass)
    mean = np.sum(weight * values)
    variance = np.sum(weight * (values - mean) ** 2)
    # the rivals: twice the drift of 1 / width; infinite width
    assert_mean(logs, depth * mean, rejects=kappa * (1 - 1 / width))
    assert_variance(logs, depth * variance, rejects=0.0, resolves=0.2)
    exact = theory.log_mean_square_law("tanh", width, kappa)
    assert abs(depth * mean - exact.mean) < 2 * kappa**2 / depth
    assert abs(depth * variance - exact.variance) < 8 * kappa**2 / depth / width
    assert stats.kstest((logs - depth * mean) / math.sqrt(depth * variance), "norm").pvalue > 1e-6


def _correlated_moments(points, laws, num_steps):
    """E x_i [N, D] and E x_i x_j^T [N, N, D, D] after Euler's steps, phi'(0) = 1, phi''(0) = 0."""
    drift, outer, inner, bias_drift, bias = laws
    dt, mean = 1 / num_steps, points
    second = np.einsum("ia,jb->ijab", points, points)
    step = np.eye(len(drift)) + dt * drift
    for _ in range(num_steps):
        shift = dt * bias_drift
        moved = np.einsum("ac,ijcd,bd->ijab", step, second, step)
        crossed = np.einsum("a,jb->jab", shift, mean @ step.T)
        moved += crossed[None] + np.swapaxes(crossed, 1, 2)[:, None] + np.outer(shift, shift)
        noise = bias + outer * np.einsum("cd,ijcd->ij", inner, second)[:, :, None, None]
        second, mean = moved + dt * noise, mean @ step.T + shift
    return mean, second


@pytest.mark.slow
@pytest.mark.exhaustive
def test_correlated_weights_with_drift_have_the_moments_of_their_equation():
    # effect: every first and second moment of two inputs to about 2 % of their size
    rng, width, depth = np.random.default_rng(4), 3, 32
    roots = rng.standard_normal((3, width, width)) / 2
    outer, inner, bias = (root @ root.T for root in roots)
    drift, bias_drift = rng.standard_normal((width, width)) / 2, rng.standard_normal(width)
    points = rng.standard_normal((2, width))
    weight_law, bias_law = di.matrix_normal(outer, inner, drift), di.vector_normal(bias, bias_drift)
    spec = di.ResNet(width, depth, None, di.tanh, weight_law, None, bias_law, block="shallow")
    states = sampled(path_fn(spec, points), 8000, key=2).states[:, -1].astype(np.float64)
    products = np.einsum("sia,sjb->sijab", states, states)
    mean, second = _correlated_moments(points, (drift, outer, inner, bias_drift, bias), depth)
    # the rivals: no drift; the laws of rows and columns exchanged
    assert_mean(states, mean, rejects=points)
    transposed = _correlated_moments(points, (drift, inner, outer, bias_drift, bias), depth)[1]
    assert_mean(products, second, rejects=transposed)
    one, two = (
        _correlated_moments(points, (drift, outer, inner, bias_drift, bias), steps)[1]
        for steps in (512, 1024)
    )
    limit = theory.correlated_moments(
        "tanh", points, outer, inner, bias, weight_drift=drift, bias_drift=bias_drift
    )
    np.testing.assert_allclose(2 * two - one, limit.second, rtol=1e-4, atol=1e-4)


@pytest.mark.exhaustive
def test_images_have_the_overlaps_of_the_linear_recursion_over_positions():
    # effect: overlaps of position pairs to 0.03; rival: patch average instead of sum
    positions, channels, depth, weight_var, bias_var = 6, 4, 32, 0.2, 0.16
    image = np.array([1.0, 0.2, -0.5, 0.3, 0.8, -0.1])
    spec = di.ConvResNet(
        (positions,),
        channels,
        depth,
        activation=di.tanh,
        weight_law=di.normal(weight_var, "depth"),
        bias_law=di.normal(bias_var, "depth"),
    )
    states = (
        sampled(path_fn(spec, np.repeat(image, channels)), 6000, key=3)
        .states[:, -1, 0]
        .astype(np.float64)
    )
    x = states.reshape(-1, positions, channels)
    overlaps = np.einsum("spc,sqc->spq", x, x) / channels

    def expected(var):
        total = np.outer(image, image)
        for _ in range(depth):
            around = sum(np.roll(total, (shift, shift), (0, 1)) for shift in (-1, 0, 1))
            total = total + (bias_var + var * around) / depth
        return total

    assert_mean(overlaps, expected(weight_var), rejects=expected(weight_var / 3))


@pytest.mark.parametrize("form", ["gram", pytest.param("driving", marks=pytest.mark.slow)])
@pytest.mark.slow_cases("gram")
@pytest.mark.exhaustive_cases("driving")
@pytest.mark.exhaustive_cases("gram")
def test_paths_beyond_the_floats_are_counted_and_disturb_no_other(form):
    # SiLU without inner activation: from 5 nearly all paths explode, from 0 none moves
    spec = shallow(6, 100, 4.0, 0.0, di.silu)
    points = np.stack([np.zeros(6), 5.0 * np.ones(6), np.zeros(6)])
    paths = sampled(
        path_fn(spec, points, horizon=4.0, form=form, times=[1.0, 4.0], allow_explosion=True), 32
    )
    assert paths.left[:, 1].mean() > 0.8
    assert not paths.left[:, [0, 2]].any()
    np.testing.assert_array_equal(paths.states[:, :, [0, 2]], 0.0)
    np.testing.assert_array_equal(np.isfinite(paths.states[:, -1]).all(axis=-1), ~paths.left)
    np.testing.assert_allclose(paths.lifetimes[~paths.left], 4.0, rtol=1e-5)
    assert (paths.lifetimes[paths.left] < 4.0).all()
    still_there = paths.lifetimes[:, 1] > 1.01  # the step out of the floats counts as alive
    np.testing.assert_array_equal(np.isfinite(paths.states[:, 0, 1]).all(axis=-1), still_there)


def test_inputs_with_partners_and_arrays_are_read_alike():
    pair = di.inputs.from_arrays(np.array([[1.0, 2.0, 3.0]]), np.array([[0.0, 1.0, -1.0]]))
    rows = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]])
    np.testing.assert_array_equal(rows_of(pair), rows)
    np.testing.assert_array_equal(rows_of(rows), rows)
    np.testing.assert_array_equal(rows_of([1.0, 2.0]), [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"times": [0.3]}, "multiples"),
        ({"times": [1.0, 0.5]}, "increasing"),
        ({"times": [2.0]}, "horizon"),
        ({"times": ["a"]}, "times"),
        ({"horizon": 0.0}, "horizon"),
        ({"horizon": "1"}, "horizon"),
        ({"num_steps": 0}, "num_steps"),
        ({"brownian": "bridge"}, "layers, tree"),
        ({"brownian": "tree", "num_steps": 12}, "num_steps=16"),
        ({"form": "square"}, "gram"),
    ],
)
def test_bad_arguments_are_refused(more, words):
    with pytest.raises(SpecError, match=words):
        path_fn(shallow(3, 4, 1.0), np.ones(3), **more)


def test_inputs_of_another_width_are_refused():
    with pytest.raises(SpecError, match="dimension 2"):
        path_fn(shallow(3, 4, 1.0), np.ones(2))


@pytest.mark.slow
@pytest.mark.parametrize("width", [5, 20])
@pytest.mark.exhaustive
def test_first_moments_of_the_mean_square_at_200_steps(width):
    # exact laws at weight_var 1, bias_var 1/4, q = 0.64; Euler's bias is 0.25 % of the mean
    spec = shallow(width, 200, 1.0, 0.25)
    squares = _squares(sampled(path_fn(spec, 0.8 * np.ones(width)), 16000, key=4))
    exact = theory.mean_square_moments("tanh", width, 0.64, 1.0, 0.25)
    np.testing.assert_allclose(
        exact[1:], {5: [2.16927, 10.52128], 20: [2.16927, 5.76770]}[width], rtol=1e-5
    )
    halves = _euler_square_moments(0.64, 1.0, 0.25, width, 200)
    for mean in (exact[1] * (1 - 0.0025), halves[0]):
        assert_mean(squares, mean, rejects=exact[1] * 1.1, resolves=0.1)
    if width == 20:  # at width 5 no sample resolves the fourth moment
        assert_mean(squares**2, halves[1], rejects=halves[0] ** 2, resolves=0.1)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_both_forms_have_one_law_of_two_inputs_along_the_path():
    # effect: 4 % of the distribution functions of log q and of the angle between two inputs
    spec = shallow(5, 64, 1.0, 0.25, di.silu, inner_activation=di.tanh)
    points = np.stack([np.ones(5), np.arange(5.0) - 1.0])
    samples = []
    for form, key in (("gram", 11), ("driving", 12)):
        states = sampled(
            path_fn(spec, points, form=form, times=[0.5, 1.0]), 5000, key=key
        ).states.astype(np.float64)
        inner = np.sum(states[:, :, 0] * states[:, :, 1], axis=-1)
        norms = np.sum(states**2, axis=-1)
        samples.append(
            [
                np.log(norms[:, 1, 0]),
                np.log(norms[:, 0, 1]),
                inner[:, 1] / np.sqrt(np.prod(norms[:, 1], axis=1)),
            ]
        )
    for first, second in zip(*samples, strict=True):
        assert stats.ks_2samp(first, second).pvalue > 1e-6
        assert stats.ks_2samp(first, second + 0.25 * second.std()).pvalue < 1e-6
