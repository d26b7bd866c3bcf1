"""Exact lengths by the region sweep: against brute force, in closed form, under symmetries, and in the mean."""

import itertools
import math

import jax
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

import deepinit as di
from deepinit.core.curves import Curve, circle, line
from deepinit.core.errors import SpecError
from deepinit.networks.network import network
from deepinit.observables import pieces as pieces_module
from deepinit.observables.pieces import pieces_of
from deepinit.observables.region_sweep import exact_lengths, expected_breakpoints, sweep
from deepinit.observables.relu_layers import checked_layers, layers_of

TURN = 2.0 * math.pi


def deterministic_net(widths=(2, 4, 4, 3)):
    layers = []
    for number in range(1, len(widths)):
        i, j = np.arange(1, widths[number] + 1)[:, None], np.arange(1, widths[number - 1] + 1)[None]
        variance = 1.0 if number == len(widths) - 1 else 2.0
        weights = np.sqrt(2 * variance / widths[number - 1]) * np.cos(1.7 * i * j + 0.9 * number + 0.31 * i**2)
        layers.append((weights, 0.5 * np.sin(2.3 * i[:, 0] + 1.1 * number)))
    return layers


def random_net(rng, widths, bias_std=0.0, out_var=1.0):
    layers = []
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
        variance = out_var if number == len(widths) - 1 else 2.0
        weights = rng.normal(size=(fan_out, fan_in)) * math.sqrt(variance / fan_in)
        layers.append((weights, bias_std * rng.normal(size=fan_out) if bias_std else None))
    return layers


def arc(dimension, start, stop, rng=None):
    """A circle about a point off the origin, in a plane in general position."""
    rng = np.random.default_rng(3) if rng is None else rng
    plane = np.linalg.qr(rng.normal(size=(dimension, 2)))[0].T
    return Curve("circle", np.stack([0.4 * rng.normal(size=dimension), *plane]), start, stop, "arc")


def segment(dimension, start, stop):
    point, velocity = np.random.default_rng(4).normal(size=(2, dimension))
    return Curve("line", np.stack([point, velocity]), start, stop, "segment")


def states_at(layers, curve, t, slope=0.0, last_is_linear=True):
    """Images, velocities and preactivations at the parameters t, without any coefficients: the brute force."""
    x, v = curve.points(t), curve.tangents(t) * np.ones((len(t), 1))
    images, velocities, preactivations = [], [], []
    for layer in checked_layers(layers, curve.dimension, last_is_linear):
        z, dz = x @ layer.weights.T + layer.biases, v @ layer.weights.T
        if not layer.is_linear:
            preactivations.append(z)
            z, dz = np.where(z > 0, z, slope * z), np.where(z > 0, dz, slope * dz)
        if layer.out_weights is not None:
            z, dz = x + z @ layer.out_weights.T, v + dz @ layer.out_weights.T
        x, v = z, dz
        images.append(x)
        velocities.append(v)
    return images, velocities, preactivations


