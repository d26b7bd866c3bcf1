"""Functions of neurons around known centres: residual streams closed as Gaussian.

u ~ N(m, C) over rows i, centres m_id of coordinates d:
    V_ij = mean_d E[f(u_i) f(u_j)],    D_ij = mean_d E[f'(u_i) f'(u_j)].
Smooth f: Mehler's series,
    E[f(u_i) f(u_j)] = sum_k rho_ij^k c_k(i) c_k(j),    c_k(i) = E[f(m_i + s_i Z) h_k(Z)],
rho the correlation, h_k the orthonormal Hermite polynomials; `missing`, the largest share of
E[f(u_i)^2] beyond them, bounds that of V_ij. Kinks: quadrature over pairs. Homogeneous f: 1-D
quadrature over u_i, E u_+ = m Phi(m/s) + s Phi'(m/s), P(u > 0) = Phi(m/s).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.gaussian import normal_rule
from deepinit.infinite_width.duals import HalfAngle
from deepinit.infinite_width.products import hermite
from deepinit.infinite_width.quadrature import (
    REACH,
    pair_rule,
    piecewise_rule,
    point_rule,
    quotient,
)
from deepinit.infinite_width.resolution import relative_error, second_moments
from deepinit.infinite_width.states import Kernel, State, blocks, matrix, on_ntk, squared

PairFn = Callable[..., tuple[jax.Array, jax.Array]]


class Averages(NamedTuple):
    """V, D [rows, rows] and mean_d E f(u_i).

    `missing`: largest share of a mean square beyond the series. `error`: largest relative error of
    mean_d E f(u_i)^2 or mean_d E f'(u_i)^2, by a finer rule.
    """

    values: jax.Array
    slopes: jax.Array
    means: jax.Array
    missing: Any = 0.0
    error: Any = 0.0


def with_centres(state: State, rows: Any) -> State:
    """The square state of inputs without deviations, or of an embedding (`rows` None: centres 0),
    whose sums with neurons count as Gaussian.
    """
    if rows is not None:
        zero = jnp.zeros_like(state.cross.cov)
        state = squared(state, Kernel(zero, state.cross.ntk))
    centres = jnp.zeros((*state.mean.shape, 1)) if rows is None else rows
    return state.replace(centres=centres, gaussian=True, closed=True)


def activated(activation: Activation, state: State) -> State:
    """phi of neurons around centres."""
    num, engine = len(state.same), state.engine[0]
    centres = state.centres.reshape(-1, state.centres.shape[-1])
    found = averages(activation, centres, matrix(state.cross.cov), engine)
    slopes = blocks(found.slopes, num)
    cross = Kernel(blocks(found.values, num), on_ntk(lambda ntk: slopes * ntk, state.cross.ntk))
    after = state.replace(
        mean=found.means.reshape(state.mean.shape),
        centres=None,
        closed=False,
        gaussian=False,
        missing=jnp.maximum(state.missing, found.missing),
        error=jnp.maximum(state.error, found.error),
        source=None,
    )
    return squared(after, cross)


def averages(
    activation: Activation, centres: jax.Array, covariance: jax.Array, engine: str
) -> Averages:
    """V, D and E f; centres [rows, coordinates].

    `engine`: `series` for smooth f; `quadrature` otherwise, or if `missing` is too large.
    """
    if activation.is_homogeneous:
        return _by_pairs(activation, centres, covariance, _homogeneous_pair)
    error = _resolution(activation, centres, covariance)
    if engine == "series" and not activation.kinks:
        return _by_series(activation, centres, covariance)._replace(error=error)
    return _by_pairs(activation, centres, covariance, _any_pair)._replace(error=error)


def _resolution(activation: Activation, centres: jax.Array, covariance: jax.Array) -> jax.Array:
    at = jax.vmap(second_moments, (None, None, 0, None))

    def at_row(arguments: tuple[jax.Array, jax.Array]) -> jax.Array:
        rules = [jnp.mean(at(activation, *arguments, finer), axis=0) for finer in (False, True)]
        return relative_error(*rules)

    std = jnp.sqrt(jnp.maximum(jnp.diagonal(covariance), 0.0))
    return jnp.max(jax.lax.map(at_row, (std, centres)))


def _by_series(activation: Activation, centres: jax.Array, covariance: jax.Array) -> Averages:
    nodes, weights = normal_rule()
    basis = hermite(nodes)
    variance, correlation = _correlations(covariance)
    at = centres[:, :, None] + jnp.sqrt(variance)[:, None, None] * nodes

    def product(function: Callable[[Any], Any]) -> tuple[jax.Array, jax.Array, jax.Array]:
        values = function(at)
        coefficients = jnp.moveaxis(
            (values * weights) @ basis.T, 2, 0
        )  # [terms, rows, coordinates]

        def horner(total, coefficient):
            return total * correlation + coefficient @ coefficient.T / centres.shape[1], None

        total = jax.lax.scan(horner, jnp.zeros_like(covariance), coefficients, reverse=True)[0]
        square = jnp.mean(values**2 @ weights, axis=1)
        rest = jnp.abs(square - jnp.mean(jnp.sum(coefficients**2, axis=0), axis=1))
        share = rest / jnp.where(square > 0, square, 1.0)
        return total, jnp.mean(coefficients[0], axis=1), jnp.max(share)

    values_, mean, missing = product(activation)
    slopes, _, missing_slopes = product(activation.derivative)
    return Averages(values_, slopes, mean, jnp.maximum(missing, missing_slopes))


def _any_pair(activation: Activation, means, variances, cosine) -> tuple[jax.Array, jax.Array]:
    """E[f(u) f(v)] and E[f'(u) f'(v)] by 2-D quadrature."""
    first, second = variances
    angle = HalfAngle(0.5 * (1.0 - cosine), 0.5 * (1.0 + cosine))
    rule = pair_rule(activation.kinks, first, second, second - first, angle, means)
    u, v = means[0] + rule.u, means[1] + rule.u + rule.step
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
    activation: Activation, centres: jax.Array, covariance: jax.Array, pair_fn: PairFn
) -> Averages:
    variance, correlation = _correlations(covariance)
    rows, columns = np.triu_indices(len(covariance))

    def at_pair(arguments: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        row, column = arguments
        variances, cosine = (variance[row], variance[column]), correlation[row, column]
        at_coordinate = lambda means: pair_fn(activation, means, variances, cosine)
        pairs = jax.lax.map(at_coordinate, (centres[row], centres[column]))
        return jnp.mean(pairs[0]), jnp.mean(pairs[1])

    def mean_at(std: jax.Array, mean: jax.Array) -> jax.Array:
        nodes, weights = point_rule(activation.kinks, std, mean)
        return jnp.sum(weights * activation(mean + std * nodes))

    entries = jax.lax.map(at_pair, (jnp.asarray(rows), jnp.asarray(columns)))
    upper = [jnp.zeros_like(covariance).at[rows, columns].set(part) for part in entries]
    values, slopes = (part + jnp.triu(part, 1).T for part in upper)
    means = jax.vmap(jax.vmap(mean_at, (None, 0)))(jnp.sqrt(variance), centres)
    return Averages(values, slopes, jnp.mean(means, axis=1))


def _correlations(covariance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Variances and correlations."""
    variance = jnp.maximum(jnp.diagonal(covariance), 0.0)
    norms = jnp.sqrt(variance[:, None]) * jnp.sqrt(variance[None])
    correlation = jnp.clip(covariance / jnp.where(norms > 0, norms, 1.0), -1.0, 1.0)
    return variance, jnp.where(
        jnp.eye(len(covariance), dtype=bool), 1.0, jnp.where(norms > 0, correlation, 0.0)
    )
