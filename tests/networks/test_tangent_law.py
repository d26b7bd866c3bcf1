"""Tangent kernels of several inputs."""

import numpy as np
import pytest

import deepinit as di


@pytest.mark.slow
def test_tangent_kernels_of_several_inputs_have_one_law():
    """Explicit and conditional maps, more rows than neurons; the rival has two neurons more."""
    inputs = di.inputs.points(np.random.default_rng(4).normal(size=(5, 3)))

    def moments(widths, linear_map, key):
        found = di.simulate(
            di.MLP(widths, "tanh", output_width=1),
            di.quantities.ntk,
            inputs,
            num_seeds=3000,
            key=key,
            linear_map=linear_map,
            keep_samples=True,
        )
        values = found.samples[:, 0]
        every = np.concatenate([values, np.sqrt(np.abs(values * values[:, :1]))], axis=1)
        return every.mean(axis=0), every.var(axis=0) / len(every)

    mean, error2 = moments((2, 5, 8), "explicit", 0)
    for widths, agrees in (((2, 5, 8), True), ((4, 5, 8), False)):
        other, other2 = moments(widths, "conditional", 1)
        z = np.abs(mean - other) / np.sqrt(error2 + other2)
        assert (z.max() < 5) == agrees, z.max()