def brute_force(layers, curve, slope=0.0, last_is_linear=True, num_scanned=40_001):
    """Lengths by adaptive quadrature between the sign changes and speed minima that a fine scan finds."""
    scanned = np.linspace(curve.start, curve.stop, num_scanned)
    _, velocities, preactivations = states_at(layers, curve, scanned, slope, last_is_linear)
    edges = {curve.start, curve.stop}
    for number, z in enumerate(preactivations):
        for step, unit in zip(*np.nonzero((z[1:] > 0) != (z[:-1] > 0)), strict=True):

            def at(t, number=number, unit=unit):
                return states_at(layers, curve, np.array([t]), slope, last_is_linear)[2][number][0, unit]

            if at(scanned[step]) * at(scanned[step + 1]) < 0:
                edges.add(scipy.optimize.brentq(at, scanned[step], scanned[step + 1], xtol=1e-15))
    lengths = []
    for number, velocity in enumerate(velocities):

        def speed(t, number=number):
            return np.linalg.norm(states_at(layers, curve, np.array([t]), slope, last_is_linear)[1][number])

        # the speed may have a kink of its own where the velocity passes 0: a sharp minimum
        v = np.linalg.norm(velocity, axis=1)
        sharp = np.flatnonzero((v[1:-1] < v[:-2]) & (v[1:-1] <= v[2:]) & (v[1:-1] < 0.02 * v.max())) + 1
        minima = [
            scipy.optimize.minimize_scalar(
                speed, bounds=scanned[[k - 1, k + 1]], method="bounded", options={"xatol": 1e-12}
            ).x
            for k in sharp
        ]
        ends = np.array(sorted(edges | set(minima)))
        lengths.append(
            sum(
                scipy.integrate.quad(speed, a, b, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
                for a, b in itertools.pairwise(ends)
            )
        )
    return np.array(lengths), len(edges) - 2


# --- the deterministic network -------------------------------------------------------------------------------------------


def test_line_through_the_deterministic_net():
    velocity = np.array([-1.0, 1.0]) / math.sqrt(2.0)
    curve = Curve("line", np.stack([[0.5, 0.0], velocity]), 0.0, 3.0, "line")
    result = exact_lengths(deterministic_net(), curve)
    assert result.lengths[-1] == pytest.approx(4.497991274813543, rel=1e-13)
    assert result.breakpoints.tolist() == [4, 4, 0]
    assert result.pieces.tolist() == [5, 9, 9]


def test_circle_through_the_deterministic_net_has_a_kink_that_fixed_nodes_miss():
    result = exact_lengths(deterministic_net(), circle())
    lengths, num_edges = brute_force(deterministic_net(), circle())
    assert result.breakpoints.sum() == num_edges == 16
    np.testing.assert_allclose(result.lengths, lengths, rtol=1e-11)
    assert result.lengths[-1] == pytest.approx(6.451053148102507, rel=1e-13)
    # Where one unit alone is active the image runs along a segment and turns back: 16 Gauss-Legendre nodes on steps of 0.05
    # give 6.451052058324294.
    *_, (image, _) = sweep(deterministic_net(), circle())
    nodes, weights = np.polynomial.legendre.leggauss(16)
    fixed = 0.0
    for left, right, coefficients in zip(image.edges[:-1], image.edges[1:], image.coefficients, strict=True):
        ends = np.linspace(left, right, math.ceil((right - left) / 0.05) + 1)
        half = 0.5 * np.diff(ends)[:, None]
        t = ends[:-1, None] + half * (1.0 + nodes)
        velocity = pieces_module.basis_derivative("circle", t) @ coefficients
        fixed += (half * weights * np.linalg.norm(velocity, axis=-1)).sum()
    assert fixed == pytest.approx(6.451052058324294, rel=1e-13)
    assert abs(fixed - lengths[-1]) > 1e-6


# --- brute force on random networks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "curve", "slope", "last_is_linear"),
    [
        ((2, 3, 2, 4), circle(), 0.0, True),
        ((3, 5, 8, 2, 3), arc(3, 0.7, 5.9), 0.0, True),
        ((3, 5, 4, 2), arc(3, -9.0, -9.0 + TURN), 0.3, True),
        ((4, 6, 2, 3), segment(4, -2.0, 3.0), 0.0, False),
        ((2, 8, 8), segment(2, -2.0, 3.0), -1.0, False),
        ((2, 2, 2, 2), arc(2, 0.0, TURN), 0.0, True),
    ],
)
def test_lengths_and_breakpoints_agree_with_brute_force(widths, curve, slope, last_is_linear):
    layers = random_net(np.random.default_rng(11), widths, bias_std=0.6)
    result = exact_lengths(layers, curve, negative_slope=slope, last_is_linear=last_is_linear)
    lengths, num_edges = brute_force(layers, curve, slope, last_is_linear, num_scanned=8001)
    np.testing.assert_allclose(result.lengths, lengths, rtol=1e-9)
    assert result.breakpoints.sum() == num_edges > 2
    assert result.pieces[-1] == num_edges + 1


