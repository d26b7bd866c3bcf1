"""Explicit random matrices against the exact laws at widths 2 to 8."""

import itertools
import math

import numpy as np
import pytest
from statistical import assert_mean

from deepinit.theory.lengths import (
    HomogeneousNetwork,
    expansion,
    length_cdf,
    length_moment,
    log_length_moments,
    log_volume_moments,
    volume_moment,
)

NETWORKS = 40_000


def haar(rng, rows, columns):
    """Matrices with orthonormal rows or columns, Haar distributed, entries of variance 1 /
    columns."""
    large, small = max(rows, columns), min(rows, columns)
    q, r = np.linalg.qr(rng.standard_normal((NETWORKS, large, small)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    q = q * math.sqrt(large / columns)
    return q if rows >= columns else q.transpose(0, 2, 1)


def frames(rng, widths, *, d=1, law="normal", slope=0.0, bias=None, parallel=False):
    """The images J U, [networks, n_L, d], of the first d axes at a point; linear output of variance
    1 / fan_in, no bias."""
    point = np.eye(widths[0])[:, :1] if parallel else rng.standard_normal((widths[0], 1))
    x = np.broadcast_to(point, (NETWORKS, widths[0], 1))
    u = np.broadcast_to(np.eye(widths[0])[:, :d], (NETWORKS, widths[0], d))
    for layer, (fan_in, width) in enumerate(itertools.pairwise(widths), start=2):
        draw = (
            haar(rng, width, fan_in)
            if law == "orthogonal"
            else rng.standard_normal((NETWORKS, width, fan_in))
        )
        weights = draw if law == "orthogonal" else draw / math.sqrt(fan_in)
        if layer == len(widths):
            return weights @ u
        weights = weights * math.sqrt(2.0 / (1.0 + slope**2))
        z = weights @ x + (0.0 if bias is None else bias(rng, (NETWORKS, width, 1)))
        gate = np.where(z > 0, 1.0, slope)
        x, u = gate * z, gate * (weights @ u)
    raise AssertionError


def check_log_moments(squares, predicted, rival):
    """Survival, mean and variance of the logarithm; a rival mean is rejected."""
    alive = squares > 0
    p = predicted.p_alive
    assert abs(alive.mean() - p) <= 5 * math.sqrt(p * (1 - p) / NETWORKS)
    logs = np.log(squares[alive])
    assert_mean(logs, predicted.mean, rejects=rival)
    deviations = (logs - predicted.mean) ** 2
    assert_mean(deviations, predicted.variance, rejects=1.2 * predicted.variance, resolves=0.085)


def check_cdf(lengths, xs, network, rival):
    """Shares of lengths up to every x, which the rival network does not have."""
    below = lengths[:, None] <= np.array(xs)
    exact, other = (np.array([length_cdf(x, net) for x in xs]) for net in (network, rival))
    assert_mean(below, exact, rejects=other, standard_error=np.sqrt(exact * (1 - exact) / NETWORKS))


def no_bias(rng, shape):
    return np.zeros(shape)


def normal_bias(rng, shape):
    return rng.standard_normal(shape)


def cauchy_bias(rng, shape):
    return rng.standard_cauchy(shape)


@pytest.mark.parametrize("bias", [no_bias, normal_bias, cauchy_bias])
@pytest.mark.parametrize("widths", [(3, 5, 2, 4), (2, 4, 4, 3), (8, 4, 3, 5)])
def test_lengths_in_relu_networks(widths, bias):
    """Mean length to 3 %, mean log to 0.02; the first-order exponential is 4 to 5 % off."""
    squares = (frames(np.random.default_rng(1), widths, bias=bias) ** 2).sum(axis=(1, 2))
    network = HomogeneousNetwork(widths)
    # the rival: infinite width
    check_log_moments(squares, log_length_moments(network), math.log(widths[-1] / widths[0]))
    lengths = np.sqrt(squares)
    assert_mean(lengths, length_moment(network), rejects=expansion(network, 1), resolves=0.035)
    check_cdf(lengths, (0.0, 0.2, 0.5, 1.0, 1.5), network, HomogeneousNetwork((*widths[:-1], 9)))


def test_the_tangent_may_point_along_the_input():
    widths = (3, 5, 2, 4)
    squares = (frames(np.random.default_rng(2), widths, parallel=True) ** 2).sum(axis=(1, 2))
    predicted = log_length_moments(HomogeneousNetwork(widths))
    check_log_moments(squares, predicted, math.log(widths[-1] / widths[0]))


def test_constant_biases_are_told_apart():
    widths = (3, 5, 2, 4)
    squares = (
        frames(np.random.default_rng(3), widths, bias=lambda rng, shape: np.full(shape, 0.5)) ** 2
    ).sum(axis=(1, 2))
    lengths = np.sqrt(squares)
    assert lengths.mean() > length_moment(
        HomogeneousNetwork(widths)
    ) + 5 * lengths.std() / math.sqrt(NETWORKS)


@pytest.mark.parametrize("widths", [(5, 5, 5, 5), (3, 6, 4, 2), (7, 3, 5, 4)])
def test_lengths_in_orthogonal_networks(widths):
    squares = (
        frames(np.random.default_rng(4), widths, law="orthogonal", bias=normal_bias) ** 2
    ).sum(axis=(1, 2))
    orthogonal, gaussian = (HomogeneousNetwork(widths, law=law) for law in ("orthogonal", "normal"))
    rival = log_length_moments(gaussian).mean
    check_log_moments(squares, log_length_moments(orthogonal), rival)
    lengths = np.sqrt(squares)
    assert_mean(lengths, length_moment(orthogonal), rejects=length_moment(gaussian), resolves=0.03)


def test_lengths_in_leaky_networks():
    widths, slope = (4, 5, 3, 5), 0.3
    squares = (frames(np.random.default_rng(5), widths, slope=slope, bias=normal_bias) ** 2).sum(
        axis=(1, 2)
    )
    leaky, relu = HomogeneousNetwork(widths, negative_slope=slope), HomogeneousNetwork(widths)
    check_log_moments(squares, log_length_moments(leaky), log_length_moments(relu).mean)
    for x in (0.3, 0.6):
        check_cdf(np.sqrt(squares), [x], leaky, relu)


@pytest.mark.parametrize("law", ["normal", "orthogonal"])
@pytest.mark.parametrize(("widths", "d"), [((4, 6, 5, 3), 2), ((4, 6, 5, 5), 3)])
def test_volumes(widths, d, law):
    images = frames(np.random.default_rng(6), widths, d=d, law=law, bias=normal_bias)
    # Singular values, for collapsed frames: their volume is rounding and not zero.
    singular = np.linalg.svd(images, compute_uv=False)
    squares = np.where(singular[:, -1] > 1e-10, singular.prod(axis=1) ** 2, 0.0)
    network = HomogeneousNetwork(widths, law=law)
    # the rivals: as if directions were independent; infinite width
    independent = d * log_length_moments(network).mean
    check_log_moments(squares, log_volume_moments(network, d), independent)
    infinite = (widths[-1] / widths[0]) ** (d / 2)
    assert_mean(np.sqrt(squares), volume_moment(network, d), rejects=infinite, resolves=0.14)
