"""Averages of batch-normalized Gaussian columns: E phi(F) phi(F)^T and tangent kernels.

F = c / r, c = z centred over N rows, r^2 = |c|^2 / N + eps, z ~ N(0, R). Homogeneous phi: 1-D
integrals over s, as 1/|x|^(2k) = int s^(k-1) exp(-s |x|^2) ds / (k-1)! tilts N(0, C) to N(0, C_s),
C_s^-1 = C^-1 + 2 s. Others: quadrature over |c|, angles for 3 rows, Sobol points beyond.
Tangents: dF = (t - F (F.t) / N) / r for t ~ N(0, ntk), centred.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.infinite_width.closed_forms import closed_form
from deepinit.infinite_width.random_nodes import REPLICAS, random_points
from deepinit.infinite_width.routes_of_maxima import routes, weighted

_STEP, _BELOW, _ABOVE = 0.4, -37.0, 90.0  # of ln s
_ANGLES = 1024
_RADIAL_STEP, _SMALLEST = 0.5, -30.0  # of ln |g|
_TAIL = 1e-9  # share of the last node: above it the integral diverges


class BatchAverages(NamedTuple):
    """Averages over one column.

    `values`: E y y^T, y = phi(F). `mean`: E y. `ntk`: E[J ntk J^T], J = dy/dz; None if not asked.
    `gains`: E[(F phi'(F)) (F phi'(F))^T] + E[phi'(F) phi'(F)^T], of trained gains and biases.
    """

    values: Any
    mean: Any
    ntk: Any
    gains: Any


def batch_averages(
    phi: Activation, cov: Any, ntk: Any, eps: float, replica: Any, windows: Any = None
) -> tuple[BatchAverages, bool]:
    """Averages, and whether they depend on `replica`.

    Args:
        cov, ntk: [N, N] of the columns z; ntk or None.
        windows: [W, size], rows of which the maximum is taken last; None for all rows.
    """
    cov = _centred(cov)
    if phi.slopes is not None and windows is None:
        return _homogeneous(phi, cov, _centred(ntk), eps), False
    return _numerical(phi, cov, _centred(ntk), eps, replica, windows), True


def _centred(matrix: Any) -> Any:
    if matrix is None:
        return None
    rows = matrix - matrix.mean(0, keepdims=True)
    return rows - rows.mean(1, keepdims=True)


def _eigen(cov: Any) -> tuple[Any, Any, Any]:
    """Eigenvalues (rounding set to 0), eigenvectors, scale."""
    values, vectors = jnp.linalg.eigh(cov)
    largest = jnp.where(values[-1] > 0, values[-1], 1.0)
    return jnp.where(values > 1e-13 * largest, values, 0.0), vectors, largest


def _homogeneous(phi: Activation, cov: Any, ntk: Any, eps: float) -> BatchAverages:
    closed = closed_form(phi, gains=False)
    assert closed is not None
    (products, mean_of), num = closed, len(cov)
    values, vectors, largest = _eigen(cov)

    def at(log_s: Any) -> tuple[Any, Any, Any]:
        s = jnp.exp(log_s) / (2.0 * largest)
        tilted = (vectors * (values / (1.0 + 2.0 * s * values))) @ vectors.T
        density = jnp.exp(-0.5 * jnp.sum(jnp.log1p(2.0 * s * values)) - s * num * eps)
        variance = jnp.maximum(jnp.diagonal(tilted), 0.0)
        own = products(tilted, variance[:, None], variance[None])
        scale = _STEP * num * s * density
        mean = _STEP * jnp.sqrt(num * s / math.pi) * density * mean_of(variance)
        if ntk is None:
            return scale * own.values, mean, None
        # E over t of (dy)(dy)^T: derivatives of E phi phi^T with respect to the covariance
        change = ntk @ tilted
        change = s**2 * tilted @ change - s * (change + change.T)
        growth = jnp.diagonal(change) / jnp.where(variance > 0, variance, jnp.inf)
        rest = 0.5 * (own.values - tilted * own.slopes) * (growth[:, None] + growth)
        total = own.slopes * (ntk + change) + rest
        return (
            scale * own.values,
            mean,
            scale * (total + 0.5 * s**2 * jnp.sum(ntk * tilted) * own.values),
        )

    def add(totals: Any, log_s: Any) -> tuple[Any, Any]:
        parts = at(log_s)
        return jax.tree.map(jnp.add, totals, parts), None

    nodes = jnp.arange(_BELOW, _ABOVE, _STEP)
    last = at(nodes[-1])
    totals = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, last), nodes)[0]
    diverges = lambda total, part: jnp.max(jnp.abs(part)) > _TAIL * jnp.max(jnp.abs(total))
    after, mean, tangents = jax.tree.map(
        lambda total, part: jnp.where(diverges(total, part), jnp.inf, total), totals, last
    )
    variance = jnp.diagonal(cov)
    slopes = products(cov, variance[:, None], variance[None]).slopes
    return BatchAverages(after, mean, tangents, after + slopes)


def _numerical(
    phi: Activation, cov: Any, ntk: Any, eps: float, replica: Any, windows: Any = None
) -> BatchAverages:
    num = len(cov)
    values, vectors, _ = _eigen(cov)
    root = (vectors * jnp.sqrt(values))[:, 1:][:, ::-1]  # the mean's direction is dropped
    directions, shares = _directions(num - 1, replica)
    c = directions @ root.T
    square = jnp.sum(c**2, axis=1, keepdims=True) / num
    start = _SMALLEST + _RADIAL_STEP * (replica + 0.5) / REPLICAS
    logs = start + jnp.arange(0.0, math.log(math.sqrt(num) + 9.0) - _SMALLEST, _RADIAL_STEP)
    masses = jax.nn.softmax((num - 1) * logs - 0.5 * jnp.exp(2.0 * logs))

    def add(totals: Any, node: Any) -> tuple[Any, Any]:
        size, mass = node
        inverse2 = 1.0 / jnp.maximum(size**2 * square + eps, 1e-300)
        f = size * c * jnp.sqrt(inverse2)
        weights = (mass * shares)[:, None]
        top = routes(phi(f), windows)
        y, slope, gained = top(phi(f)), top(phi.derivative(f)), top(phi.derivative(f) * f)
        gains = (weights * gained).T @ gained + (weights * slope).T @ slope
        parts = BatchAverages((weights * y).T @ y, (weights * y).sum(0), None, gains)
        if ntk is not None:
            weights = weights * inverse2
            pushed = f @ ntk
            both = (weights * gained).T @ (slope * top(pushed)) / num
            along = jnp.sum(f * pushed, axis=1, keepdims=True) / num**2
            own = weighted(weights * slope, slope, ntk, top, top)
            parts = parts._replace(ntk=own - both - both.T + (weights * along * gained).T @ gained)
        return jax.tree.map(jnp.add, totals, parts), None

    zero = cov if windows is None else jnp.zeros((len(windows),) * 2)
    zero = jnp.zeros_like(zero)
    start = BatchAverages(zero, zero[0], None if ntk is None else zero, zero)
    return jax.lax.scan(add, start, (jnp.exp(logs), masses))[0]


def _directions(rank: int, replica: Any) -> tuple[Any, Any]:
    """Unit vectors [M, rank], uniform, and weights [M]."""
    if rank == 1:
        return jnp.array([[1.0], [-1.0]]), jnp.array([0.5, 0.5])
    if rank == 2:
        angles = 2.0 * math.pi * (jnp.arange(_ANGLES) + (replica + 0.5) / REPLICAS) / _ANGLES
        unit = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
        return unit, jnp.full(_ANGLES, 1.0 / _ANGLES)
    points, weights = random_points(rank, replica)
    return points / jnp.linalg.norm(points, axis=1, keepdims=True), weights
