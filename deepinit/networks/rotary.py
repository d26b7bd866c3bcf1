"""Rotary position embeddings of queries and keys."""

import jax
import jax.numpy as jnp
import numpy as np


def rotated(rows: jax.Array, base: float) -> jax.Array:
    """Rotary: neurons f and f + d/2 at position t, turned by t base^(-2 f / d): [..., t, d]."""
    half = rows.shape[-1] // 2
    angles = np.outer(np.arange(rows.shape[-2]), base ** (-np.arange(half) / half))
    cos, sin = (jnp.asarray(part, rows.dtype) for part in (np.cos(angles), np.sin(angles)))
    first, second = rows[..., :half], rows[..., half:]
    return jnp.concatenate([cos * first - sin * second, sin * first + cos * second], axis=-1)