def test_residual_blocks_agree_with_brute_force():
    rng = np.random.default_rng(12)
    layers = [
        (rng.normal(size=(5, 3)), rng.normal(size=5)),
        *[(rng.normal(size=(4, 5)), 0.3 * rng.normal(size=4), 0.5 * rng.normal(size=(5, 4))) for _ in range(2)],
        (rng.normal(size=(2, 5)), None),
    ]
    for curve in (arc(3, 0.0, TURN), segment(3, -2.0, 3.0)):
        result = exact_lengths(layers, curve)
        lengths, num_edges = brute_force(layers, curve, num_scanned=8001)
        np.testing.assert_allclose(result.lengths, lengths, rtol=1e-9)
        assert result.breakpoints.sum() == num_edges
        assert result.breakpoints[1] > 0


# --- symmetries ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("curve", [segment(3, -1.0, 2.0), arc(3, 0.3, 0.3 + TURN)], ids=lambda curve: curve.kind)
def test_lengths_of_parts_add_up_to_the_whole(curve, seed):
    rng = np.random.default_rng(seed)
    layers = random_net(rng, (3, *rng.integers(2, 9, size=3), 4), bias_std=0.5)
    middle = rng.uniform(curve.start, curve.stop)
    parts = [
        exact_lengths(layers, Curve(curve.kind, curve.coefficients, *ends, "part"))
        for ends in ((curve.start, middle), (middle, curve.stop))
    ]
    whole = exact_lengths(layers, curve)
    np.testing.assert_allclose(parts[0].lengths + parts[1].lengths, whole.lengths, rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(parts[0].breakpoints + parts[1].breakpoints, whole.breakpoints)


@pytest.mark.parametrize("seed", range(4))
def test_reversed_curves_and_turned_circles_have_the_same_lengths(seed):
    rng = np.random.default_rng(seed)
    layers = random_net(rng, (3, 7, 4, 6, 4), bias_std=0.5)
    curve = arc(3, 0.0, TURN, rng)
    centre, first, second = curve.coefficients
    turn = rng.uniform(0, TURN)
    turned = [math.cos(turn) * first + math.sin(turn) * second, math.cos(turn) * second - math.sin(turn) * first]
    point, velocity = rng.normal(size=(2, 3))
    start, stop = -1.0, 2.0
    for one, other in [
        (curve, Curve("circle", np.stack([centre, first, -second]), 0.0, TURN, "reversed")),
        (curve, Curve("circle", np.stack([centre, *turned]), 0.0, TURN, "turned")),
        (curve, Curve("circle", curve.coefficients, 40.0, 40.0 + TURN, "begun elsewhere")),
        (
            Curve("line", np.stack([point, velocity]), start, stop, "line"),
            Curve("line", np.stack([point, -velocity]), -stop, -start, "reversed"),
        ),
        (
            Curve("line", np.stack([point, velocity]), start, stop, "line"),
            line(point + start * velocity, point + stop * velocity),
        ),
    ]:
        expected, result = exact_lengths(layers, one), exact_lengths(layers, other)
        np.testing.assert_allclose(result.lengths, expected.lengths, rtol=1e-12)
        np.testing.assert_array_equal(result.breakpoints, expected.breakpoints)


def test_rotated_inputs_permuted_units_and_scaled_weights():
    rng = np.random.default_rng(7)
    layers, curve = random_net(rng, (3, 6, 5, 4), bias_std=0.5), arc(3, 0.2, 4.0, rng)
    expected = exact_lengths(layers, curve)
    rotation, order = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.permutation(6)
    rotated = Curve("circle", curve.coefficients @ rotation.T, curve.start, curve.stop, "rotated")
    (w1, b1), (w2, b2), last = layers
    # a ReLU unit scaled up and its outgoing weights scaled down is the same unit
    changed = [(2.5 * (w1 @ rotation.T)[order], 2.5 * b1[order]), (w2[:, order] / 2.5, b2), last]
    result = exact_lengths(changed, rotated)
    np.testing.assert_allclose(result.lengths, expected.lengths * [2.5, 1, 1], rtol=1e-12)
    np.testing.assert_array_equal(result.breakpoints, expected.breakpoints)


# --- zeros that are not in general position ------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 3, 12])
@pytest.mark.parametrize("share", [0.5, 0.3, 0.9999, 1e-7])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_line_through_0_without_biases_is_two_rays(depth, share, slope):
    rng = np.random.default_rng(depth)
    layers = random_net(rng, (3, *(9,) * depth, 4))
    direction = rng.normal(size=3)
    curve = line(-share * direction, (1 - share) * direction)
    result = exact_lengths(layers, curve, negative_slope=slope)
    ends = np.array([curve.start, curve.stop])
    images, _, _ = states_at(layers, curve, ends, slope)
    np.testing.assert_allclose(result.lengths, [np.linalg.norm(image, axis=1).sum() for image in images], rtol=1e-12)
    assert result.breakpoints.tolist() == [1] + [0] * depth
    assert result.pieces.tolist() == [2] * (depth + 1)


def test_circle_that_passes_0_without_biases():
    # x = (1 + cos t, sin t): all units vanish at t = pi, and once more where the circle meets their lines
    layers = random_net(np.random.default_rng(0), (2, 7, 5, 3))
    curve = Curve("circle", np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0.0, TURN, "through 0")
    result = exact_lengths(layers, curve)
    lengths, _ = brute_force(layers, curve, num_scanned=8001)
    np.testing.assert_allclose(result.lengths, lengths, rtol=1e-9)
    assert result.breakpoints[0] == 7 + 1


@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_first_layer_without_biases_breaks_a_full_circle_twice_a_unit(width):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        curve = circle(2) if seed < 3 else Curve("circle", circle(2).coefficients, 1.3, 1.3 + TURN, "begun elsewhere")
        result = exact_lengths(random_net(rng, (2, width, 3)), curve)
        assert result.breakpoints[0] == 2 * width
        assert expected_breakpoints(pieces_of(curve), width, 2.0) == pytest.approx(2 * width, rel=1e-12)


def test_switch_at_the_seam_of_a_circle_is_counted_once():
    # z = sin t vanishes at 0 = 2 pi and at pi; the other unit, cos t, in between
    layers = [(np.array([[0.0, 1.0], [1.0, 0.0]]), None), (np.eye(2), None), (np.eye(2), None)]
    result = exact_lengths(layers, circle())
    np.testing.assert_allclose(result.lengths, math.pi / 2 + 1 + 1, rtol=1e-14)
    assert result.breakpoints.tolist() == [4, 0, 0]
    assert result.pieces.tolist() == [4, 4, 4]
    half_turn = Curve("circle", circle().coefficients, 0.0, math.pi, "half")
    assert exact_lengths(layers, half_turn).breakpoints.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("bias", "length"), [(1.0, 4.0), (-1.0, 0.0), (1.0 - 1e-9, 4.0), (-1.0 + 1e-9, 2e-9), (0.0, 2.0)]
)
def test_circle_that_touches_a_units_boundary(bias, length):
    # z = cos t + bias, once from above, once from below, and just across; a second unit that never vanishes
    layers = [([[1.0, 0.0]], [bias]), ([[1.0]], [0.0]), ([[1.0]], [0.5]), ([[-3.0]], None)]
    result = exact_lengths(layers, circle())
    np.testing.assert_allclose(result.lengths, length * np.array([1, 1, 1, 3]), rtol=1e-8, atol=1e-15)
    assert result.breakpoints.tolist() == [0 if abs(bias) == 1.0 else 2, 0, 0, 0]


