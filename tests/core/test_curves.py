import math

import jax.numpy as jnp
import numpy as np
import pytest

from deepinit.core import curves
from deepinit.core.curves import (
    Curve,
    circle,
    circle_through,
    image_circle,
    image_line,
    line,
    sampled,
)
from deepinit.core.errors import SpecError

T = np.linspace(-1.0, 7.0, 41)
CURVES = {
    "line": line([1.0, -2.0, 0.5], [0.0, 1.0, 2.0]),
    "circle": circle(3, radius=1.5),
    "through": circle_through([1.0, 0.3, -0.5], [-0.2, 1.1, 0.4], [0.5, -0.8, 1.3]),
}


def numbers_of(curve):
    """Length, and least distance to 0, by dense sampling."""
    points = curve.points(np.linspace(curve.start, curve.stop, 200_001))
    return np.linalg.norm(np.diff(points, axis=0), axis=1).sum(), np.linalg.norm(
        points, axis=1
    ).min()


@pytest.mark.parametrize("name", CURVES)
def test_length_speed_distance_and_tangents_are_those_of_the_points(name):
    curve = CURVES[name]
    length, distance = numbers_of(curve)
    assert curve.length == pytest.approx(length, rel=1e-9)
    assert curve.distance_to_origin() == pytest.approx(distance, rel=1e-8)
    step = 1e-5
    differences = (curve.points(T + step) - curve.points(T - step)) / (2 * step)
    np.testing.assert_allclose(curve.tangents(T), differences, atol=1e-8)
    np.testing.assert_allclose(np.linalg.norm(curve.tangents(T), axis=1), curve.speed, rtol=1e-12)
    assert curve.dimension == 3
    assert curve.is_closed == (name != "line")
    assert not curve.meets_origin


@pytest.mark.parametrize("name", CURVES)
def test_jax_points_are_numpy_points(name):
    curve, t = CURVES[name], T.astype(np.float32)
    np.testing.assert_allclose(
        curve.points(jnp.asarray(t)), curve.points(t.astype(np.float64)), rtol=0, atol=2e-6
    )
    assert curve.points(jnp.asarray(t)).dtype == jnp.float32
    assert curve.tangents(t).dtype == np.float32


def test_a_line_starts_and_ends_where_it_was_told():
    points = CURVES["line"].points(np.array([0.0, 1.0]))
    np.testing.assert_array_equal(points, [[1.0, -2.0, 0.5], [0.0, 1.0, 2.0]])


@pytest.mark.parametrize(
    "points",
    [
        ([1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]),  # the third is opposite to the first
        ([1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]),  # so is the second
        ([1.0, 0.0], [0.6, 0.8], [-math.cos(1e-5), math.sin(1e-5)]),  # so is the third, nearly
        ([1.0, 0.0], [-math.cos(1e-5), math.sin(1e-5)], [0.6, 0.8]),
        ([3.0, 1.0, 1e3], [2.0, 5.0, 1e3], [-1.0, 0.0, 1e3 + 1.0]),
    ],
)
def test_a_circle_through_three_points_goes_through_them(points):
    curve = circle_through(*points)
    scale = np.abs(curve.coefficients).max()
    centre, first, second = curve.coefficients
    assert abs(first @ second) < 1e-13 * (first @ first)
    assert np.linalg.norm(first) == pytest.approx(np.linalg.norm(second), rel=1e-13)
    np.testing.assert_allclose(curve.points(np.zeros(1))[0], points[0], rtol=0, atol=1e-13 * scale)
    for point in points:
        radial = np.array(point) - centre
        t = math.atan2(radial @ second, radial @ first)
        np.testing.assert_allclose(
            curve.points(np.array([t]))[0], point, rtol=0, atol=1e-11 * scale
        )


def test_the_circle_that_three_points_of_the_unit_circle_give_is_the_unit_circle():
    curve = circle_through([1.0, 0.0], [0.0, 1.0], [-0.6, -0.8])
    np.testing.assert_allclose(np.abs(curve.coefficients), circle().coefficients, atol=1e-14)


def test_distance_to_the_origin_of_arcs():
    whole = circle_through([3.0, 0.0], [2.0, 1.0], [1.0, 0.0])
    assert whole.distance_to_origin() == pytest.approx(1.0)
    arc = Curve("circle", np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 0.0, 0.5 * math.pi, "arc")
    assert arc.distance_to_origin() == pytest.approx(
        math.sqrt(5.0)
    )  # its end: the nearest point is not on it
    turned = Curve("circle", arc.coefficients, 10 * math.pi, 11.5 * math.pi, "arc")
    assert turned.distance_to_origin() == pytest.approx(1.0)
    assert not arc.is_closed


def test_what_meets_the_origin():
    assert line([-1.0, -2.0], [0.3, 0.6]).meets_origin
    assert line([0.0, 0.0], [1.0, 1.0]).meets_origin
    assert not line([0.1, 0.2], [1.0, 2.0]).meets_origin
    assert circle_through([0.0, 0.0], [2.0, 0.0], [1.0, 1.0]).meets_origin
    assert not circle(4, radius=1e-9).meets_origin


