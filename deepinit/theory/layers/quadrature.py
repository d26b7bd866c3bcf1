"""Moments of phi(z), z ~ N(0, R), with derivatives by R.

Homogeneous: closed forms (`homogeneous`). Smooth, by five derivatives of phi, parallel rows too:

    dE f/dR_ab = E d_a d_b f    (a != b),        dE f/dR_aa = (1/2) E d_a^2 f.

With kinks: derivatives of the density (`kinked`). Products of three and four rows: `many_rows`.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers import homogeneous, kinked, many_rows
from deepinit.theory.numerics.entries import count_rows, entries
from deepinit.theory.numerics.normal_nodes import disk_rule, line_rule

Chain = tuple[Any, ...]  # functions of a neuron, by values, `kinks` and `slopes`
_ORDERS = 5
_SECOND = np.array([[2, 1, 0], [0, 1, 2]])  # d_a, d_b of the derivatives by R_aa, R_ab, R_bb
_HALVES = np.array([0.5, 1.0, 0.5])


class Jet(NamedTuple):
    """Value and derivatives of n moments by q entries of R: [n], [n, q], [n, q, q]."""

    value: Any
    gradient: Any
    hessian: Any


class SingleMoments(NamedTuple):
    """Of n rows: E phi, E phi^2 (q = 1), E phi^3, E phi^4 [n]."""

    first: Jet
    second: Jet
    third: Any
    fourth: Any


class PairMoments(NamedTuple):
    """Of n pairs: E phi_a phi_b, q = 3; E f f^T [n, 5, 5], f = (aa, ab, bb, a, b)."""

    product: Jet
    products: Any


def function_moments(chain: Chain, variance: Any, tape: Any) -> tuple[Jet, Jet, Any, Any]:
    """Moments of F = phi(z), R = variance [p].

    Returns:
        E F_a by (R_aa); E F_a F_b by (R_aa, R_ab, R_bb); E F_a F_b F_c [p, k];
        E F_a F_b F_c F_d [p, p].
    """
    variance = jax.lax.stop_gradient(variance)
    where = entries(count_rows(variance.shape[0]))
    single, pair = _methods(chain)
    singles = single(chain, variance[where.diagonal], tape)
    size, count = len(where.rows), len(where.diagonal)
    own = singles.second
    zeros = [jnp.zeros((size, *(3,) * order), variance.dtype) for order in range(3)]
    value = zeros[0].at[where.diagonal].set(own.value)
    gradient = zeros[1].at[where.diagonal, 0].set(own.gradient[:, 0])
    hessian = zeros[2].at[where.diagonal, 0, 0].set(own.hessian[:, 0, 0])
    fourth = jnp.full((size, size), jnp.nan, variance.dtype)
    third = jnp.full((size, count), jnp.nan, variance.dtype)
    mixed = np.flatnonzero(where.rows != where.columns)
    if len(mixed):
        places = where.neighbours[mixed]
        jet, products = pair(chain, variance[places], tape)
        value = value.at[mixed].set(jet.value)
        gradient = gradient.at[mixed].set(jet.gradient)
        hessian = hessian.at[mixed].set(jet.hessian)
        ends = np.stack([where.rows[mixed], where.columns[mixed]], axis=1)
        fourth = fourth.at[places[:, :, None], places[:, None, :]].set(products[:, :3, :3])
        third = third.at[places[:, :, None], ends[:, None, :]].set(products[:, :3, 3:])
    fourth = fourth.at[where.diagonal, where.diagonal].set(singles.fourth)
    third = third.at[where.diagonal, np.arange(count)].set(singles.third)
    if count > 2 and not tape.relative:
        third, fourth = many_rows.filled(functools.partial(applied, chain), variance, third, fourth)
    return singles.first, Jet(value, gradient, hessian), third, fourth


def jet_of(function: Callable[[Any], Any], at: Any) -> Jet:
    """Of n values of [n, q], by automatic differentiation row by row."""
    one = lambda row: (function(row), jax.grad(function)(row), jax.hessian(function)(row))
    return Jet(*jax.vmap(one)(at))


def _methods(chain: Chain) -> tuple[Callable[..., SingleMoments], Callable[..., PairMoments]]:
    if len(chain) == 1 and chain[0].slopes is not None:
        slopes = chain[0].slopes
        return (
            lambda _, own, tape: _homogeneous_single(slopes, own),
            lambda _, near, tape: PairMoments(
                jet_of(lambda kernel: homogeneous.product(slopes, kernel), near),
                homogeneous.products(slopes, near),
            ),
        )
    kinks = next((function.kinks for function in chain if function.kinks), ())
    if not kinks:
        return _smooth_single, _smooth_pair
    phi = functools.partial(applied, chain)
    return (
        lambda _, own, tape: _kinked_single(phi, kinks, own),
        lambda _, near, tape: _kinked_pair(phi, kinks, near, tape),
    )


def _homogeneous_single(slopes: tuple[float, float], own: Any) -> SingleMoments:
    first, second, third, fourth = homogeneous.single(slopes)
    low, high = (jet_of(_of_entry(fn), own[:, None]) for fn in (first, second))
    return SingleMoments(low, high, third(own), fourth(own))


def _of_entry(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda row: fn(row[0])


def _kinked_single(phi: Any, kinks: tuple[float, ...], own: Any) -> SingleMoments:
    value, slope, curve = kinked.single(phi, kinks, own)
    low, high = (Jet(value[:, i], slope[:, i, None], curve[:, i, None, None]) for i in range(2))
    return SingleMoments(low, high, value[:, 2], value[:, 3])


def _kinked_pair(phi: Any, kinks: tuple[float, ...], near: Any, tape: Any) -> PairMoments:
    value, gradient, hessian, (phi_a, phi_b, weights) = kinked.pair(phi, kinks, near)
    sine2 = 1.0 - near[:, 1] ** 2 / (near[:, 0] * near[:, 2])
    tape.note(kinked.ROUNDING / jnp.min(sine2) ** 2)
    products = jax.vmap(product_moments)(phi_a, phi_b, weights)
    return PairMoments(Jet(value, gradient, hessian), products)


def applied(chain: Chain, z: Any) -> Any:
    """The functions in order."""
    for function in chain:
        z = function(z)
    return z


def _orders(chain: Chain, z: Any) -> list[Any]:
    """phi and four derivatives at z."""

    def derivative(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda t: jax.jvp(fn, (t,), (jnp.ones_like(t),))[1]

    functions: list[Callable[[Any], Any]] = [functools.partial(applied, chain)]
    if len(chain) == 1:
        functions.append(chain[0].derivative)  # accurate for built-ins
    while len(functions) < _ORDERS:
        functions.append(derivative(functions[-1]))
    return [fn(z) for fn in functions]


def _smooth_single(chain: Chain, own: Any, tape: Any) -> SingleMoments:
    nodes, weights = line_rule(tape.half)
    d = _orders(chain, jnp.sqrt(own)[:, None] * nodes)
    square = [
        d[0] ** 2,
        2.0 * (d[1] ** 2 + d[0] * d[2]),
        6.0 * d[2] ** 2 + 8.0 * d[1] * d[3] + 2.0 * d[0] * d[4],
    ]
    coarse = 2.0 * weights[::2]
    for features in ([d[0], d[2], d[4]], [*square, d[0] ** 4]):
        scale = sum(jnp.abs(part) @ weights for part in features[:1])
        for part in features:
            gap = jnp.abs(part[:, ::2] @ coarse - part @ weights)
            tape.note(jnp.max(gap / (scale + jnp.abs(part) @ weights)) ** 2)

    def expanded(value: Any, slope: Any, curve: Any) -> Jet:
        slope, curve = 0.5 * (slope @ weights), 0.25 * (curve @ weights)
        return Jet(value @ weights, slope[:, None], curve[:, None, None])

    return SingleMoments(
        expanded(d[0], d[2], d[4]), expanded(*square), d[0] ** 3 @ weights, d[0] ** 4 @ weights
    )


def _smooth_pair(chain: Chain, near: Any, tape: Any) -> PairMoments:
    rule = disk_rule(tape.half)
    u, v = (jnp.asarray(part) for part in rule.nodes.T)
    weights, line, place = map(jnp.asarray, (rule.weights, rule.line, rule.place))

    def moments(kernel: Any) -> tuple[Any, ...]:
        a, c, b = kernel
        across = jnp.sqrt(jnp.maximum(b - c * c / a, 0.0))
        of_a = jnp.stack(_orders(chain, jnp.sqrt(a) * line))[:, place]
        of_b = jnp.stack(_orders(chain, c / jnp.sqrt(a) * u + across * v))
        table = (of_a * weights) @ of_b.T
        both = _SECOND[:, :, None] + _SECOND[:, None, :]
        gradient = _HALVES * table[_SECOND[0], _SECOND[1]]
        hessian = np.outer(_HALVES, _HALVES) * table[both[0], both[1]]
        return table[0, 0], gradient, hessian, product_moments(of_a[0], of_b[0], weights)

    value, gradient, hessian, products = jax.lax.map(moments, near)
    return PairMoments(Jet(value, gradient, hessian), products)


def product_moments(phi_a: Any, phi_b: Any, weights: Any) -> Any:
    """[5, 5] E f f^T, f = (phi_a phi_a, phi_a phi_b, phi_b phi_b, phi_a, phi_b)."""
    f = jnp.stack([phi_a * phi_a, phi_a * phi_b, phi_b * phi_b, phi_a, phi_b])
    return (f * weights) @ f.T
