import math

import numpy as np
import pytest
from statistical import assert_mean

from deepinit.core import inputs
from deepinit.core.errors import SpecError


@pytest.mark.parametrize("angle", [1e-12, 1e-6, 0.1, 1.0, math.pi / 2, 3.0, math.pi])
def test_a_pair_keeps_its_angle_to_relative_accuracy(angle):
    pair = inputs.pair(angle, dimension=3)
    assert math.isclose(pair.angles[0], angle, rel_tol=1e-14)
    assert math.isclose(np.linalg.norm(pair.partners[0]), 1.0, rel_tol=1e-12)


def test_circle_and_line():
    circle = inputs.circle(6, radius=2.0)
    np.testing.assert_allclose(np.linalg.norm(circle.partners, axis=1), 2.0)
    np.testing.assert_allclose(circle.angles, np.pi * np.array([1, 2, 3, 2, 1]) / 3)
    np.testing.assert_allclose(circle.partners[0], [1.0, math.sqrt(3)])
    np.testing.assert_allclose(circle.partners[-1], [1.0, -math.sqrt(3)])
    line = inputs.line([1.0, 0.0], [0.0, 1.0], 3)
    np.testing.assert_allclose(line.partners, [[0.5, 0.5], [0.0, 1.0]])


def test_sphere_pairs_are_uniform():
    pairs = inputs.sphere_pairs(4000, 5, seed=1)
    cosines = np.sum(pairs.points * pairs.partners, axis=1)
    assert_mean(cosines, 0.0, rejects=0.1, standard_error=math.sqrt(1 / 4000 / 5))
    # Var(d cos^2) = 2 (d - 1) / (d + 2); the rival: uniform cosines
    error = math.sqrt(2 * 4 / 7 / 4000)
    assert_mean(5 * cosines**2, 1.0, rejects=5 / 3, standard_error=error, resolves=0.09)


def test_images_are_real_digits():
    pixels, labels = inputs.images()
    assert pixels.shape == (5000, 784)
    assert pixels.min() == 0.0
    assert pixels.max() == 1.0
    assert sorted(set(labels.tolist())) == list(range(10))
    pairs = inputs.image_pairs(3, seed=2)
    assert pairs.num_pairs == 3
    assert np.all((pairs.angles > 0.3) & (pairs.angles < math.pi / 2))
    cosines = np.sum(pairs.points * pairs.partners, axis=1)
    cosines /= np.linalg.norm(pairs.points, axis=1) * np.linalg.norm(pairs.partners, axis=1)
    np.testing.assert_allclose(np.cos(pairs.angles), cosines, rtol=1e-12)


def test_digest_depends_on_numbers_only():
    assert inputs.pair(0.1).digest == inputs.pairs((0.1,)).digest
    assert inputs.pair(0.1).digest != inputs.pair(0.2).digest


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inputs.pair(-0.1), r"theta=-0\.1"),
        (lambda: inputs.pair(3.2), r"theta=3\.2"),
        (lambda: inputs.pair(math.nan), "theta=nan"),
        (lambda: inputs.pair(0.1, dimension=1), "dimension=1"),
        (lambda: inputs.pair(0.1, dimension=2.5), r"dimension=2\.5"),
        (lambda: inputs.pair("a"), "theta='a'"),
        (lambda: inputs.pair(None), "theta=None"),
        (lambda: inputs.pairs(()), r"angles=\(\)"),
        (lambda: inputs.pairs(0.1), r"angles=0\.1"),
        (lambda: inputs.image_pairs(0), "num_pairs=0"),
        (lambda: inputs.image_pairs(-1), "num_pairs=-1"),
        (lambda: inputs.image_pairs(1, seed=-1), "seed=-1"),
        (lambda: inputs.sphere_pairs(0, 3), "num_pairs=0"),
        (lambda: inputs.sphere_pairs(3, 1), "dimension=1"),
        (lambda: inputs.sphere_pairs(2.5, 3), r"num_pairs=2\.5"),
        (lambda: inputs.circle(1), "num_points=1"),
        (lambda: inputs.circle(4.5), r"num_points=4\.5"),
        (lambda: inputs.circle(4, radius=0), "radius=0"),
        (lambda: inputs.circle(4, radius=-1.0), r"radius=-1\.0"),
        (lambda: inputs.circle(4, radius=math.inf), "radius=inf"),
        (lambda: inputs.circle(4, radius=math.nan), "radius=nan"),
        (lambda: inputs.circle(4, radius="a"), "radius='a'"),
        (lambda: inputs.line("a", "b", 3), "not arrays of real numbers"),
        (lambda: inputs.line(np.ones((2, 3)), np.ones((2, 3)), 3), r"a start of shape \(2, 3\)"),
        (lambda: inputs.from_arrays([["1", "2"]], [["3", "4"]]), "not arrays of real numbers"),
        (
            lambda: inputs.from_arrays([[1.0, 2.0], [3.0]], [[1.0], [2.0]]),
            "not arrays of real numbers",
        ),
        (lambda: inputs.from_arrays([[1j, 2.0]], [[1.0, 2.0]]), "not arrays of real numbers"),
        (lambda: inputs.from_arrays(np.ones((0, 3)), np.ones((0, 3))), "not empty"),
        (lambda: inputs.from_arrays([[1e308, 1.0]], [[-1e308, 1.0]]), "not finite"),
        (lambda: inputs.from_arrays(np.zeros((1, 3)), np.ones((1, 3))), "zero"),
        (lambda: inputs.from_arrays(np.ones((1, 3)), np.ones((1, 2))), "shapes"),
        (lambda: inputs.from_arrays(np.full((1, 2), np.inf), np.ones((1, 2))), "not finite"),
    ],
)
def test_bad_inputs_are_refused(call, message):
    with pytest.raises(SpecError, match=message) as caught:
        call()
    assert "Allowed: " in str(caught.value)
    assert "\n" not in str(caught.value)