def test_digests_depend_on_every_number_and_on_nothing_else():
    curve = circle()
    assert curve.digest == circle(2, 1.0).digest
    assert line([0.0, 1.0], [1.0, 0.0], "a").digest == line([0.0, 1.0], [1.0, 0.0], "b").digest
    others = [
        circle(3),
        circle(radius=1.1),
        Curve("circle", curve.coefficients, 0.0, math.pi, "half"),
        Curve("circle", curve.coefficients, 0.1, 2 * math.pi, "less"),
        line([0.0, 1.0], [1.0, 0.0]),
        line([1.0, 0.0], [0.0, 1.0]),
    ]
    samples = [
        sampled(curve, 8),
        sampled(curve, 9),
        sampled(curve, 8, method="polygon"),
        sampled(circle(3), 8),
    ]
    digests = [one.digest for one in (curve, *others, *samples)]
    assert len(set(digests)) == len(digests)
    assert sampled(circle(), 8).digest == samples[0].digest


def test_a_sampled_curve_says_what_it_is():
    tangents, chords = sampled(circle(5), 8), sampled(circle(5), 8, method="polygon")
    assert (tangents.dimension, tangents.num_rows, tangents.entries) == (
        5,
        16,
        ("circle of radius 1",),
    )
    assert tangents.label == "circle of radius 1, 8 random tangents"
    assert chords.label == "circle of radius 1, 8 chords"
    assert sampled(circle()).num_nodes == 32


@pytest.mark.slow
def test_image_curves_go_through_real_digits():
    pixels, labels = curves.images()
    for curve, places, count in ((image_line(3), [0.0, 1.0], 2), (image_circle(3), [0.0], 3)):
        points = curve.points(np.array(places))
        for point in points:
            assert np.abs(pixels - point).max(axis=1).min() < 1e-12
        assert sum(letter.isdigit() for letter in curve.label) == count
        assert curve.dimension == 784
    ends = image_line(3).points(np.array([0.0, 1.0]))
    classes = [int(labels[np.abs(pixels - end).max(axis=1).argmin()]) for end in ends]
    assert image_line(3).label == f"line between the digits {classes[0]} and {classes[1]}"
    assert classes[0] != classes[1]
    assert image_line(3).digest == image_line(3).digest != image_line(4).digest
    centre, first, second = image_circle(3).coefficients
    assert abs(first @ second) < 1e-12 * (first @ first)
    assert len(centre) == 784


NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: line([1.0, 2.0], [1.0, 2.0]), r"a line from a point to itself.*no length"),
        (lambda: line([1.0, 2.0], [1.0]), r"points of dimensions 2, 1.*one dimension"),
        (lambda: line([1.0, NAN], [1.0, 2.0]), r"start of shape \(2,\) or not finite.*one point"),
        (lambda: line([1.0, 2.0], [1.0, math.inf]), r"end of shape \(2,\) or not finite"),
        (lambda: line([[1.0, 2.0]], [1.0, 2.0]), r"start of shape \(1, 2\)"),
        (lambda: line(1.0, 2.0), r"start of shape \(\)"),
        (lambda: line([], [1.0]), r"start of shape \(0,\)"),
        (lambda: line(["1", "2"], [3.0, 4.0]), "start of no shape.*not an array of real numbers"),
        (lambda: line([1j, 2.0], [3.0, 4.0]), "start of no shape.*not an array of real numbers"),
        (
            lambda: line([[1.0], [1.0, 2.0]], [3.0, 4.0]),
            "start of no shape.*not an array of real numbers",
        ),
        (
            lambda: line([0.0, 1.0], [1e200, 0.0]),
            r"length overflows or vanishes.*finite length > 0",
        ),
        (
            lambda: line([0.0, 1.0], [1e-200, 1.0]),
            r"length overflows or vanishes.*finite length > 0",
        ),
        (lambda: circle(1), r"dimension=1.*integers >= 2.*plane"),
        (lambda: circle(2.5), r"dimension=2\.5"),
        (lambda: circle(radius=0.0), r"radius=0\.0.*finite number > 0"),
        (lambda: circle(radius=-1.0), r"radius=-1\.0"),
        (lambda: circle(radius=NAN), r"radius=nan"),
        (lambda: circle(radius="1"), r"radius='1'"),
        (lambda: circle(radius=1e200), "length overflows"),
        (
            lambda: circle_through([0.0, 0.0], [1.0, 1.0], [2.0, 2.0]),
            r"three points on one line.*or a line",
        ),
        (lambda: circle_through([0.0, 0.0], [0.0, 0.0], [2.0, 2.0]), "three points on one line"),
        (lambda: circle_through([0.0, 0.0], [2.0, 1.0], [2.0, 1.0]), "three points on one line"),
        (lambda: circle_through([0.0], [1.0], [2.0]), r"points of dimension 1.*plane"),
        (
            lambda: circle_through([0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0]),
            "points of dimensions 2, 3, 2",
        ),
        (lambda: circle_through([0.0, NAN], [1.0, 0.0], [1.0, 1.0]), "first of shape"),
        (lambda: sampled("circle"), r"curve of type str.*di\.curves\.circle\(\)"),
        (lambda: sampled(circle(), 0), r"num_nodes=0.*integers >= 1"),
        (lambda: sampled(circle(), 2.5), r"num_nodes=2\.5"),
        (lambda: sampled(circle(), method="chords"), r"method='chords'.*tangents, polygon"),
        (lambda: image_line(-1), "seed=-1"),
        (lambda: image_circle(0.5), r"seed=0\.5"),
    ],
)
def test_bad_curves_are_refused(make, message):
    with np.errstate(over="ignore"), pytest.raises(SpecError, match=message):
        make()


def test_radii_of_numpy_are_numbers():
    assert (
        circle(radius=np.float32(2.0)).digest
        == circle(radius=2).digest
        == circle(radius=np.int64(2)).digest
    )
