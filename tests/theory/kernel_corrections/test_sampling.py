"""Coefficients against random networks in NumPy; every check rejects a rival in the same run."""

import numpy as np
import pytest

from deepinit.theory.kernel_corrections import (
    criticality_class,
    kernel_corrections,
    output_statistics,
    tangent_covariance,
)

GATE = 5.0


def _kernel_chain(first, widths, weight_var, bias_var, num_networks, rng):
    """G of the layer after the last hidden one, [networks, 3], entries (11), (12), (22): no
    weights, exact in law."""
    first = np.asarray(first)
    a, c, b = (np.full(num_networks, each) for each in (first[0, 0], first[0, 1], first[1, 1]))
    for n in widths:
        u = rng.standard_normal((2, num_networks, n))
        root = np.sqrt(a)
        along, across = c / root, np.sqrt(b - c * c / a)
        left = np.tanh(root[:, None] * u[0])
        right = np.tanh(along[:, None] * u[0] + across[:, None] * u[1])
        a, c, b = (
            bias_var + weight_var * np.einsum("ri,ri->r", x, y) / n
            for x, y in ((left, left), (left, right), (right, right))
        )
    return np.stack([a, c, b], axis=1)


@pytest.mark.slow
def test_kernels_of_two_inputs_at_width_48():
    first, widths, num_networks = [[1.0, 0.4], [0.4, 0.7]], (48, 48, 48), 120_000
    corrections = kernel_corrections("tanh", first, widths, 1.3, 0.1)
    rng = np.random.default_rng(2026)
    draws = np.concatenate(
        [_kernel_chain(first, widths, 1.3, 0.1, 20_000, rng) for _ in range(num_networks // 20_000)]
    )
    error = draws.std(axis=0) / np.sqrt(num_networks)
    z = (draws.mean(axis=0) - corrections.kernel[-1] - corrections.kernel_shift[-1]) / error
    rival = (draws.mean(axis=0) - corrections.kernel[-1]) / error
    assert np.abs(z).max() < GATE
    assert rival[[0, 2]].max() < -GATE  # infinite width: a shift of 0.2 % of the kernel is resolved
    # second order is r = 1/16 of the first, times a constant below 1
    covariance = np.cov(draws.T)
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    allowed = GATE * np.sqrt(2.0 / num_networks) + corrections.sum_inverse_widths[-1]
    assert np.abs((covariance - corrections.kernel_covariance[-1]) / scale).max() < allowed
    one_layer = kernel_corrections("tanh", first, widths[:1], 1.3, 0.1).kernel_covariance[-1]
    assert np.abs((covariance - one_layer) / scale).max() > 2.0 * allowed
    # and what outputs show: 3 v from the kernel's draws
    v = corrections.kernel_covariance[-1, 0, 0] / corrections.kernel[-1, 0] ** 2
    sampled = 3.0 * draws[:, 0].var() / draws[:, 0].mean() ** 2
    assert abs(sampled / output_statistics(v).excess_kurtosis - 1.0) < allowed


def test_tangent_kernel_of_explicit_weights_at_width_8():
    n, sw2, sb2, num_networks = 8, 1.3, 0.1, 300_000
    corrections = kernel_corrections("tanh", 1.0, (n, n), sw2, sb2)
    rng = np.random.default_rng(2026)
    parts = []
    for _ in range(num_networks // 20_000):
        first = np.tanh(rng.standard_normal((20_000, n)))
        slope = 1.0 - first**2
        matrix, bias, output = (
            rng.standard_normal((20_000, *shape)) for shape in ((n, n), (n,), (n,))
        )
        second = np.tanh(
            np.sqrt(sw2 / n) * np.einsum("rij,rj->ri", matrix, first) + np.sqrt(sb2) * bias
        )
        back = np.sqrt(sw2 / n) * output * (1.0 - second**2)
        start = np.sqrt(sw2 / n) * np.einsum("rij,ri->rj", matrix, back) * slope
        parts.append(
            sb2
            + sw2 * (second**2).mean(axis=1)
            + (sb2 + sw2 * (first**2).mean(axis=1)) * (back**2).sum(axis=1)
            + (start**2).sum(axis=1)
        )
    draws = np.concatenate(parts)
    error = draws.std() / np.sqrt(num_networks)
    assert (
        abs(draws.mean() - corrections.tangent[-1, 0] - corrections.tangent_shift[-1, 0])
        < GATE * error
    )
    # infinite width; without Fc the shift has the other sign
    assert draws.mean() - corrections.tangent[-1, 0] < -GATE * error
    ratio = draws.var() / tangent_covariance(corrections)[-1, 0, 0]
    assert abs(ratio - 1.0) < corrections.sum_inverse_widths[-1]
    # without the weights of the output
    assert draws.var() > 1.2 * corrections.tangent_covariance[-1, 0, 0]


def test_range_of_the_expansion_for_relu():
    limit = criticality_class("relu", 2.0).largest_sum
    # exact over first order at the stated edge of the range: about 30 %
    assert 1.2 < ((1.0 + 5.0 * limit / 50) ** 50 - 1.0) / (5.0 * limit) < 1.35
