"""Angles of stacks at infinite width against closed forms."""

import numpy as np

import deepinit as di
from deepinit.diagnosis.stack_angles import Stack, _through, collapse

ROWS = np.random.default_rng(0).normal(size=(6, 40))
ROWS /= np.linalg.norm(ROWS, axis=1, keepdims=True)


def arc_cosine(cosine):
    """Cosine after a ReLU layer (Cho & Saul 2009)."""
    angle = np.arccos(cosine)
    return (np.sin(angle) + (np.pi - angle) * cosine) / np.pi


def test_relu_is_the_arc_cosine_kernel():
    pairs = np.triu_indices(6, 1)
    cosines = (ROWS @ ROWS.T)[pairs]
    expected = np.log(1 - cosines**2)
    for _ in range(10):
        cosines = arc_cosine(cosines)
    expected = float(np.mean(expected - np.log(1 - cosines**2)))
    found = collapse(Stack(di.relu, 10, weight=2.0, first=2.0, bias=0.0), ROWS)
    assert abs(found / expected - 1) < 0.02
    linear = collapse(Stack(di.linear, 10, weight=1.0, first=1.0, bias=0.0), ROWS)
    assert abs(linear) < 1e-9  # a rival: angles that no layer changes


def test_nearly_parallel_inputs_keep_their_digits():
    """1 - cosine after an erf layer: 1 - 2/pi asin(2 K c / (1 + 2 K)), K = 1."""
    apart = np.array([1e-9, 1e-4, 0.5, 1.0, 1.7])
    stack = Stack(di.erf, 1, weight=1.0, first=1.0, bias=0.0)
    mean_square, lost = _through(stack, 1.0, apart)
    exact = 2 / np.pi * np.arcsin(2 / 3)
    assert abs(mean_square / exact - 1) < 1e-6
    expected = exact - 2 / np.pi * np.arcsin(2 * (1 - apart) / 3)
    expected[0] = 2 / np.pi * (2 / 3) * 1e-9 / np.sqrt(1 - 4 / 9)
    np.testing.assert_allclose(lost, expected, rtol=1e-4)


def test_displacements_of_stacks_are_those_of_networks_without_a_skip():
    from deepinit.diagnosis.stack_angles import stretch
    from deepinit.diagnosis.stack_theory import mlp_theory

    spec = di.MLP((50,) * 8, "gelu", di.normal(1.7), di.normal(0.2, "absolute"))
    found = stretch(Stack(di.gelu, 8, weight=1.7, first=1.7, bias=0.2), ROWS)
    assert abs(found - mlp_theory(spec, ROWS).stretch) < 1e-9
    linear = Stack(di.linear, 8, weight=1.0, first=1.0, bias=0.0, skip=1.0, alpha=0.5)
    assert abs(stretch(linear, ROWS)) < 1e-9
