"""Euler steps: one Brownian path for all step numbers, and its strong order."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.diffusions.paths import path_fn


def _shallow(width, depth, weight_var, bias_var=0.0, activation=di.tanh, **more):
    bias_law = di.normal(bias_var, "depth") if bias_var else None
    weight_law = di.normal(weight_var, "depth")
    return di.ResNet(
        width, depth, None, activation, weight_law, None, bias_law, block="shallow", **more
    )


def _draws(fn, num_seeds, key=0):
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(
        jnp.arange(num_seeds, dtype=jnp.uint32)
    )
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(fn))(keys))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_brownian_tree_is_one_path_for_all_steps_and_layers_are_not():
    spec, key = _shallow(3, 4, 0.0, 1.0), jax.random.key(7)  # dx = dB
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
    spec, distances = _shallow(4, 8, 1.0, 0.25), []
    ends = [
        _draws(path_fn(spec, np.ones(4), num_steps=steps, brownian="tree"), 300)
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
    assert abs(order - 0.5) < 5 * error
    assert order + 5 * error < 1.0
    assert order - 5 * error > 0.0
