"""Networks, curves and their images without coefficients, for the tests of the region sweep."""

import itertools
import math

import numpy as np
import scipy.integrate
import scipy.optimize

from deepinit.core.curves import Curve
from deepinit.piecewise_linear.pieces import angular_lengths
from deepinit.piecewise_linear.relu_layers import checked_layers


def random_net(rng, widths, bias_std=0.0, out_var=1.0):
    layers = []
    for number, (fan_in, fan_out) in enumerate(itertools.pairwise(widths), start=1):
        variance = out_var if number == len(widths) - 1 else 2.0
        weights = rng.normal(size=(fan_out, fan_in)) * math.sqrt(variance / fan_in)
        layers.append((weights, bias_std * rng.normal(size=fan_out) if bias_std else None))
    return layers


def arc(dimension, start, stop, rng=None):
    """A circle about a point off the origin, in a plane in general position."""
    rng = np.random.default_rng(3) if rng is None else rng
    plane = np.linalg.qr(rng.normal(size=(dimension, 2)))[0].T
    return Curve("circle", np.stack([0.4 * rng.normal(size=dimension), *plane]), start, stop, "arc")


def segment(dimension, start, stop):
    point, velocity = np.random.default_rng(4).normal(size=(2, dimension))
    return Curve("line", np.stack([point, velocity]), start, stop, "segment")


def states_at(layers, curve, t, slope=0.0, last_is_linear=True):
    """Images, velocities and preactivations at the parameters t, by brute force."""
    x, v = curve.points(t), curve.tangents(t) * np.ones((len(t), 1))
    images, velocities, preactivations = [], [], []
    for layer in checked_layers(layers, curve.dimension, last_is_linear):
        z, dz = x @ layer.weights.T + layer.biases, v @ layer.weights.T
        if not layer.is_linear:
            preactivations.append(z)
            z, dz = np.where(z > 0, z, slope * z), np.where(z > 0, dz, slope * dz)
        if layer.out_weights is not None:
            z, dz = x + z @ layer.out_weights.T, v + dz @ layer.out_weights.T
        x, v = z, dz
        images.append(x)
        velocities.append(v)
    return images, velocities, preactivations


def brute_force(layers, curve, slope=0.0, last_is_linear=True, num_scanned=40_001):
    """Lengths by adaptive quadrature between sign changes and speed minima of a fine scan."""
    scanned = np.linspace(curve.start, curve.stop, num_scanned)
    _, velocities, preactivations = states_at(layers, curve, scanned, slope, last_is_linear)
    edges = {curve.start, curve.stop}
    for number, z in enumerate(preactivations):
        for step, unit in zip(*np.nonzero((z[1:] > 0) != (z[:-1] > 0)), strict=True):

            def at(t, number=number, unit=unit):
                return states_at(layers, curve, np.array([t]), slope, last_is_linear)[2][number][
                    0, unit
                ]

            if at(scanned[step]) * at(scanned[step + 1]) < 0:
                edges.add(scipy.optimize.brentq(at, scanned[step], scanned[step + 1], xtol=1e-15))
    lengths = []
    for number, velocity in enumerate(velocities):

        def speed(t, number=number):
            return np.linalg.norm(
                states_at(layers, curve, np.array([t]), slope, last_is_linear)[1][number]
            )

        # the speed may have a kink of its own where the velocity passes 0: a sharp minimum
        v = np.linalg.norm(velocity, axis=1)
        sharp = (
            np.flatnonzero((v[1:-1] < v[:-2]) & (v[1:-1] <= v[2:]) & (v[1:-1] < 0.02 * v.max())) + 1
        )
        minima = [
            scipy.optimize.minimize_scalar(
                speed, bounds=scanned[[k - 1, k + 1]], method="bounded", options={"xatol": 1e-12}
            ).x
            for k in sharp
        ]
        ends = np.array(sorted(edges | set(minima)))
        lengths.append(
            sum(
                scipy.integrate.quad(speed, a, b, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
                for a, b in itertools.pairwise(ends)
            )
        )
    return np.array(lengths), len(edges) - 2


def expected_breakpoints(pieces, fan_out, weight_var, bias_std=0.0):
    """Expected breakpoints of the next Gaussian layer, given its input curve (Rice's formula).

    (fan_out / pi) times the angular length of (sqrt(weight_var / fan_in) x(t), bias_std): a curve
    of length theta on the sphere crosses a random great hypersphere theta / pi times (Crofton).
    """
    num_pieces, num_basis, fan_in = pieces.coefficients.shape
    heights = np.zeros((num_pieces, num_basis, 1))
    heights[:, 0] = bias_std
    u = np.concatenate([math.sqrt(weight_var / fan_in) * pieces.coefficients, heights], axis=2)
    return float(fan_out / math.pi * angular_lengths(pieces._replace(coefficients=u)).sum())
