"""Stretches between stored rows."""

import math

import jax.numpy as jnp
import pytest

from deepinit.networks.checkpointing import checkpoint_shapes, num_stored
from deepinit.networks.rows import points_alone


@pytest.mark.parametrize(
    ("length", "points", "width"), [(500, 2, 500), (1601, 2, 500), (25_601, 2, 64), (997, 50, 900)]
)
def test_stretches_hold_all_layers_and_few_rows(length, points, width):
    rows = points_alone(jnp.zeros((points, width)))
    shapes = checkpoint_shapes(length, rows, width)
    assert sum(map(math.prod, shapes)) == length
    assert len(shapes) <= 4
    assert sum(map(num_stored, shapes)) * points * width * 4 < 1.3 * max(
        2**19, 96 * points * width * 4
    )
