"""Patches by shifted images against the table of neighbours that the kernels use."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.conv_specs import neighbours
from deepinit.networks.views import View

SPECS = [
    di.ConvResNet(shape, 2, 1, kernel_size=size, padding=padding)
    for shape, size in (((5,), 3), ((3, 4), 3), ((5, 6), 5), ((2, 3), 1))
    for padding in ("circular", "zero")
]


@pytest.mark.slow_cases("(5, 6)-5-zero")
@pytest.mark.parametrize(
    "spec", SPECS, ids=lambda s: f"{s.image_shape}-{s.kernel_size}-{s.padding}"
)
@pytest.mark.slow_cases("(3, 4)-3-circular", "(5, 6)-5-circular", "(5,)-3-circular")
@pytest.mark.exhaustive_cases("(5, 6)-5-circular")
def test_patches_are_those_of_the_table_of_neighbours_and_so_is_their_derivative(spec):
    view, table = (
        View(spec.image_shape, spec.kernel_size, spec.padding),
        np.array(neighbours(spec.image_shape, spec.kernel_size, spec.padding)),
    )
    rng = np.random.default_rng(0)
    rows = rng.integers(1, 100, (3, spec.positions * 2)).astype(np.float32)
    images = np.concatenate(
        [rows.reshape(3, spec.positions, 2), np.zeros((3, 1, 2), np.float32)], axis=1
    )
    expected = images[:, table].reshape(3 * spec.positions, -1)
    assert view.patch_size == table.shape[1]
    assert view.fan_in(rows.shape[1]) == expected.shape[1]
    seen, back = jax.vjp(view.extract, rows)
    np.testing.assert_array_equal(seen, expected)
    slopes = rng.integers(1, 9, expected.shape).astype(np.float32)
    scattered = np.zeros_like(images)
    for image, part in zip(scattered, slopes.reshape(3, *table.shape, 2), strict=True):
        np.add.at(image, table, part)
    np.testing.assert_array_equal(back(slopes)[0], scattered[:, :-1].reshape(rows.shape))
