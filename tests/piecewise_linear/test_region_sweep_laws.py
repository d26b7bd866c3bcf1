"""Exact lengths averaged over random networks, of a spec's parameters; bad input."""

import math

import jax
import numpy as np
import pytest
import scipy.stats
import sweep_networks
from statistical import assert_mean

import deepinit as di
from deepinit.core.curves import Curve, circle, line
from deepinit.core.errors import SpecError
from deepinit.networks.network import network
from deepinit.piecewise_linear.pieces import pieces_of
from deepinit.piecewise_linear.region_sweep import exact_lengths, sweep
from deepinit.piecewise_linear.relu_layers import layers_of

random_net, segment, states_at = (
    sweep_networks.random_net,
    sweep_networks.segment,
    sweep_networks.states_at,
)

TURN = 2.0 * math.pi


def mean_of_root(n):
    """E sqrt(X_n) with X_n = (2/n) chi^2_K, K ~ Binomial(n, 1/2)."""
    k = np.arange(1, n + 1)
    return (
        2
        / math.sqrt(n)
        * np.sum(
            scipy.stats.binom.pmf(k, n, 0.5)
            * np.exp(scipy.special.gammaln((k + 1) / 2) - scipy.special.gammaln(k / 2))
        )
    )


def output_mean(n):
    return math.sqrt(2 / n) * math.exp(math.lgamma((n + 1) / 2) - math.lgamma(n / 2))


@pytest.mark.parametrize(
    ("widths", "curve", "bias_std"),
    [
        ((2, 6, 6, 5), circle(), 0.0),
        ((3, 7, 9, 4), Curve("line", np.array([[0.5, 0, 0], [-1, 1, 1]]), 0.0, 3.0, "line"), 0.7),
    ],
    ids=["circle", "line with biases"],
)
@pytest.mark.slow_cases("line with biases")
@pytest.mark.exhaustive_cases("circle")
def test_mean_length_is_exact_at_finite_width(widths, curve, bias_std):
    num_nets = 2000
    rng = np.random.default_rng(2022)
    measured = np.array(
        [exact_lengths(random_net(rng, widths, bias_std), curve).lengths for _ in range(num_nets)]
    )
    measured /= curve.length * np.sqrt(np.array(widths[1:]) / widths[0])
    factors = [mean_of_root(n) for n in widths[1:-1]] + [output_mean(widths[-1])]
    error = measured.std(axis=0, ddof=1) / math.sqrt(num_nets)
    exact = np.cumprod(factors)
    # 5 s.e. are less than two thirds of what the rival is off
    assert (8 * error < 1.0 - exact).all()
    for layer, mean in enumerate(exact):
        # the rival: infinite width, where the mean is preserved
        assert_mean(measured[:, layer], mean, rejects=1.0, resolves=0.08)


@pytest.mark.parametrize("curve", [circle(), segment(2, -2.0, 2.0)], ids=lambda curve: curve.kind)
@pytest.mark.slow_cases("line")
@pytest.mark.exhaustive_cases("circle")
@pytest.mark.exhaustive_cases("line")
def test_expected_breakpoints_given_the_first_layers(curve):
    rng = np.random.default_rng(5)
    first = random_net(rng, (2, 8, 6), bias_std=0.4)
    *_, (image, _) = sweep(first, curve, last_is_linear=False)
    num_nets, width, bias_std = 2000, 5, 0.7
    layers = (random_net(rng, (6, width, 1), bias_std)[0] for _ in range(num_nets))
    counts = np.array(
        [list(sweep([*first, layer], curve, last_is_linear=False))[-1][1] for layer in layers]
    )
    expected = sweep_networks.expected_breakpoints(image, width, 2.0, bias_std)
    # the rivals: no biases; LeCun's variance
    for rival in ((2.0,), (1.0, bias_std)):
        other = sweep_networks.expected_breakpoints(image, width, *rival)
        assert_mean(counts, expected, rejects=other, resolves=0.1)


