"""Gaussian expectations of an activation over many pairs, with means.

u ~ N(mu, C) over sites i, means mu_id of coordinates d:
    V_ij = mean_d E[f(u_i) f(u_j)],    D_ij = mean_d E[f'(u_i) f'(u_j)].
Centred homogeneous f: arc-cosine; centred erf: arcsine. Other smooth f: Mehler's series,
    E[f(u_i) f(u_j)] = sum_k rho_ij^k c_k(i) c_k(j),    c_k(i) = E[f(mu_i + s_i Z) h_k(Z)],
rho the correlation, h_k the orthonormal Hermite polynomials. `missing`, the largest share of
E[f(u_i)^2] beyond NUM_TERMS terms, bounds that of V_ij. Kinks: quadrature over pairs. Homogeneous f
with means: 1-D quadrature over u_i, E u_+ = m Phi(m/s) + s Phi'(m/s), P(u > 0) = Phi(m/s).
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation, erf, linear
from deepinit.core.gaussian import normal_rule
from deepinit.infinite_width.duals import HalfAngle, pair_moments
from deepinit.infinite_width.quadrature import (
    REACH,
    pair_rule,
    piecewise_rule,
    point_rule,
    quotient,
)
from deepinit.infinite_width.resolution import relative_error, second_moments

Engine = Literal["series", "quadrature"]
PairFn = Callable[..., tuple[jax.Array, jax.Array]]

NUM_TERMS = 256  # to 1e-11 for tanh up to standard deviation 2.5, for erf up to 2


class Products(NamedTuple):
    """Expectations of products.

    Attributes:
        values, slopes, means: V, D, mean_d E f(u_i).
        missing: largest share of a mean square beyond the series.
        error: largest relative error of mean_d E f(u_i)^2 or mean_d E f'(u_i)^2, by a finer rule.
    """

    values: jax.Array
    slopes: jax.Array
    means: jax.Array
    missing: Any = 0.0
    error: Any = 0.0


def gaussian_products(
    activation: Activation, means: jax.Array | None, covariance: jax.Array, engine: Engine
) -> Products:
    """V, D and E f of Gaussian sites; `means` None for 0 (closed forms).

    `engine`: `series` for smooth f; `quadrature` otherwise, or if `missing` is too large.
    """
    if activation == linear:
        ones = jnp.ones_like(covariance)
        if means is None:
            return Products(covariance, ones, jnp.zeros_like(covariance[0]))
        square = means @ means.T / means.shape[1]
        return Products(covariance + square, ones, jnp.mean(means, axis=1))
    if activation.is_homogeneous and means is None:
        return _arc_cosine(activation, covariance)
    if activation == erf and means is None:
        return _arc_sine(covariance)
    if activation.is_homogeneous:
        return _by_pairs(activation, means, covariance, _homogeneous_pair)
    error = _resolution(activation, means, covariance)
    if engine == "series" and not activation.kinks:
        return _by_series(activation, means, covariance)._replace(error=error)
    return _by_pairs(activation, means, covariance, _any_pair)._replace(error=error)


def _resolution(
    activation: Activation, means: jax.Array | None, covariance: jax.Array
) -> jax.Array:
    def at_site(arguments: tuple[jax.Array, jax.Array | None]) -> jax.Array:
        std, mean = arguments
        if mean is None:
            rules = [second_moments(activation, std, None, finer) for finer in (False, True)]
            return relative_error(*rules)
        at = jax.vmap(second_moments, (None, None, 0, None))
        rules = [jnp.mean(at(activation, std, mean, finer), axis=0) for finer in (False, True)]
        return relative_error(*rules)

    std = jnp.sqrt(jnp.maximum(jnp.diagonal(covariance), 0.0))
    return jnp.max(jax.lax.map(at_site, (std, means)))


def _arc_cosine(activation: Activation, covariance: jax.Array) -> Products:
    assert activation.slopes is not None
    left, right = activation.slopes
    size = len(covariance)
    variance, correlation = _correlations(covariance)
    first, second = (grid.ravel() for grid in jnp.meshgrid(variance, variance, indexing="ij"))
    angle = HalfAngle(0.5 * (1.0 - correlation).ravel(), 0.5 * (1.0 + correlation).ravel())
    pair = pair_moments(activation, first, second, second - first, angle)
    norms = 0.5 * (left**2 + right**2) * jnp.sqrt(first * second)
    products = norms * (pair.angle.cos2 - pair.angle.sin2)
    mean = (right - left) * jnp.sqrt(variance) / math.sqrt(2.0 * math.pi)
    return Products(products.reshape(size, size), pair.derivative.reshape(size, size), mean)


def _arc_sine(covariance: jax.Array) -> Products:
    """V = (2/pi) arcsin(2 c / sqrt((1 + 2 q_1)(1 + 2 q_2))), D = dV/dc."""
    scale = 1.0 + 2.0 * jnp.diagonal(covariance)
    norms = jnp.sqrt(scale[:, None] * scale[None])
    products = (2.0 / math.pi) * jnp.arcsin(2.0 * covariance / norms)
    slopes = (4.0 / math.pi) / jnp.sqrt((norms - 2.0 * covariance) * (norms + 2.0 * covariance))
    return Products(products, slopes, jnp.zeros_like(covariance[0]))


def _by_series(activation: Activation, means: jax.Array | None, covariance: jax.Array) -> Products:
    means = jnp.zeros_like(covariance[:, :1]) if means is None else means
    nodes, weights = normal_rule()
    basis = hermite(nodes)
    variance, correlation = _correlations(covariance)
    at = means[:, :, None] + jnp.sqrt(variance)[:, None, None] * nodes

    def product(function: Callable[[Any], Any]) -> tuple[jax.Array, jax.Array, jax.Array]:
        values = function(at)
        coefficients = jnp.moveaxis(
            (values * weights) @ basis.T, 2, 0
        )  # [terms, sites, coordinates]

        def horner(total, coefficient):
            return total * correlation + coefficient @ coefficient.T / means.shape[1], None

        total = jax.lax.scan(horner, jnp.zeros_like(covariance), coefficients, reverse=True)[0]
        square = jnp.mean(values**2 @ weights, axis=1)
        rest = jnp.abs(square - jnp.mean(jnp.sum(coefficients**2, axis=0), axis=1))
        share = rest / jnp.where(square > 0, square, 1.0)
        return total, jnp.mean(coefficients[0], axis=1), jnp.max(share)

    values_, mean, missing = product(activation)
    slopes, _, missing_slopes = product(activation.derivative)
    return Products(values_, slopes, mean, jnp.maximum(missing, missing_slopes))


def _any_pair(activation: Activation, means, variances, cosine) -> tuple[jax.Array, jax.Array]:
    """E[f(u) f(v)] and E[f'(u) f'(v)] by 2-D quadrature."""
    first, second = variances
    angle = HalfAngle(0.5 * (1.0 - cosine), 0.5 * (1.0 + cosine))
    rule = pair_rule(activation.kinks, first, second, second - first, angle, means)
    u, v = rule.u, rule.u + rule.step
    if means is not None:
        u, v = means[0] + u, means[1] + v
    slopes = activation.derivative(u) * activation.derivative(v)
    return jnp.sum(rule.weights * activation(u) * activation(v)), jnp.sum(rule.weights * slopes)


def _homogeneous_pair(
    activation: Activation, means, variances, cosine
) -> tuple[jax.Array, jax.Array]:
    """The same for homogeneous f, by 1-D quadrature."""
    assert activation.slopes is not None
    left, right = activation.slopes
    std_1, std_2 = jnp.sqrt(variances[0]), jnp.sqrt(variances[1])
    sine = jnp.sqrt((1.0 - cosine) * (1.0 + cosine))
    # z where u changes sign; where v can begin and must cease to
    turn = quotient(-means[1], std_2)
    reach = (quotient(turn + sign * REACH * sine, cosine) for sign in (-1.0, 0.0, 1.0))
    nodes, weights = piecewise_rule(jnp.stack([quotient(-means[0], std_1), *reach]))
    u, mean, rest = means[0] + std_1 * nodes, means[1] + std_2 * cosine * nodes, std_2 * sine
    standard = jnp.where(rest > 0, quotient(mean, rest), jnp.where(mean >= 0, 1.0, -1.0) * 1e300)
    positive = jax.scipy.special.ndtr(standard)
    density = jnp.exp(-0.5 * jnp.minimum(standard**2, 1400.0)) / math.sqrt(2.0 * math.pi)
    above = mean * positive + rest * density
    values_ = jnp.sum(weights * activation(u) * (left * mean + (right - left) * above))
    return values_, jnp.sum(weights * activation.derivative(u) * (left + (right - left) * positive))


def _by_pairs(
    activation: Activation, means: jax.Array | None, covariance: jax.Array, pair_fn: PairFn
) -> Products:
    variance, correlation = _correlations(covariance)
    rows, columns = np.triu_indices(len(covariance))

    def at_pair(arguments: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        row, column = arguments
        variances, cosine = (variance[row], variance[column]), correlation[row, column]
        if means is None:
            return pair_fn(activation, None, variances, cosine)
        both = means[row], means[column]
        pairs = jax.lax.map(lambda mean: pair_fn(activation, mean, variances, cosine), both)
        return jnp.mean(pairs[0]), jnp.mean(pairs[1])

    def mean_at(std: jax.Array, mean: jax.Array | None) -> jax.Array:
        nodes, weights = point_rule(activation.kinks, std, mean)
        return jnp.sum(weights * activation(std * nodes if mean is None else mean + std * nodes))

    entries = jax.lax.map(at_pair, (jnp.asarray(rows), jnp.asarray(columns)))
    upper = [jnp.zeros_like(covariance).at[rows, columns].set(part) for part in entries]
    values, slopes = (matrix + jnp.triu(matrix, 1).T for matrix in upper)
    if means is None:
        return Products(values, slopes, jax.vmap(mean_at, (0, None))(jnp.sqrt(variance), None))
    mean = jax.vmap(jax.vmap(mean_at, (None, 0)))(jnp.sqrt(variance), means)
    return Products(values, slopes, jnp.mean(mean, axis=1))


def _correlations(covariance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Variances and correlations."""
    variance = jnp.maximum(jnp.diagonal(covariance), 0.0)
    norms = jnp.sqrt(variance[:, None]) * jnp.sqrt(variance[None])
    correlation = jnp.clip(covariance / jnp.where(norms > 0, norms, 1.0), -1.0, 1.0)
    return variance, jnp.where(
        jnp.eye(len(covariance), dtype=bool), 1.0, jnp.where(norms > 0, correlation, 0.0)
    )


def hermite(nodes: np.ndarray) -> np.ndarray:
    """[terms, nodes]: sqrt(k + 1) h_{k+1} = z h_k - sqrt(k) h_{k-1}."""
    rows = [np.ones_like(nodes), nodes]
    for k in range(1, NUM_TERMS - 1):
        rows.append((nodes * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1))
    return np.stack(rows)
