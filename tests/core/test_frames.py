import math

import numpy as np
import pytest
from statistical import assert_mean

from deepinit.core import frames, inputs
from deepinit.core.errors import SpecError

POINT = [1.0, -1.0, 0.5]
VECTORS = [[2.0, 0.0, 0.0], [1.0, 3.0, 0.0]]


def test_frames_are_made_orthonormal_in_order():
    one = frames.at(POINT, VECTORS)
    np.testing.assert_allclose(one.tangents, [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], atol=1e-15)
    np.testing.assert_allclose(
        frames.at(POINT, [0.0, -3.0, 4.0]).tangents, [[[0.0, -0.6, 0.8]]], atol=1e-15
    )
    assert (one.dimension, one.frame_size, one.num_rows, one.entries) == (3, 2, 3, ("point 1",))


def test_frames_span_what_was_given():
    rng = np.random.default_rng(0)
    given = rng.standard_normal((5, 3, 7)) * [[[1e-30], [1.0], [1e30]]]
    found = frames.at(rng.standard_normal((5, 7)), given)
    np.testing.assert_allclose(
        found.tangents @ np.swapaxes(found.tangents, 1, 2),
        np.tile(np.eye(3), (5, 1, 1)),
        atol=1e-14,
    )
    unit = given / np.linalg.norm(given, axis=2, keepdims=True)
    inside = unit @ np.swapaxes(found.tangents, 1, 2) @ found.tangents
    np.testing.assert_allclose(inside, unit, atol=1e-13)
    assert (np.sum(unit[:, 0] * found.tangents[:, 0], axis=1) > 0).all()
    assert found.num_rows == 20
    assert found.entries[-1] == "point 5"


def test_random_frames_are_uniform():
    found = frames.random(4, 2, num_points=6000, seed=5)
    np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), 1.0)
    for rows in (found.points, found.tangents[:, 0], found.tangents[:, 1]):
        # a coordinate in dimension d: variance 1/d, fourth moment 3 / (d (d + 2))
        error = math.sqrt(1 / 4 / 6000)
        assert_mean(rows, 0.0, rejects=0.1, standard_error=error)
        error = math.sqrt((3 / 24 - 1 / 16) / 6000)
        # the rival: a cube, not a sphere
        assert_mean(rows**2, 0.25, rejects=1 / 3, standard_error=error, resolves=0.07)
    assert found.label == "6000 random points with a tangent plane, dimension 4"
    assert frames.random(4).label == "1 random points with a tangent, dimension 4"
    assert frames.random(4, 3).label.endswith("a tangent space of dimension 3, dimension 4")


def test_image_frames_start_at_a_real_digit():
    found = frames.images(2, seed=1)
    pixels, labels = inputs.images()
    distance = np.abs(pixels - found.points[0]).max(axis=1)
    assert distance.min() == 0.0
    assert found.label == f"digit {labels[distance.argmin()]}, directions to 2 others"
    # another digit lies in the span of the frame, from the point
    away = pixels - found.points[0]
    inside = away @ found.tangents[0].T @ found.tangents[0]
    assert (np.abs(away - inside).max(axis=1) < 1e-12).sum() == 3


def test_digests_depend_on_every_number_and_on_nothing_else():
    one = frames.at(POINT, VECTORS)
    assert one.digest == frames.at(POINT, VECTORS, "another label").digest
    others = [
        frames.at([1.0, -1.0, 0.6], VECTORS),
        frames.at(POINT, VECTORS[::-1]),
        frames.at(POINT, VECTORS[0]),
    ]
    assert len({found.digest for found in (one, *others)}) == 4
    assert (
        frames.random(3, seed=2).digest
        == frames.random(3, seed=2).digest
        != frames.random(3, seed=3).digest
    )


NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: frames.at(POINT, [VECTORS[0], [-4.0, 0.0, 0.0]]),
            r"linearly dependent.*span d dimensions.*Drop",
        ),
        (lambda: frames.at(POINT, [VECTORS[0], [4.0, 1e-11, 0.0]]), "linearly dependent"),
        (lambda: frames.at(POINT, [0.0, 0.0, 0.0]), "linearly dependent"),
        (
            lambda: frames.at(POINT, np.ones((4, 3))),
            r"4 tangent vectors in dimension 3.*at most as many as dimensions",
        ),
        (
            lambda: frames.at(POINT, [1.0, 0.0]),
            r"points of shape \(3,\) with tangents of shape \(2,\).*num_points, d",
        ),
        (
            lambda: frames.at([POINT, POINT], [VECTORS]),
            r"points of shape \(2, 3\) with tangents of shape \(1, 2, 3\)",
        ),
        (
            lambda: frames.at([POINT], VECTORS),
            r"points of shape \(1, 3\) with tangents of shape \(2, 3\)",
        ),
        (lambda: frames.at([], []), r"points of shape \(0,\)"),
        (lambda: frames.at("point", VECTORS), "points of no shape.*not an array of real numbers"),
        (lambda: frames.at([["1", "2", "3"]], [VECTORS]), "points of no shape"),
        (lambda: frames.at([[1.0], [1.0, 2.0]], VECTORS), "points of no shape"),
        (lambda: frames.at(POINT, [1j, 0.0, 0.0]), "tangents of no shape"),
        (lambda: frames.at([1.0, NAN, 0.5], VECTORS), "not finite.*Remove NaN"),
        (lambda: frames.at(POINT, [1.0, math.inf, 0.0]), "not finite"),
        (lambda: frames.random(0), r"dimension=0.*integers >= 1"),
        (lambda: frames.random(3, 4), r"size=4.*integers from 1 to 3"),
        (lambda: frames.random(3, 0), "size=0"),
        (lambda: frames.random(3, num_points=0), "num_points=0.*at least one"),
        (lambda: frames.random(3, seed=-1), "seed=-1"),
        (lambda: frames.images(0), "size=0.*integers from 1 to 100"),
        (lambda: frames.images(101), "size=101"),
        (lambda: frames.images(seed=0.5), r"seed=0\.5"),
    ],
)
def test_bad_frames_are_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()
