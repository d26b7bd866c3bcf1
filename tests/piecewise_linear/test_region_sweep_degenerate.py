"""Exact lengths at degenerate zeros: lines through 0, equal units, dead networks."""

import math

import numpy as np
import pytest
import sweep_networks

from deepinit.core.curves import Curve, circle, line
from deepinit.piecewise_linear.pieces import pieces_of
from deepinit.piecewise_linear.region_sweep import exact_lengths

brute_force, random_net, states_at = (
    sweep_networks.brute_force,
    sweep_networks.random_net,
    sweep_networks.states_at,
)

TURN = 2.0 * math.pi


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
    np.testing.assert_allclose(
        result.lengths, [np.linalg.norm(image, axis=1).sum() for image in images], rtol=1e-12
    )
    assert result.breakpoints.tolist() == [1] + [0] * depth
    assert result.pieces.tolist() == [2] * (depth + 1)


def test_circle_that_passes_0_without_biases():
    # x = (1 + cos t, sin t): all units vanish at t = pi, and where the circle meets their lines
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
        curve = (
            circle(2)
            if seed < 3
            else Curve("circle", circle(2).coefficients, 1.3, 1.3 + TURN, "begun elsewhere")
        )
        result = exact_lengths(random_net(rng, (2, width, 3)), curve)
        assert result.breakpoints[0] == 2 * width
        assert sweep_networks.expected_breakpoints(pieces_of(curve), width, 2.0) == pytest.approx(
            2 * width, rel=1e-12
        )


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
    ("bias", "length"),
    [(1.0, 4.0), (-1.0, 0.0), (1.0 - 1e-9, 4.0), (-1.0 + 1e-9, 2e-9), (0.0, 2.0)],
)
def test_circle_that_touches_a_units_boundary(bias, length):
    # z = cos t + bias, from above, from below, and just across; a second unit never vanishes
    layers = [([[1.0, 0.0]], [bias]), ([[1.0]], [0.0]), ([[1.0]], [0.5]), ([[-3.0]], None)]
    result = exact_lengths(layers, circle())
    np.testing.assert_allclose(
        result.lengths, length * np.array([1, 1, 1, 3]), rtol=1e-8, atol=1e-15
    )
    assert result.breakpoints.tolist() == [0 if abs(bias) == 1.0 else 2, 0, 0, 0]


def test_chains_of_one_unit_pass_their_zeros_on():
    layers = [([[0.3, -1.2]], None), *[([[1.7]], None)] * 6]
    result = exact_lengths(layers, circle())
    amplitude = math.hypot(0.3, 1.2)
    np.testing.assert_allclose(result.lengths, 2 * amplitude * 1.7 ** np.arange(7.0), rtol=1e-13)
    assert result.breakpoints.tolist() == [2, 0, 0, 0, 0, 0, 0]


def test_parallel_and_equal_units():
    direction = np.array([1.0, -2.0, 0.5])
    rows = np.array(
        [[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [4.0, 2.0, 0.0], [1.0, 0.0, 0.0], [2.0, 1.0, 0.0]]
    )
    biases = np.array([0.3, 0.3, 0.6, -0.1, -0.4])
    # rows (2, 1, 0) are orthogonal to the velocity: constant, on at bias 0.3, off at -0.4
    curve = Curve("line", np.stack([np.zeros(3), direction]), -1.0, 1.0, "line")
    result = exact_lengths([(rows, biases)], curve, last_is_linear=False)
    assert result.breakpoints.tolist() == [1]
    assert result.lengths[0] == pytest.approx(0.9, rel=1e-14)
    # equal units switch at one point
    equal = exact_lengths(
        [(np.tile([[0.37, 1.9]], (6, 1)) * np.arange(1, 7)[:, None], None)],
        circle(),
        last_is_linear=False,
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
        layers = [
            (np.stack([third, -third]), None),
            *random_net(np.random.default_rng(seed), (2, 6, 6, 3)),
        ]
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
        np.testing.assert_allclose(
            scaled.lengths, expected * scale ** np.arange(1.0, 4.0), rtol=1e-12
        )
