"""Euler steps: one Brownian path for all step numbers, and its strong order."""

import itertools
import math

import jax
import numpy as np
import pytest
from diffusion_networks import sampled, shallow
from statistical import assert_value

from deepinit.diffusions.paths import path_fn


@pytest.mark.slow
@pytest.mark.exhaustive
def test_brownian_tree_is_one_path_for_all_steps_and_layers_are_not():
    spec, key = shallow(3, 4, 0.0, 1.0), jax.random.key(7)  # dx = dB
    ends = {
        (brownian, steps): jax.jit(
            path_fn(spec, np.zeros(3), num_steps=steps, times=[0.5, 1.0], brownian=brownian)
        )(key).states
        for brownian in ("tree", "layers")
        for steps in (4, 16)
    }
    np.testing.assert_allclose(ends["tree", 4], ends["tree", 16], atol=2e-6)
    assert np.abs(ends["layers", 4] - ends["layers", 16]).max() > 0.01


@pytest.mark.slow
@pytest.mark.exhaustive
def test_euler_has_strong_order_one_half_on_one_brownian_path():
    # distances of L and 2 L steps on one tree; order 1 falls by 2, independent paths by none
    spec, distances = shallow(4, 8, 1.0, 0.25), []
    ends = [
        sampled(path_fn(spec, np.ones(4), num_steps=steps, brownian="tree"), 300)
        .states[:, -1, 0]
        .astype(np.float64)
        for steps in (8, 16, 32, 64)
    ]
    for coarse, fine in itertools.pairwise(ends):
        squares = np.mean((coarse - fine) ** 2, axis=1)
        distances.append(
            (
                0.5 * np.log(squares.mean()),
                0.5 * squares.std() / squares.mean() / math.sqrt(len(squares)),
            )
        )
    (first, first_error), _, (last, last_error) = distances
    order, error = (first - last) / math.log(4), math.hypot(first_error, last_error) / math.log(4)
    for rival in (0.0, 1.0):
        assert_value(order, error, 0.5, rejects=rival)
