"""Training sets of the literature."""

import numpy as np
import pytest

from deepinit.core import targets
from deepinit.core.errors import SpecError


def test_sines_are_those_of_the_two_layer_experiments():
    data = targets.sum_of_sines()
    assert data.inputs.shape == (80, 5)
    assert data.inputs.min() >= -4
    assert data.inputs.max() <= 2
    expected = sum(3.5 * np.sin(5 * data.inputs[:, k] + 1) for k in range(5))
    np.testing.assert_allclose(data.targets[:, 0], expected, rtol=1e-12)
    assert not np.array_equal(data.inputs, targets.sum_of_sines(seed=1).inputs)


def test_targets_of_one_variable():
    two = targets.two_sines()
    assert two.inputs[[0, -1], 0].tolist() == [-1.0, 1.5]
    np.testing.assert_allclose(
        two.targets[:, 0], np.sin(3 * two.inputs[:, 0]) + np.sin(6 * two.inputs[:, 0]) / 2
    )


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_simplex_has_orthogonal_appended_vectors(dimension):
    data = targets.simplex(dimension)
    z = np.c_[data.inputs, np.ones(dimension + 1)]
    np.testing.assert_allclose(z @ z.T, (dimension + 1) * np.eye(dimension + 1), atol=1e-12)
    assert (data.targets == 1).all()


def test_centred_targets_have_mean_zero():
    data = targets.centred(targets.sum_of_sines())
    assert abs(data.targets.mean()) < 1e-14
    with pytest.raises(SpecError, match="classes"):
        targets.centred(targets.examples([[1.0], [2.0]], [0, 1]))


def test_digits_that_are_skipped_are_other_images():
    images = lambda data: {row.tobytes() for row in data.inputs}
    first, second = targets.digits(500), targets.digits(500, skip=500)
    assert not images(first) & images(second)
    assert images(first) & images(targets.digits(500, seed=1))  # two seeds have images in common
    np.testing.assert_array_equal(targets.digits(1000).inputs[500:], second.inputs)
    with pytest.raises(SpecError, match="Take at most 1000"):
        targets.digits(1001, skip=4000)


def test_digits_are_real_images_with_classes_or_numbers():
    data = targets.digits(50)
    assert data.are_classes
    assert data.inputs.shape == (50, 784)
    assert set(data.targets.tolist()) <= set(range(10))
    numbers = targets.digits(50, classes=False)
    assert not numbers.are_classes
    np.testing.assert_array_equal(numbers.targets[:, 0], data.targets)


@pytest.mark.parametrize(
    ("inputs", "given", "message"),
    [
        ([[1.0]], [1.0, 2.0], "same n"),
        ([[np.nan]], [1.0], "not finite"),
        ([[1.0]], [-1], "class -1"),
        ([["a"]], [1.0], "not numbers"),
        ([[1.0]], [1j], "not numbers"),
        (np.zeros((0, 2)), np.zeros(0), "same n"),
    ],
)
def test_examples_that_are_none(inputs, given, message):
    with pytest.raises(SpecError, match=message):
        targets.examples(inputs, given)


def test_counts_out_of_range():
    with pytest.raises(SpecError, match="num_examples"):
        targets.digits(6000)
    with pytest.raises(SpecError, match="dimension"):
        targets.simplex(0)
    with pytest.raises(SpecError, match="seed"):
        targets.sum_of_sines(seed=-1)
    with pytest.raises(SpecError, match="frequency='a'"):
        targets.sum_of_sines(frequency="a")
    with pytest.raises(SpecError, match=r"targets of shape \(2,\). Allowed: one number, or 3"):
        targets.simplex(2, [1.0, 2.0])
    with pytest.raises(SpecError, match="type tuple"):
        targets.centred(([0.0], [1.0]))


def test_two_circles_are_two_classes_about_one_centre():
    data = targets.two_circles(40, inner=0.25)
    np.testing.assert_allclose(
        np.linalg.norm(data.inputs, axis=1), np.where(data.targets == 0, 1.0, 0.25)
    )
    np.testing.assert_allclose(data.inputs[data.targets == 1].mean(axis=0), 0.0, atol=1e-15)
    with pytest.raises(SpecError, match=r"inner=1\.0"):
        targets.two_circles(inner=1.0)
