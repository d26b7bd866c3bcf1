"""Formulas of the scores, of arrays of one network."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

FLOOR = math.log(1e-12)  # of ln sin^2: 16 units in the last place of a float32 row
EIGENVALUE_FLOOR = 1e-7  # of an NTK, relative to its largest


def log_squares(stack: Any) -> Any:
    """ln |stack[l]|^2 [layers] of [layers, ...]; -inf of zeros, no overflow of squares."""
    rows = stack.reshape(len(stack), -1)
    largest = jnp.max(jnp.abs(rows), axis=1)
    unit = rows / jnp.where(largest > 0, largest, 1)[:, None]
    return 2 * jnp.log(largest) + jnp.log(jnp.sum(unit * unit, axis=1))


def log_sin2(rows: Any) -> Any:
    """Mean of ln sin^2 of the angle over pairs of rows [n, width]; floor 1e-12.

    sin^2 = |u - v|^2 |u + v|^2 / 4 of unit vectors: no cancellation at small angles.
    """
    unit, one = units(rows), np.eye(len(rows), dtype=rows.dtype)
    first, second = np.triu_indices(len(rows), 1)
    # differences as products, which are exact and fast without optimization of the program
    square = lambda pairs: jnp.sum(jnp.matmul(pairs, unit, precision="highest") ** 2, axis=1)
    sin2 = square(one[first] - one[second]) * square(one[first] + one[second]) / 4
    return jnp.mean(jnp.log(jnp.maximum(sin2, math.exp(FLOOR))))


def cosines(rows: Any) -> Any:
    """Mean cosine over pairs of rows [n, width]."""
    unit, count = units(rows), len(rows)
    return (jnp.sum(jnp.sum(unit, axis=0) ** 2) - count) / (count * (count - 1))


def units(rows: Any) -> Any:
    """Rows / norm, without under- or overflow; NaN of zeros."""
    rows = rows / jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


def mean_of_rows(formula: Any, values: Any, sequences: bool) -> Any:
    """Formula of the rows [rows, ...]; of sequences [rows, tokens, ...] its mean over them."""
    if not sequences or values.ndim < 3:
        return formula(values.reshape(len(values), -1))
    return jnp.mean(jax.vmap(lambda each: formula(each.reshape(len(each), -1)))(values))


def stretch(x: Any, moved: Any, features: Any, features_moved: Any) -> Any:
    """ln of the growth of |J u|^2 relative to that of |f|^2; 0 is an isometry."""
    total = lambda values: log_squares(values[None])[0]
    return total(features_moved) - total(features) + total(x) - total(moved)


def ntk_condition(kernel: Any) -> Any:
    """ln lambda_max / lambda_min, the smallest at least 1e-7 of the largest."""
    values = jnp.linalg.eigvalsh(kernel / jnp.trace(kernel))
    return jnp.log(values[-1] / jnp.maximum(values[0], EIGENVALUE_FLOOR * values[-1]))


def ntk_centred(kernel: Any) -> Any:
    """tr(H Theta H) / tr Theta, H = 1 - 11'/m: 0 if only the constant is learned."""
    kernel = kernel / jnp.trace(kernel)
    return 1 - jnp.sum(kernel) / len(kernel)


def log_rms(values: Any) -> Any:
    """ln of the root mean square of [layers, ...], for every layer."""
    return (log_squares(values) - math.log(values[0].size)) / 2


def attention_entropy(weights: Any, causal: bool = True) -> Any:
    """Mean of H(A_t) / ln t over rows that see t >= 2 positions, of attention [..., t, s]."""
    entropy = -jnp.sum(jax.scipy.special.xlogy(weights, weights), axis=-1)
    tokens = weights.shape[-1]
    if not causal:
        return jnp.mean(entropy) / math.log(tokens)
    return jnp.mean(entropy[..., 1:] / jnp.log(jnp.arange(2, tokens + 1)))


def centred(logits: Any) -> Any:
    """Minus the mean over classes, if there are classes."""
    return logits - jnp.mean(logits, axis=-1, keepdims=True) if logits.shape[-1] > 1 else logits