def test_chains_of_one_unit_pass_their_zeros_on():
    layers = [([[0.3, -1.2]], None), *[([[1.7]], None)] * 6]
    result = exact_lengths(layers, circle())
    amplitude = math.hypot(0.3, 1.2)
    np.testing.assert_allclose(result.lengths, 2 * amplitude * 1.7 ** np.arange(7.0), rtol=1e-13)
    assert result.breakpoints.tolist() == [2, 0, 0, 0, 0, 0, 0]


def test_parallel_and_equal_units():
    direction = np.array([1.0, -2.0, 0.5])
    rows = np.array([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [4.0, 2.0, 0.0], [1.0, 0.0, 0.0], [2.0, 1.0, 0.0]])
    biases = np.array([0.3, 0.3, 0.6, -0.1, -0.4])
    # the rows (2, 1, 0) are orthogonal to the velocity: constant along the line, on with bias 0.3 and off with -0.4
    curve = Curve("line", np.stack([np.zeros(3), direction]), -1.0, 1.0, "line")
    result = exact_lengths([(rows, biases)], curve, last_is_linear=False)
    assert result.breakpoints.tolist() == [1]
    assert result.lengths[0] == pytest.approx(0.9, rel=1e-14)
    # equal units switch at one point
    equal = exact_lengths(
        [(np.tile([[0.37, 1.9]], (6, 1)) * np.arange(1, 7)[:, None], None)], circle(), last_is_linear=False
    )
    assert equal.breakpoints.tolist() == [2]


