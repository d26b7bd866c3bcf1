"""Derivatives of layers around infinite width against the closed form of ReLU's angles."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.layers import outline, shape_of
from deepinit.quantities.row_functions import overlaps_of_pair
from deepinit.theory.layers import taylor
from deepinit.theory.layers.coordinates import apart
from deepinit.theory.layers.precision import host_float64

INPUTS = di.inputs.points([[1.0, 0.0], [np.cos(1.0), np.sin(1.0)]])


def _bend(cosine):
    angle = np.arccos(apart(2) * cosine)
    return np.log((np.pi - angle) / angle)


def _relu(coordinate):
    """Of the next layer's cosine, that of this layer's coordinate."""
    cosine = np.sin(0.5 * np.pi * np.tanh(0.5 * coordinate)) / apart(2)
    angle = np.arccos(cosine)
    return _bend((np.sin(angle) + (np.pi - angle) * cosine) / np.pi)


@pytest.mark.slow
def test_a_layer_of_relu_turns_angles_by_the_closed_form():
    program = outline(di.MLP((8, 8, 8)), shape_of(INPUTS)).program
    x = INPUTS.points
    with host_float64():
        found = taylor.expand(program, overlaps_of_pair, x @ x.T / 2, x.mean(axis=1), 84)
        layer = [np.asarray(part) for part in found[1].layer]
    before, after, first, second, third = layer
    steps = 0.02 * np.arange(-4, 5)
    expected = np.polynomial.Polynomial.fit(steps, _relu(before[1] + steps), 8).convert().coef[:4]
    own = after[1], first[1, 1], second[1, 1, 1] / 2, third[1, 1, 1, 1] / 6
    np.testing.assert_allclose(own, expected, rtol=2e-3)
    np.testing.assert_allclose(own[:3], expected[:3], rtol=1e-6)
    np.testing.assert_allclose(first[:, 3:6], np.eye(3), atol=1e-9)  # noises of coordinates
    np.testing.assert_allclose(second[:, 3:6, :], 0.0, atol=1e-9)
