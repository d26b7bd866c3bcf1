"""Shallow blocks with two nonlinear activations: the Gaussian closure against the exact law.

At infinite width the coordinates of x^l are independent copies of x^0 + sum_k phi(h_k),
h_k ~ N(0, S_k) independent, S_k = b + w E psi(x^k)^2. The characteristic function of x^l is a
product, and a Fourier integral on a grid gives E psi(x^l)^2 without any closure.
"""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.activations import as_activation
from deepinit.core.gaussian import values
from deepinit.infinite_width.residual import residual_layers

WEIGHT, BIAS, STEP, SIDE = 1.0, 1.0, 0.04, 768
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)


def exact_second_moments(phi, psi, depth, start_variance):
    """[depth] of E (x^l)^2."""
    grid = STEP * (np.arange(SIDE) - SIDE // 2)
    frequencies = 2 * np.pi * np.fft.fftfreq(SIDE, STEP)
    law = np.exp(-0.5 * start_variance * frequencies**2).astype(complex)
    square, found = values(psi, grid) ** 2, []
    for _ in range(depth):
        density = np.fft.fftshift(np.fft.fft(law)).real / SIDE
        assert density.sum() == pytest.approx(1, abs=1e-12)
        variance = (BIAS + WEIGHT * density @ square) / depth
        increments = values(phi, np.sqrt(variance) * NODES)
        law = law * (np.exp(1j * np.outer(frequencies, increments)) @ WEIGHTS) / WEIGHTS.sum()
        found.append(np.fft.fftshift(np.fft.fft(law)).real / SIDE @ grid**2)
    return np.array(found)


def error_of_the_recursion(phi, psi, depth):
    """Relative, of the second moment after the last block."""
    laws = {"weight_law": di.normal(WEIGHT, "depth"), "bias_law": di.normal(BIAS, "depth")}
    spec = di.ResNet(
        3,
        depth,
        block="shallow",
        activation=phi,
        inner_activation=psi,
        embedding_law=di.normal(1.0),
        **laws,
    )
    x = np.array([[1.0, 0.5]])
    exact = exact_second_moments(
        as_activation(phi), as_activation(psi), depth, float((x**2).mean())
    )
    return residual_layers(spec, x).mean_square[-1, 0] / exact[-1] - 1


@pytest.mark.slow_cases("silu-tanh-1")
@pytest.mark.parametrize(
    ("phi", "psi", "depth"), [("silu", "linear", 5), ("linear", "tanh", 5), ("silu", "tanh", 1)]
)
@pytest.mark.slow_cases("linear-tanh-5", "silu-linear-5")
def test_exact_where_one_activation_is_linear_and_for_one_block(phi, psi, depth):
    assert abs(error_of_the_recursion(phi, psi, depth)) < 1e-10


@pytest.mark.exhaustive_cases("silu-tanh-1-0.0013")
@pytest.mark.parametrize(
    ("phi", "psi", "order", "largest"),
    [("tanh", "tanh", 2, 6e-4), ("silu", "tanh", 1, 1.3e-3), ("silu", "relu", 1, 3.8e-3)],
)
@pytest.mark.slow_cases("silu-tanh-1-0.0013", "tanh-tanh-2-0.0006")
@pytest.mark.exhaustive_cases("silu-relu-1-0.0038")
def test_the_closure_is_off_by_little_and_by_its_order_in_depth(phi, psi, order, largest):
    few, *more = (abs(error_of_the_recursion(phi, psi, depth)) for depth in (4, 32, 64))
    assert 1e-8 < more[1] < more[0] < few < largest
    assert np.log2(more[0] / more[1]) == pytest.approx(order, abs=0.4)


@pytest.mark.slow
def test_the_closure_of_odd_functions_around_relu_is_exact_at_one_input():
    # the stream is then symmetric, and E relu^2 half its second moment
    assert abs(error_of_the_recursion("tanh", "relu", 4)) < 1e-10
