"""Gaussian expectations of products, in closed form, elementwise in kernel entries.

(u, v) ~ N(0, .), variances q, q', covariance c: E[f(u) f(v)], E[f'(u) f'(v)], E f(u).
Homogeneous f: p c + r (s sin(theta) - theta c), p - r theta; s = sqrt(q q'), `duals`. erf: arcsine.
sin: hyperbolic functions of c.
GELU, by parts from E[Phi(u) Phi(v)] = 1/4 + arcsin(c / sqrt((1 + q)(1 + q'))) / (2 pi).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from deepinit.core.activations import Activation, erf, gelu, linear, sin
from deepinit.infinite_width.duals import bend

_TWO_PI = 2.0 * math.pi


class Products(NamedTuple):
    """E[f(u) f(v)], E[f'(u) f'(v)] and, for trained gains, E[u f'(u) v f'(v)] or None."""

    values: Any
    slopes: Any
    gains: Any = None


ProductsFn = Callable[[Any, Any, Any], Products]  # of c, q, q'


def closed_form(
    activation: Activation, gains: bool
) -> tuple[ProductsFn, Callable[[Any], Any]] | None:
    """(products, with `Products.gains` for `gains`; E f(u) of q), or None if unknown."""
    if activation.slopes is not None:
        return _homogeneous(activation), _homogeneous_mean(activation)
    if gains:
        return None
    known: dict[Activation, Any] = {
        erf: (_erf, jnp.zeros_like),
        sin: (_sin, jnp.zeros_like),
        gelu: (_gelu, _gelu_mean),
    }
    return known.get(activation)


def correlation(cov: Any, left: Any, right: Any) -> tuple[Any, Any]:
    """s = sqrt(q q'), exactly q where q = q', and c / s; 0 with a zero row."""
    norms = left * jnp.sqrt(jnp.where(left > 0, right / jnp.where(left > 0, left, 1.0), 0.0))
    cosine = jnp.clip(cov / jnp.where(norms > 0, norms, 1.0), -1.0, 1.0)
    return norms, jnp.where(norms > 0, cosine, 0.0)


def _homogeneous(activation: Activation) -> ProductsFn:
    assert activation.slopes is not None
    p, r = 0.5 * sum(slope**2 for slope in activation.slopes), bend(activation.slopes)

    def products(cov: Any, left: Any, right: Any) -> Products:
        if activation == linear or r == 0.0:
            return Products(p * cov, jnp.full_like(cov, p), p * cov)
        norms, cosine = correlation(cov, left, right)
        sine = jnp.sqrt((1.0 - cosine) * (1.0 + cosine))
        theta = jnp.arctan2(sine, cosine)
        values = norms * (p * cosine + r * (sine - theta * cosine))
        return Products(values, p - r * theta, values)

    return products


def _homogeneous_mean(activation: Activation) -> Callable[[Any], Any]:
    assert activation.slopes is not None
    left, right = activation.slopes
    return lambda q: (right - left) / math.sqrt(_TWO_PI) * jnp.sqrt(q)


def _erf(cov: Any, left: Any, right: Any) -> Products:
    norms = jnp.sqrt((1.0 + 2.0 * left) * (1.0 + 2.0 * right))
    slopes = (4.0 / math.pi) / jnp.sqrt((norms - 2.0 * cov) * (norms + 2.0 * cov))
    return Products((2.0 / math.pi) * jnp.arcsin(2.0 * cov / norms), slopes)


def _sin(cov: Any, left: Any, right: Any) -> Products:
    mean = 0.5 * (left + right)
    minus, plus = jnp.exp(cov - mean), jnp.exp(-cov - mean)
    return Products(0.5 * (minus - plus), 0.5 * (minus + plus))


def _gelu(cov: Any, left: Any, right: Any) -> Products:
    minor = left * right - cov**2
    determinant = 1.0 + left + right + minor  # of I + covariance
    root = jnp.sqrt(determinant)
    both = 0.25 + jnp.arctan2(cov, root) / _TWO_PI  # E[Phi(u) Phi(v)]
    shares = 1.0 / (1.0 + left) + 1.0 / (1.0 + right)
    values = cov * both + (minor + cov**2 * shares) / (_TWO_PI * root)
    return Products(values, both + cov * (shares + 1.0 / determinant) / (_TWO_PI * root))


def _gelu_mean(q: Any) -> Any:
    return q / jnp.sqrt(_TWO_PI * (1.0 + q))
