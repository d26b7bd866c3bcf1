"""Squared growth of a tangent or d-volume per layer, in O(1).

At one point, (w, b) -> (-w, -b) keeps the law of a row and w w^T and flips the preactivation:
active units are fair coins, independent of the action on tangents. With K ~ Binomial(n, 1/2) of
them, the squared volume of an orthonormal d-frame becomes, independently per layer,
    (v / fan_in)^d prod_{j < d} chi^2_{K - j}    (0 if K < d).
Over (v n / fan_in (l^2 + r^2) / 2)^d (`log_layer_scales`), l, r slopes left and right of 0:
    relu, d-volume     (2/n)^d prod_j chi^2_{K - j}
    linear layer       (1/n)^d prod_j chi^2_{n - j}
    slopes l and r     (r^2 chi^2_K + l^2 chi^2_{n - K}) / (n (l^2 + r^2) / 2)
    orthogonal         m/n (r^2 A + l^2 B) / ((A + B + C) (l^2 + r^2) / 2)
A, B, C = chi^2 of K, n - K, m - n; m = max(n, fan_in): a Haar image of a unit vector is uniform on
the sphere in dimension m, with n visible coordinates.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.networks.binomial_half import alias_tables, sample
from deepinit.networks.chi_square import log_chi_square

RELU_SLOPES = (0.0, 1.0)
WIDEST = 2**23  # half integers up to here are float32 numbers


def log_layer_factors(
    key: jax.Array,
    fan_outs: tuple[int, ...],
    *,
    slopes: tuple[float, float] = RELU_SLOPES,
    output_width: int | None = None,
    d: int = 1,
    law: str = "normal",
    fan_in: int | None = None,
    dtype: DTypeLike = "float32",
) -> jax.Array:
    """Log squared growth factor of a tangent (d = 1) or d-volume in every layer.

    log ||J_l u||^2 = cumsum(log_layer_scales + log_layer_factors), likewise squared d-volumes.
    Output layer last; -inf with fewer than d active neurons.

    Args:
        fan_outs: of hidden layers, static; widths to 2^23.
        slopes: (left, right) of the activation, not both 0.
        output_width: of a linear, normal output layer.
        d: above 1 for relu, or slopes of equal size (abs, linear).
        law: "normal", or "orthogonal" with d = 1.
        fan_in: of the first layer, for the orthogonal law; None for a square layer.
        dtype: float32 and float64 share their random bits.

    Raises SpecError: no layers, or an argument out of range.
    Valid for: exactly in law at one point, any width and depth, biases symmetric about 0 and
        independent of weights.
    Reference: module docstring; bounds in arXiv:2102.10492.
    """
    widths = (*fan_outs, *(() if output_width is None else (output_width,)))
    left, right = _check(fan_outs, widths, slopes, d, law, fan_in)
    coin_key, chi_key, output_key = (jax.random.fold_in(key, purpose) for purpose in range(3))
    n = np.array(fan_outs, np.int32)
    sizes = tuple(map(int, fan_outs))
    on = jnp.asarray(n) if left == right else sample(coin_key, alias_tables(sizes))
    hidden: jax.Array
    if law == "orthogonal":
        hidden = _orthogonal(
            chi_key, on, n, int(fan_outs[0]) if fan_in is None else fan_in, left, right, dtype
        )
    elif left == 0 or right == 0:
        hidden = _log_gram(chi_key, on, n / 2, d, dtype)  # heads and tails have one law
    elif left == right:
        hidden = _log_gram(chi_key, on, n, d, dtype)
    else:
        parts = log_chi_square(chi_key, jnp.stack([on, n - on]), n / 2, dtype)
        hidden = _log_mean(parts, np.array([[right], [left]]) / (left + right))
    if output_width is None:
        return hidden
    output = np.array([output_width], np.int32)
    return jnp.concatenate([hidden, _log_gram(output_key, jnp.asarray(output), output, d, dtype)])


def log_layer_scales(
    fan_in: int,
    fan_outs: tuple[int, ...],
    weight_var: float = 2.0,
    *,
    slopes: tuple[float, float] = RELU_SLOPES,
    output_width: int | None = None,
    output_var: float = 1.0,
    d: int = 1,
) -> np.ndarray:
    """Deterministic growth, d log(v n_l / n_{l-1} (left^2 + right^2) / 2) per layer, in float64.

    `weight_var`, `output_var`: v, variance of a weight times its fan-in. Others as for
    `log_layer_factors`; output layer (slopes 1, 1) last.
    """
    sizes = np.array([fan_in, *fan_outs], np.float64)
    scales = np.log(weight_var * (slopes[0] ** 2 + slopes[1] ** 2) / 2) + np.diff(np.log(sizes))
    if output_width is not None:
        scales = np.append(scales, np.log(output_var * output_width / sizes[-1]))
    return d * scales


def _log_gram(key: jax.Array, rows: jax.Array, reference: Any, d: int, dtype: Any) -> jax.Array:
    """log prod_{j < d} chi^2_{rows - j} / reference, [layers]."""
    return log_chi_square(key, rows - jnp.arange(d)[:, None], reference, dtype).sum(0)


def _orthogonal(
    key: jax.Array, on: jax.Array, n: np.ndarray, fan_in: int, left: float, right: float, dtype: Any
) -> jax.Array:
    total = np.maximum(n, [fan_in, *n[:-1]])
    hidden = total - n
    degrees = jnp.stack([on, jnp.asarray(n) - on, jnp.asarray(hidden)])
    # with equal slopes `on` is n: any division into two halves has the same sum
    parts = log_chi_square(key, degrees, np.stack([n / 2, n / 2, np.maximum(hidden, 1)]), dtype)
    image = _log_mean(parts[:2], np.array([[right], [left]]) / (left + right))
    return image - _log_mean(parts, np.stack([n / 2, n / 2, hidden]) / total)


def _log_mean(logs: jax.Array, weights: np.ndarray) -> jax.Array:
    """log sum_i weights_i exp(logs_i), weights of sum 1; accurate also near 0."""
    shares = jnp.asarray(weights, logs.dtype)
    excess = (shares * jnp.expm1(logs)).sum(0)
    return jnp.where(excess > -0.5, jnp.log1p(excess), jnp.log((shares * jnp.exp(logs)).sum(0)))


def _check(
    fan_outs: Any, widths: Any, slopes: tuple[float, float], d: int, law: str, fan_in: int | None
) -> tuple[float, float]:
    """Squares of the slopes."""
    validate.require(len(fan_outs), "empty fan_outs", "at least one hidden layer", "(256,) * 10.")
    for width in (*widths, *(() if fan_in is None else (fan_in,))):
        validate.integer("a width", width, 1, most=WIDEST)
    validate.integer("d", d, 1, "Lengths have d=1, areas d=2.")
    squares = float(slopes[0]) ** 2, float(slopes[1]) ** 2
    valid = 0 < sum(squares) < np.inf
    validate.require(valid, f"slopes={slopes!r}", "two finite numbers, not both 0", "ReLU: (0, 1).")
    validate.choice("law", law, ("normal", "orthogonal"), "Use explicit maps for other laws.")
    if d > 1 and (law == "orthogonal" or (squares[0] != squares[1] and 0 not in squares)):
        allowed = "d above 1 with law='normal', and one slope 0 or both of one size"
        raise SpecError(f"d={d}, law={law!r}, slopes={slopes!r}", allowed, "Use explicit maps.")
    return squares
