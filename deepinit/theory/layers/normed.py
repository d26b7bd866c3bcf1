"""Columns that a norm over rows couples, and averages of functions of them.

F = c / r: c is z centred over a set of values, r^2 = mean of c^2 over the set + eps.
Batch norm: one column z ~ N(0, R), one set. Group norm: `channels` columns, a set for every input.
Without means, z = B L x, x standard normal, S = B^T (1 x R) B = L L^T on its principal axes.

Homogeneous functions, one set of N values: 1/r^2 = N int exp(-s |c|^2 - s N eps) ds tilts S to
S (1 + 2 s S)^-1. Others, and all variances: rules over x (`norm_nodes`), of relative error 1e-8 up
to 3 dimensions; Sobol points beyond, 1e-5 (batch of 5) to 1e-4 (of 8), derivatives 1e-2.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activation import Activation
from deepinit.theory.layers import homogeneous
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.norm_nodes import Nodes, norm_nodes
from deepinit.theory.layers.tape import Tape
from deepinit.theory.numerics.entries import count_rows, entries

LARGEST_TUPLE = 64  # values of a tuple of columns
LARGEST_SAMPLED = 1e-3  # relative error of Sobol points
_LOG2_VALUES, _LOG2_SLOPES = 17, 11
_CHUNK = 2**21  # numbers at once
_STEP, _BELOW, _ABOVE = 0.4, -37.0, 90.0  # of ln s
_NULL = 1e-12  # of the largest variance


class Norm(NamedTuple):
    """A norm over rows, first of a chain.

    Attributes:
        eps: added to the mean square.
        channels: columns normalized together.
        positions: rows of a set; 0 for all.
    """

    eps: float
    channels: int = 1
    positions: int = 0


class Terms(NamedTuple):
    """Averages of u = (y_a y_b [p], y_a [k]), means over channels of y = phi(F).

    Attributes:
        value: [p + k], E u.
        gradient, hessian: [p + k, p], [p + k, p, p], by R.
        products: [p + k, p + k], E u u^T.
    """

    value: Any
    gradient: Any
    hessian: Any
    products: Any

    def mean(self, variance: Any) -> Any:
        """E u with its derivatives."""
        step = variance - jax.lax.stop_gradient(variance)
        return _polynomial((self.value, self.gradient, self.hessian), step)


def normed_terms(norm: Norm, chain: tuple[Activation, ...], variance: Any, tape: Tape) -> Terms:
    """Averages of u, y = chain(F), R = variance [p]."""
    variance = jax.lax.stop_gradient(variance)
    coupled = centred_values(norm, count_rows(variance.shape[0]))
    dimension = coupled.basis.shape[1]
    on_sphere = coupled.num_sets == 1 and dimension <= 3
    fine, rough = (
        norm_nodes(dimension, norm.eps > 0, None if on_sphere else points)
        for points in (_LOG2_VALUES, _LOG2_SLOPES)
    )
    root = _root(coupled, variance)

    def features(x: Any, at: Any) -> Any:
        z = x @ _polynomial(root, at - variance).T
        square = z**2 @ coupled.averaging + norm.eps
        f = z / jnp.sqrt(jnp.where(square > 0.0, square, 1.0))
        return _features(chain, f.reshape(len(x), norm.channels, -1))

    def values(x: Any, weights: Any) -> Any:
        u = features(x, variance)
        return weights @ u, (weights[0] * u.T) @ u

    size = len(coupled.basis) + len(variance)
    (value, coarse), products = _over_nodes(values, fine, size)
    closed = dimension > 1 and coupled.num_sets == 1 and is_homogeneous(chain)
    tape.note(_error(value, coarse, products, fine.sampled or closed))
    if closed:
        slopes = (chain[0].slopes if chain else None) or (1.0, 1.0)
        value, gradient, hessian = _jet(lambda at: _tilted(norm, coupled, slopes, at), variance)
    else:
        slopes_of = lambda x, w: _jet(lambda at: w[0] @ features(x, at), variance)[1:]
        gradient, hessian = _over_nodes(slopes_of, rough, size * len(variance) ** 2)
    return Terms(value, gradient, hessian, products)


def is_homogeneous(chain: tuple[Activation, ...]) -> bool:
    """Whether the functions are x -> left x, right x."""
    return not chain or (len(chain) == 1 and chain[0].slopes is not None)


class _Sets(NamedTuple):
    """N values of a tuple of columns, in sets.

    Attributes:
        basis: [N, D], orthonormal, of values whose means over sets are 0.
        averaging: [N, N], means over the set of a value.
        num_sets: of all rows.
    """

    basis: np.ndarray
    averaging: np.ndarray
    num_sets: int


@lru_cache(maxsize=16)
def centred_values(norm: Norm, num_rows: int) -> _Sets:
    """Values of a tuple of columns, in sets."""
    positions = norm.positions or num_rows
    labels = np.tile(np.arange(num_rows) // positions, norm.channels)
    same = (labels[:, None] == labels).astype(float)
    averaging = same / same.sum(axis=1)
    values, vectors = np.linalg.eigh(np.eye(len(labels)) - averaging)
    return _Sets(vectors[:, values > 0.5], averaging, num_rows // positions)


def reduced_variance(coupled: _Sets, variance: Any) -> Any:
    """S [D, D]."""
    matrix = matrix_of(variance)
    channels = len(coupled.basis) // len(matrix)
    return coupled.basis.T @ jnp.kron(jnp.eye(channels), matrix) @ coupled.basis


def _root(coupled: _Sets, variance: Any) -> Any:
    """B L [N, D] with derivatives, L on the principal axes of S that are not null.

    Linear relations between rows are those of every network: R fluctuates within its range.
    """
    values, axes = jnp.linalg.eigh(reduced_variance(coupled, variance))
    values, axes = values[::-1], axes[:, ::-1]
    kept = jnp.where(values > _NULL * values[0], 1.0, 0.0)
    inside = jnp.outer(kept, kept)

    def at(variance: Any) -> Any:
        reduced = inside * (axes.T @ reduced_variance(coupled, variance) @ axes)
        factor = jnp.linalg.cholesky(reduced + jnp.diag(1.0 - kept))
        return coupled.basis @ axes @ (inside * factor)

    return _jet(at, variance)


def _features(chain: tuple[Activation, ...], f: Any) -> Any:
    """u [m, p + k] of F [m, channels, k]."""
    for function in chain:
        f = function(f)
    where = entries(f.shape[2])
    pairs = f[:, :, where.rows] * f[:, :, where.columns]
    return jnp.concatenate([pairs.mean(axis=1), f.mean(axis=1)], axis=1)


def _tilted(norm: Norm, coupled: _Sets, slopes: tuple[float, float], variance: Any) -> Any:
    """E u of a homogeneous function, one set."""
    basis, reduced = coupled.basis, reduced_variance(coupled, variance)
    num, dimension = basis.shape
    first, square, *_ = homogeneous.single(slopes)
    where = entries(num // norm.channels)
    mixed = np.flatnonzero(where.rows != where.columns)
    ends = where.rows[mixed], where.columns[mixed]
    start = jnp.log(jax.lax.stop_gradient(dimension / (2.0 * jnp.trace(reduced))))
    logs = start + np.arange(_BELOW, _ABOVE, _STEP)

    def add(total: Any, log_s: Any) -> tuple[Any, None]:
        s = jnp.exp(log_s)
        grown = jnp.eye(dimension) + 2.0 * s * reduced
        tilted = basis @ jnp.linalg.solve(grown, reduced) @ basis.T
        blocks = tilted.reshape(norm.channels, len(where.diagonal), norm.channels, -1)
        blocks = jnp.einsum("cacb->cab", blocks)
        own = jnp.einsum("caa->ca", blocks)
        pairs = (own[:, ends[0]], blocks[:, ends[0], ends[1]], own[:, ends[1]])
        second = jnp.zeros(len(where.rows), own.dtype)
        second = second.at[where.diagonal].set(square(own).mean(axis=0))
        second = second.at[mixed].set(homogeneous.product(slopes, pairs).mean(axis=0))
        density = jnp.exp(-0.5 * jnp.linalg.slogdet(grown)[1] - s * num * norm.eps)
        mean = jnp.sqrt(num * s / math.pi) * first(own).mean(axis=0)
        return total + _STEP * density * jnp.concatenate([num * s * second, mean]), None

    zero = jnp.zeros(len(where.rows) + len(where.diagonal), variance.dtype)
    return jax.lax.scan(add, zero, logs)[0]


def _over_nodes(function: Callable[[Any, Any], Any], rule: Nodes, size: int) -> Any:
    """Sums of function(points [m, D], weights [2, m]) over parts of a rule."""
    count = len(rule.points)
    each = max(1, min(count, _CHUNK // size))
    parts = -(-count // each)
    places = np.minimum(np.arange(parts * each), count - 1)
    weights = np.stack([rule.weights, rule.coarse])[:, places] * (np.arange(parts * each) < count)
    points = rule.points[places].reshape(parts, each, -1)
    xs = jnp.asarray(points), jnp.asarray(weights.reshape(2, parts, each).swapaxes(0, 1))
    zero = jax.eval_shape(function, *jax.tree.map(lambda part: part[0], xs))
    total = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), zero)
    add = lambda total, part: (jax.tree.map(jnp.add, total, function(*part)), None)
    return jax.lax.scan(add, total, xs)[0]


def _jet(function: Callable[[Any], Any], at: Any) -> tuple[Any, Any, Any]:
    """Value, gradient, Hessian."""

    def once(at: Any) -> tuple[Any, Any]:
        value = function(at)
        return value, value

    def twice(at: Any) -> tuple[Any, Any]:
        gradient, value = jax.jacfwd(once, has_aux=True)(at)
        return gradient, (value, gradient)

    hessian, (value, gradient) = jax.jacfwd(twice, has_aux=True)(at)
    return value, gradient, hessian


def _polynomial(jet: tuple[Any, Any, Any], step: Any) -> Any:
    value, gradient, hessian = jet
    return value + (gradient + 0.5 * hessian @ step) @ step


def _error(value: Any, coarse: Any, products: Any, sampled: bool) -> Any:
    """Relative to the features' root mean squares; infinite for NaN."""
    gap = jnp.max(jnp.abs(value - coarse)) / jnp.sqrt(jnp.max(jnp.abs(products)))
    good = gap <= (LARGEST_SAMPLED if sampled else 1.0)
    return jnp.where(good, 0.0 if sampled else gap**2, jnp.inf)