def test_units_that_vanish_up_to_rounding_create_nothing():
    rng = np.random.default_rng(1)
    point, velocity, third = np.linalg.qr(rng.normal(size=(3, 3)))[0].T
    curve = Curve("line", np.stack([point, velocity]), -1.0, 1.0, "line")
    weights = np.stack([third, 2 * third, velocity])
    result = exact_lengths([(weights, None), (np.ones((4, 3)), None)], curve, last_is_linear=False)
    assert result.breakpoints.tolist() == [1, 0]
    np.testing.assert_allclose(result.lengths, [1.0, 2.0], rtol=1e-13)
    # with nothing else in the layer, rounding alone goes on, and must not
    for seed in range(5):
        layers = [(np.stack([third, -third]), None), *random_net(np.random.default_rng(seed), (2, 6, 6, 3))]
        result = exact_lengths(layers, curve)
        assert result.lengths.tolist() == [0, 0, 0, 0]
        assert result.breakpoints.tolist() == [0, 0, 0, 0]


def test_dead_networks_have_length_0():
    rng = np.random.default_rng(2)
    layers = [(rng.normal(size=(4, 2)), np.full(4, -20.0)), *random_net(rng, (4, 5, 3))]
    biased = [*layers[:1], *random_net(rng, (4, 5, 3), bias_std=1.0)]
    for curve in (circle(), line([-1.0, 0.3], [2.0, 1.0])):
        for net in (layers, biased):
            result = exact_lengths(net, curve)
            assert result.lengths.tolist() == [0, 0, 0]
            assert result.breakpoints.tolist() == [0, 0, 0]


def test_lengths_do_not_depend_on_the_scale_of_the_weights():
    layers = random_net(np.random.default_rng(3), (2, 5, 4, 3))
    expected = exact_lengths(layers, circle()).lengths
    for scale in (1e-60, 1e60):
        scaled = exact_lengths([(scale * weights, None) for weights, _ in layers], circle())
        np.testing.assert_allclose(scaled.lengths, expected * scale ** np.arange(1.0, 4.0), rtol=1e-12)


# --- laws ----------------------------------------------------------------------------------------------------------------