def test_expected_breakpoints_in_closed_form():
    quarter = line([1.0, 0.0], [0.0, 1.0])
    assert sweep_networks.expected_breakpoints(pieces_of(quarter), 6, 2.0) == pytest.approx(
        3.0, rel=1e-14
    )
    through_0 = line([1.0, -0.5], [-2.0, 1.0])
    assert sweep_networks.expected_breakpoints(pieces_of(through_0), 6, 2.0) == pytest.approx(
        6.0, rel=1e-14
    )
    ray = line([1.0, -0.5], [2.0, -1.0])
    assert sweep_networks.expected_breakpoints(pieces_of(ray), 6, 2.0) == pytest.approx(
        0.0, abs=1e-14
    )
    # seen from 0, a circle of radius 1 about a point at distance 2 spans 60 degrees, there and back
    far = Curve("circle", np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0.0, TURN, "far")
    assert sweep_networks.expected_breakpoints(pieces_of(far), 6, 2.0) == pytest.approx(
        4.0, rel=1e-11
    )
    # biases lift the circle to a parallel of length 2 pi r / sqrt(r^2 + beta^2), r^2 = v / fan_in
    lifted = sweep_networks.expected_breakpoints(pieces_of(circle(3)), 6, 2.0, 0.5)
    assert lifted == pytest.approx(12 * math.sqrt(2 / 3) / math.sqrt(2 / 3 + 0.25), rel=1e-11)
    biases_alone = sweep_networks.expected_breakpoints(pieces_of(circle(3)), 6, 0.0, 0.5)
    assert biases_alone == 0.0


@pytest.mark.parametrize(
    "spec",
    [
        di.MLP(widths=(5, 5, 5, 4), bias_law=di.normal(0.2, "absolute"), output_width=3),
        di.MLP(widths=(6,), activation=di.leaky_relu(0.1)),
        di.ResNet(width=2, depth=3, branch_width=4, bias_law=di.normal(0.2, "absolute")),
    ],
)
@pytest.mark.slow_cases("spec1", "spec2")
@pytest.mark.exhaustive_cases("spec0")
def test_layers_of_a_spec_are_its_network(spec):
    net = network(spec)
    parameters = jax.jit(lambda key: net.init(key, 2))(jax.random.key(0))
    layers = layers_of(spec, parameters)
    slope, last_is_linear = spec.activation.slopes[0], spec.output_width is not None
    t = np.array([0.1, 2.0, 4.5])
    images, _, _ = states_at(layers, circle(), t, slope, last_is_linear)
    by_jax = jax.jit(jax.vmap(lambda x: net.apply(parameters, x)))(
        circle().points(t).astype(np.float32)
    )
    np.testing.assert_allclose(images[-1], by_jax, rtol=1e-5, atol=1e-6)
    result = exact_lengths(layers, circle(), negative_slope=slope, last_is_linear=last_is_linear)
    assert len(result.lengths) == len(layers) == spec.depth + last_is_linear


@pytest.mark.slow
def test_layers_of_refuses_other_activations_and_other_parameters():
    spec = di.MLP(widths=(4, 4))
    parameters = network(spec).init(jax.random.key(0), 2)
    assert len(layers_of(spec, parameters)) == 2
    with pytest.raises(SpecError, match="tanh"):
        layers_of(di.MLP(widths=(4, 4), activation=di.tanh), parameters)
    for wrong in (None, (), parameters * 2, [1.0], ({"inner": {"biases": 0}},)):
        with pytest.raises(SpecError, match="parameters of"):
            layers_of(spec, wrong)
    with pytest.raises(SpecError, match="parameters of"):
        layers_of(di.MLP(widths=(4, 4), output_width=2), parameters)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "sequence"),
        (np.eye(2), "sequence"),
        ([np.eye(2)], "layer 1"),
        ([(np.eye(3), None)], r"layer 1 .*\[fan_out, 2\]"),
        ([(np.ones((3, 2)), None), (np.ones((3, 2)), None)], r"layer 2 .*\[fan_out, 3\]"),
        ([(np.ones((3, 2)), np.zeros(2))], "layer 1"),
        ([(np.ones(2), None)], "layer 1"),
        ([(1.0, None)], "layer 1"),
        ([(np.ones((0, 2)), None)], "layer 1"),
        ([(np.full((3, 2), np.nan), None)], "not finite"),
        ([(np.ones((3, 2)), np.full(3, np.inf))], "not finite"),
        ([(np.ones((3, 2)), None, np.ones((3, 2)))], "V of layer 1"),
        ([([["a", "b"]], None)], "real numbers"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layers, message):
    with pytest.raises(SpecError, match=message):
        exact_lengths(layers, circle())


def test_other_arguments_that_cannot_be_carried_out_are_refused():
    layers = [(np.eye(2), None)]
    for slope in (math.nan, math.inf, "relu", None, np.tanh):
        with pytest.raises(SpecError, match="negative_slope"):
            exact_lengths(layers, circle(), negative_slope=slope)
    twice = Curve("circle", circle().coefficients, 0.0, 2 * TURN, "twice")
    with pytest.raises(SpecError, match="one full turn"):
        exact_lengths(layers, twice)
