"""Stretch of a tangent, or of a small d-volume, by each layer of one random network: O(1) per layer, whatever the width.

At one point of a network with independent Gaussian rows (w, b), biases symmetric about 0 and independent of the weights,
(w, b) -> (-w, -b) keeps the law of a row, flips the sign of its preactivation and leaves w w^T as it is. So the units
that are on are fair coins, independent of how the rows act on tangents, wherever the point is: with K ~ Binomial(n, 1/2)
of the n rows on, the squared volume of an orthonormal d-frame becomes

    (v / fan_in)^d prod_{j < d} chi^2_{K - j}    (the Gram determinant of K Gaussian rows; 0 if K < d),

whatever the layers before did. The layers' factors are therefore independent, and given here as logarithms after
division by their deterministic part (v n / fan_in (l^2 + r^2) / 2)^d, with l and r the slopes of the activation left and
right of 0 (`log_layer_scales`). That division leaves a squared stretch X of mean 1 for d = 1:

    relu, d-volume     (2/n)^d prod_j chi^2_{K - j}
    linear layer       (1/n)^d prod_j chi^2_{n - j}
    slopes l and r     (r^2 chi^2_K + l^2 chi^2_{n - K}) / (n (l^2 + r^2) / 2)
    orthogonal         m/n (r^2 A + l^2 B) / ((A + B + C) (l^2 + r^2) / 2),  A, B, C = chi^2 of K, n - K, m - n

where m = max(n, fan_in): a Haar orthogonal matrix maps a unit vector to m - n hidden and n visible coordinates of a
uniform point of the sphere in dimension m.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.networks.binomial_half import coin_tables, heads
from deepinit.networks.chi_square import log_chi_square

RELU_SLOPES = (0.0, 1.0)
WIDEST = 2**23  # half integers up to here are float32 numbers


def log_layer_factors(
    key: Any,
    fan_outs: tuple[int, ...],
    *,
    slopes: tuple[float, float] = RELU_SLOPES,
    output_width: int | None = None,
    d: int = 1,
    law: str = "normal",
    fan_in: int | None = None,
    dtype: Any = "float32",
) -> jax.Array:
    """Logarithms of the squared stretch of one tangent (d = 1) or d-volume by every layer of one random network.

    Row by row of the module's table: log X_l, without the deterministic part that `log_layer_scales` gives. Then
    log ||J_l u||^2 = cumsum(log_layer_scales + log_layer_factors), and the same for squared d-volumes.

    Args:
        key: the network's key.
        fan_outs: neurons of each hidden layer, static.
        slopes: (left, right) of the activation, as `Activation.slopes`.
        output_width: neurons of a linear output layer after the hidden ones; None for none.
        d: dimension of the volume; above 1 for relu, or for slopes of equal size (absolute value, linear).
        law: "normal", or "orthogonal" with d = 1. The output layer is always normal.
        fan_in: inputs of the first layer, needed for the orthogonal law alone; None takes that of a square one.
        dtype: of the result. Both dtypes take the same random bits, so they give the same network to rounding.

    Returns:
        [layers], the output layer last; -inf where the layer sends the tangent to 0, or the volume (fewer than d
        neurons, or fewer than d of them on).

    Raises:
        SpecError: no layers, a width that is no integer in [1, 2^23], d below 1, an unknown law, slopes that are both
            0 or not finite, d above 1 with slopes of two sizes or with the orthogonal law.

    Valid for: every width and depth, exactly in law, at one point; biases symmetric about 0 and independent of the
        weights change nothing.

    Reference: arXiv:2102.10492, where these factors are bounded; derivation in the module docstring.
    """
    widths = (*fan_outs, *(() if output_width is None else (output_width,)))
    left, right = _check(fan_outs, widths, slopes, d, law, fan_in)
    coin_key, chi_key, output_key = (jax.random.fold_in(key, purpose) for purpose in range(3))
    n = np.array(fan_outs, np.int32)
    on = (
        jnp.asarray(n) if left == right else heads(coin_key, coin_tables(tuple(map(int, fan_outs))))
    )
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
    """The deterministic part of the squared stretch: d log(v n_l / n_{l-1} (left^2 + right^2) / 2) for each layer.

    Args:
        fan_in: inputs of the first layer.
        fan_outs: neurons of each hidden layer.
        weight_var: v, the variance of a hidden weight times its fan-in.
        slopes: (left, right) of the activation.
        output_width: neurons of a linear output layer; None for none.
        output_var: variance of an output weight times its fan-in.
        d: dimension of the volume.

    Returns:
        [layers] float64, the output layer (slopes 1, 1) last; to be added to `log_layer_factors`.
    """
    sizes = np.array([fan_in, *fan_outs], np.float64)
    scales = np.log(weight_var * (slopes[0] ** 2 + slopes[1] ** 2) / 2) + np.diff(np.log(sizes))
    if output_width is not None:
        scales = np.append(scales, np.log(output_var * output_width / sizes[-1]))
    return d * scales


def _log_gram(key: Any, rows: jax.Array, reference: Any, d: int, dtype: Any) -> jax.Array:
    """log prod_{j < d} chi^2_{rows - j} / reference, [layers]."""
    return log_chi_square(key, rows - jnp.arange(d)[:, None], reference, dtype).sum(0)


def _orthogonal(
    key: Any, on: jax.Array, n: np.ndarray, fan_in: int, left: float, right: float, dtype: Any
) -> jax.Array:
    total = np.maximum(n, [fan_in, *n[:-1]])
    hidden = total - n
    degrees = jnp.stack([on, jnp.asarray(n) - on, jnp.asarray(hidden)])
    # with equal slopes `on` is n: any division into two halves has the same sum
    parts = log_chi_square(key, degrees, np.stack([n / 2, n / 2, np.maximum(hidden, 1)]), dtype)
    image = _log_mean(parts[:2], np.array([[right], [left]]) / (left + right))
    return image - _log_mean(parts, np.stack([n / 2, n / 2, hidden]) / total)


def _log_mean(logs: jax.Array, weights: np.ndarray) -> jax.Array:
    """log sum_i weights_i exp(logs_i), weights of sum 1; relative accuracy also where the result is near 0."""
    shares = jnp.asarray(weights, logs.dtype)
    excess = (shares * jnp.expm1(logs)).sum(0)
    return jnp.where(excess > -0.5, jnp.log1p(excess), jnp.log((shares * jnp.exp(logs)).sum(0)))


def _check(
    fan_outs: Any, widths: Any, slopes: tuple[float, float], d: int, law: str, fan_in: int | None
) -> tuple[float, float]:
    """Refuses what has no such law; the squares of the slopes."""
    if len(fan_outs) == 0:
        raise SpecError(
            "no layers (fan_outs is empty)", "at least one hidden layer", "Write (256,) * 10."
        )
    for width in (*widths, *(() if fan_in is None else (fan_in,))):
        validate.integer(
            "a width", width, 1, "Give every layer a whole number of neurons.", most=WIDEST
        )
    validate.integer("d", d, 1, "Lengths have d=1, areas d=2.")
    squares = float(slopes[0]) ** 2, float(slopes[1]) ** 2
    if not (0 < sum(squares) < np.inf):
        raise SpecError(
            f"slopes={slopes!r}", "two finite numbers, not both 0", "ReLU has (0.0, 1.0)."
        )
    if law not in ("normal", "orthogonal"):
        raise SpecError(
            f"law={law!r}",
            "'normal', 'orthogonal'",
            "Draw other laws with explicit weight matrices.",
        )
    if d > 1 and (law == "orthogonal" or (squares[0] != squares[1] and 0 not in squares)):
        raise SpecError(
            f"d={d} with law={law!r} and slopes={slopes!r}",
            "d above 1 with law='normal', and one slope 0 or both of one size",
            "Take d=1, or draw the layers with explicit weight matrices.",
        )
    return squares
