"""Gaussian expectations of an activation over the kernels of a state.

Closed forms where known (`closed_forms`). Other smooth activations: Mehler's series,
E[f(u) f(v)] = sum_k rho^k c_k(u) c_k(v), c_k(u) = E[f(sqrt(q) Z) h_k(Z)], rho the correlation, h_k
the orthonormal Hermite polynomials. Kinks and divergent series: 2-D quadrature at every entry, 1-D
for a row with itself.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.gaussian import normal_rule
from deepinit.infinite_width.closed_forms import Products, closed_form, correlation
from deepinit.infinite_width.duals import HalfAngle
from deepinit.infinite_width.quadrature import pair_rule, point_rule, root
from deepinit.infinite_width.resolution import relative_error
from deepinit.infinite_width.states import Kernel, Sides, State, each_block, equal_rows

Functions = tuple[Callable[[Any], Any], ...]
Combine = Callable[[Kernel, Products], Kernel]
_ROWS = 1024  # rows and pairs of a chunk
_PAIRS = 16
_LEAST = (
    1e-285  # variance: terms of a quadrature over pairs, weights times squares, underflow below
)
NUM_TERMS = 256  # to 1e-11 for tanh up to standard deviation 2.5, for erf up to 2


class _Rows(NamedTuple):
    """Moments of rows: E of squares of f, f', u f'; E f; error."""

    squares: Any
    mean: Any
    error: Any


def with_products(
    activation: Activation, state: State, combine: Combine, **changes: Any
) -> tuple[State, Any]:
    """The state with kernels `combine(kernel, products)`, and E f of its rows [R, P].

    `combine` gets `Products.gains` if the state has gains and tangent kernels.
    """
    variance, gains = state.variance, bool(state.gain) and state.with_ntk
    closed = closed_form(activation, gains)
    if closed is not None:
        products, mean = closed

        def exact(kernel: Kernel, q: Sides) -> Kernel:
            return combine(kernel, products(kernel.cov, q.left, q.right))

        return each_block(state, exact, variance, **changes), mean(variance)
    functions = _functions(activation, gains)
    rows = _row_moments(activation, functions, variance)
    changes["error"] = jnp.maximum(state.error, rows.error)
    kind, terms = state.engine
    coefficients: list[Any] = []
    if kind == "series" and not activation.kinks:
        coefficients, missing = _coefficients(functions, variance, terms)
        changes["missing"] = jnp.maximum(state.missing, missing)

    def numerical(kernel: Kernel, q: Sides, points: Sides, *series: Sides) -> Kernel:
        size = kernel.cov.shape
        squares = [jnp.broadcast_to(square, size) for square in points.left]
        within = len(size) < state.cross.cov.ndim
        if within and (state.aligned or size[-1] == 1):  # rows with themselves
            return combine(kernel, Products(*squares))
        if series:
            cosine = correlation(kernel.cov, q.left, q.right)[1]
            pairs = [_mehler(cosine, side) for side in series]
        else:
            pairs = _quadrature(activation, functions, kernel.cov, q)
        own = equal_rows(state, kernel.cov)
        parts = [jnp.where(own, *both) for both in zip(squares, pairs, strict=True)]
        return combine(kernel, Products(*parts))

    after = each_block(state, numerical, variance, rows.squares, *coefficients, **changes)
    return after, rows.mean


def _functions(activation: Activation, gains: bool) -> Functions:
    f, slope = activation, activation.derivative
    return (f, slope, lambda u: u * slope(u)) if gains else (f, slope)


def _row_moments(activation: Activation, functions: Functions, variance: Any) -> _Rows:
    """E f^2 of every function, E f of the first, error of the first two."""

    def at(q: Any) -> Any:
        std = root(q)

        def moments(finer: bool) -> tuple[Any, Any]:
            nodes, weights = point_rule(activation.kinks, std, None, finer)
            values = [function(std * nodes) for function in functions]
            squares = jnp.stack([jnp.sum(weights * value**2) for value in values])
            return squares, jnp.sum(weights * values[0])

        squares, mean = moments(False)
        error = jnp.max(relative_error(squares, moments(True)[0])[:2])
        is_tiny = (q > 0.0) & (q < _LEAST)
        return squares, mean, jnp.where(is_tiny, jnp.inf, error)

    squares, mean, error = jax.lax.map(at, variance.ravel(), batch_size=_ROWS)
    squares = jnp.moveaxis(squares, -1, 0).reshape(len(functions), *variance.shape)
    return _Rows(squares, mean.reshape(variance.shape), jnp.max(error))


def _coefficients(functions: Functions, variance: Any, terms: int) -> tuple[list[Any], Any]:
    """c_k of every function [terms, ..., P], and the largest share beyond them."""
    nodes, weights = normal_rule()
    basis = hermite(nodes)[:terms]
    at = root(variance)[..., None] * nodes
    coefficients, missing = [], jnp.zeros(())
    for function in functions:
        values = function(at)
        part = jnp.moveaxis((values * weights) @ basis.T, -1, 0)
        square = values**2 @ weights
        rest = jnp.abs(square - jnp.sum(part**2, axis=0))
        missing = jnp.maximum(missing, jnp.max(rest / jnp.where(square > 0, square, 1.0)))
        coefficients.append(part)
    return coefficients, missing


def _mehler(rho: Any, coefficients: Sides) -> Any:
    """sum_k rho^k c_k c_k by Horner's scheme."""

    def horner(total: Any, parts: Any) -> Any:
        return total * rho + parts[0] * parts[1], None

    zero = jnp.zeros_like(rho)
    return jax.lax.scan(horner, zero, tuple(coefficients), reverse=True, unroll=8)[0]


def _quadrature(activation: Activation, functions: Functions, cov: Any, q: Sides) -> list[Any]:
    """E[f(u) f(v)] of every function by 2-D quadrature."""

    def at(arguments: Any) -> Any:
        c, left, right = arguments
        cosine = correlation(c, left, right)[1]
        angle = HalfAngle(0.5 * (1.0 - cosine), 0.5 * (1.0 + cosine))
        rule = pair_rule(activation.kinks, left, right, right - left, angle)
        u, v = rule.u, rule.u + rule.step
        return [jnp.sum(rule.weights * function(u) * function(v)) for function in functions]

    arguments = [jnp.broadcast_to(part, cov.shape).ravel() for part in (cov, *q)]
    pairs = jax.lax.map(at, tuple(arguments), batch_size=_PAIRS)
    return [pair.reshape(cov.shape) for pair in pairs]


def hermite(nodes: np.ndarray) -> np.ndarray:
    """[terms, nodes]: sqrt(k + 1) h_{k+1} = z h_k - sqrt(k) h_{k-1}."""
    rows = [np.ones_like(nodes), nodes]
    for k in range(1, NUM_TERMS - 1):
        rows.append((nodes * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1))
    return np.stack(rows)
