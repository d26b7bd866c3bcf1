"""Exact lengths by the region sweep: against brute force, and under symmetries."""

import math

import numpy as np
import pytest
import sweep_networks

from deepinit.core.curves import Curve, circle, line
from deepinit.piecewise_linear import pieces as pieces_module
from deepinit.piecewise_linear.region_sweep import exact_lengths, sweep

arc, brute_force, random_net, segment, states_at = (
    sweep_networks.arc,
    sweep_networks.brute_force,
    sweep_networks.random_net,
    sweep_networks.segment,
    sweep_networks.states_at,
)

TURN = 2.0 * math.pi


def deterministic_net(widths=(2, 4, 4, 3)):
    layers = []
    for number in range(1, len(widths)):
        i, j = np.arange(1, widths[number] + 1)[:, None], np.arange(1, widths[number - 1] + 1)[None]
        variance = 1.0 if number == len(widths) - 1 else 2.0
        weights = np.sqrt(2 * variance / widths[number - 1]) * np.cos(
            1.7 * i * j + 0.9 * number + 0.31 * i**2
        )
        layers.append((weights, 0.5 * np.sin(2.3 * i[:, 0] + 1.1 * number)))
    return layers


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
    # with one active unit the image runs along a segment and back: 16 nodes on steps of 0.05
    # give 6.451052058324294.
    *_, (image, _) = sweep(deterministic_net(), circle())
    nodes, weights = np.polynomial.legendre.leggauss(16)
    fixed = 0.0
    for left, right, coefficients in zip(
        image.edges[:-1], image.edges[1:], image.coefficients, strict=True
    ):
        ends = np.linspace(left, right, math.ceil((right - left) / 0.05) + 1)
        half = 0.5 * np.diff(ends)[:, None]
        t = ends[:-1, None] + half * (1.0 + nodes)
        velocity = pieces_module.basis_derivative("circle", t) @ coefficients
        fixed += (half * weights * np.linalg.norm(velocity, axis=-1)).sum()
    assert fixed == pytest.approx(6.451052058324294, rel=1e-13)
    assert abs(fixed - lengths[-1]) > 1e-6


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
        *[
            (rng.normal(size=(4, 5)), 0.3 * rng.normal(size=4), 0.5 * rng.normal(size=(5, 4)))
            for _ in range(2)
        ],
        (rng.normal(size=(2, 5)), None),
    ]
    for curve in (arc(3, 0.0, TURN), segment(3, -2.0, 3.0)):
        result = exact_lengths(layers, curve)
        lengths, num_edges = brute_force(layers, curve, num_scanned=8001)
        np.testing.assert_allclose(result.lengths, lengths, rtol=1e-9)
        assert result.breakpoints.sum() == num_edges
        assert result.breakpoints[1] > 0


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "curve", [segment(3, -1.0, 2.0), arc(3, 0.3, 0.3 + TURN)], ids=lambda curve: curve.kind
)
def test_lengths_of_parts_add_up_to_the_whole(curve, seed):
    rng = np.random.default_rng(seed)
    layers = random_net(rng, (3, *rng.integers(2, 9, size=3), 4), bias_std=0.5)
    middle = rng.uniform(curve.start, curve.stop)
    parts = [
        exact_lengths(layers, Curve(curve.kind, curve.coefficients, *ends, "part"))
        for ends in ((curve.start, middle), (middle, curve.stop))
    ]
    whole = exact_lengths(layers, curve)
    np.testing.assert_allclose(
        parts[0].lengths + parts[1].lengths, whole.lengths, rtol=1e-12, atol=1e-13
    )
    np.testing.assert_array_equal(parts[0].breakpoints + parts[1].breakpoints, whole.breakpoints)


@pytest.mark.parametrize("seed", range(4))
def test_reversed_curves_and_turned_circles_have_the_same_lengths(seed):
    rng = np.random.default_rng(seed)
    layers = random_net(rng, (3, 7, 4, 6, 4), bias_std=0.5)
    curve = arc(3, 0.0, TURN, rng)
    centre, first, second = curve.coefficients
    turn = rng.uniform(0, TURN)
    turned = [
        math.cos(turn) * first + math.sin(turn) * second,
        math.cos(turn) * second - math.sin(turn) * first,
    ]
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