def mean_of_root(n):
    """E sqrt(X_n) with X_n = (2/n) chi^2_K, K ~ Binomial(n, 1/2)."""
    k = np.arange(1, n + 1)
    return (
        2
        / math.sqrt(n)
        * np.sum(
            scipy.stats.binom.pmf(k, n, 0.5) * np.exp(scipy.special.gammaln((k + 1) / 2) - scipy.special.gammaln(k / 2))
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
def test_mean_length_is_exact_at_finite_width(widths, curve, bias_std):
    num_nets = 2000
    rng = np.random.default_rng(2022)
    measured = np.array([exact_lengths(random_net(rng, widths, bias_std), curve).lengths for _ in range(num_nets)])
    measured /= curve.length * np.sqrt(np.array(widths[1:]) / widths[0])
    factors = [mean_of_root(n) for n in widths[1:-1]] + [output_mean(widths[-1])]
    error = measured.std(axis=0, ddof=1) / math.sqrt(num_nets)
    exact = np.cumprod(factors)
    assert (8 * error < 1.0 - exact).all()  # 5 s.e. are less than two thirds of what the rival is off
    assert np.abs((measured.mean(axis=0) - exact) / error).max() < 5
    # the rival: infinite width, where the mean is preserved
    assert np.abs((measured.mean(axis=0) - 1.0) / error).min() > 5


@pytest.mark.parametrize("curve", [circle(), segment(2, -2.0, 2.0)], ids=lambda curve: curve.kind)
def test_expected_breakpoints_given_the_first_layers(curve):
    rng = np.random.default_rng(5)
    first = random_net(rng, (2, 8, 6), bias_std=0.4)
    *_, (image, _) = sweep(first, curve, last_is_linear=False)
    num_nets, width, bias_std = 2000, 5, 0.7
    layers = (random_net(rng, (6, width, 1), bias_std)[0] for _ in range(num_nets))
    counts = np.array([list(sweep([*first, layer], curve, last_is_linear=False))[-1][1] for layer in layers])
    error = counts.std(ddof=1) / math.sqrt(num_nets)
    expected = expected_breakpoints(image, width, 2.0, bias_std)
    assert abs(counts.mean() - expected) < 5 * error < 0.1 * expected
    # the rivals: no biases; LeCun's variance
    assert abs(counts.mean() - expected_breakpoints(image, width, 2.0)) > 5 * error
    assert abs(counts.mean() - expected_breakpoints(image, width, 1.0, bias_std)) > 5 * error


def test_expected_breakpoints_in_closed_form():
    quarter = line([1.0, 0.0], [0.0, 1.0])
    assert expected_breakpoints(pieces_of(quarter), 6, 2.0) == pytest.approx(3.0, rel=1e-14)
    through_0 = line([1.0, -0.5], [-2.0, 1.0])
    assert expected_breakpoints(pieces_of(through_0), 6, 2.0) == pytest.approx(6.0, rel=1e-14)
    ray = line([1.0, -0.5], [2.0, -1.0])
    assert expected_breakpoints(pieces_of(ray), 6, 2.0) == pytest.approx(0.0, abs=1e-14)
    # seen from 0, a circle of radius 1 about a point at distance 2 spans 60 degrees, there and back
    far = Curve("circle", np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0.0, TURN, "far")
    assert expected_breakpoints(pieces_of(far), 6, 2.0) == pytest.approx(4.0, rel=1e-11)
    # biases lift the circle to a parallel of the sphere: 2 pi r / sqrt(r^2 + beta^2), r^2 = v / fan_in
    lifted = expected_breakpoints(pieces_of(circle(3)), 6, 2.0, 0.5)
    assert lifted == pytest.approx(12 * math.sqrt(2 / 3) / math.sqrt(2 / 3 + 0.25), rel=1e-11)
    biases_alone = expected_breakpoints(pieces_of(circle(3)), 6, 0.0, 0.5)
    assert biases_alone == 0.0


# --- a spec's parameters -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        di.MLP(widths=(5, 5, 5, 4), bias_law=di.normal(0.2, "absolute"), output_width=3),
        di.MLP(widths=(6,), activation=di.leaky_relu(0.1)),
        di.ResNet(width=2, depth=3, branch_width=4, bias_law=di.normal(0.2, "absolute")),
    ],
)
def test_layers_of_a_spec_are_its_network(spec):
    net = network(spec)
    parameters = net.init(jax.random.key(0), 2)
    layers = layers_of(spec, parameters)
    slope, last_is_linear = spec.activation.slopes[0], spec.output_width is not None
    t = np.array([0.1, 2.0, 4.5])
    images, _, _ = states_at(layers, circle(), t, slope, last_is_linear)
    by_jax = jax.vmap(lambda x: net.apply(parameters, x))(circle().points(t).astype(np.float32))
    np.testing.assert_allclose(images[-1], by_jax, rtol=1e-5, atol=1e-6)
    result = exact_lengths(layers, circle(), negative_slope=slope, last_is_linear=last_is_linear)
    assert len(result.lengths) == len(layers) == spec.depth + last_is_linear


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


# --- refusals ------------------------------------------------------------------------------------------------------------


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
        ([(np.ones((3, 2)), None, np.ones((3, 2)))], "residual"),
        ([([["a", "b"]], None)], "no numbers"),
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
    with pytest.raises(SpecError, match="fan_out"):
        expected_breakpoints(pieces_of(circle()), 0, 2.0)
    with pytest.raises(SpecError, match="weight_var"):
        expected_breakpoints(pieces_of(circle()), 3, -1.0)
    with pytest.raises(SpecError, match="bias_std"):
        expected_breakpoints(pieces_of(circle()), 3, 2.0, math.nan)
