"""Orientations w_j / |w_j| of a layer's input vectors w_j = (weights_j, bias_j) in R^D.

Arrays [m, D] of any scale (1e-30 in float32 is safe); a zero vector has the zero row. Pure JAX,
except where noted.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.linear_algebra import row_norms
from deepinit.core.typing import Array, Bool, Float, Int, Like, Plain, PyTree, Real

_VISIT = 0.97  # cosine at which a neuron has reached an orientation


def input_vectors(
    weights: Real[Array, "m fan_in"] | Plain, biases: Real[Array, "m"] | Plain | None = None
) -> Float[jax.Array, "m D"]:
    """Input vectors [m, fan_in + 1] of weights [m, fan_in] and biases [m], or the weights."""
    weights = jnp.asarray(weights)
    if biases is None:
        return weights
    return jnp.concatenate([weights, jnp.asarray(biases)[:, None]], axis=1)


def orientations(vectors: Real[Array, "m D"] | Plain) -> Float[jax.Array, "m D"]:
    """w_j / |w_j|."""
    vectors = jnp.asarray(vectors)
    largest = jnp.max(jnp.abs(vectors), axis=-1, keepdims=True)
    scaled = vectors / jnp.where(largest == 0, 1, largest)
    norm = jnp.sqrt(jnp.sum(scaled * scaled, axis=-1, keepdims=True))
    return scaled / jnp.where(largest == 0, 1, norm)


def cosine_similarities(vectors: Real[Array, "m D"] | Plain) -> Float[jax.Array, "m m"]:
    """Cosines w_i.w_j / (|w_i| |w_j|) (arXiv:2105.11686)."""
    units = orientations(vectors)
    return jnp.clip(jnp.matmul(units, units.T, precision="highest"), -1.0, 1.0)


def display_order(similarities: Real[Array, "m m"] | Plain) -> Int[np.ndarray, "m"]:
    """Order of neurons that groups equal orientations, by eigenvectors on the host.

    Opposite orientations of one line are at opposite ends. Show `similarities[order][:, order]`.
    """
    values, vectors = np.linalg.eigh(np.asarray(similarities, dtype=np.float64))
    # signs of eigenvectors are arbitrary: make the first entry above half the largest positive
    sizes = np.abs(vectors)
    first = (sizes > 0.5 * sizes.max(axis=0)).argmax(axis=0)
    vectors = vectors * np.sign(vectors[first, np.arange(len(vectors))])
    coordinates = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
    leading = np.argmax(np.abs(coordinates), axis=1)
    return np.lexsort((np.take_along_axis(coordinates, leading[:, None], axis=1)[:, 0], leading))


def angles_to(
    vectors: Real[Array, "m D"] | Plain, directions: Real[Array, "k D"] | Plain
) -> Float[jax.Array, "m k"]:
    """Angles in radians between neurons and directions of any length, accurate near 0 and pi.

    2 atan2(|u - d|, |u + d|); NaN for zero vectors.
    """
    vectors = jnp.asarray(vectors)
    u = orientations(vectors)[:, None]
    d = orientations(jnp.asarray(directions, vectors.dtype))[None]
    minus, plus = (jnp.sqrt(jnp.sum((u + sign * d) ** 2, axis=-1)) for sign in (-1, 1))
    angle = 2.0 * jnp.arctan2(minus, plus)
    return jnp.where(jnp.any(u != 0, axis=-1), angle, jnp.nan)


class Alignment(NamedTuple):
    """Cosines of neurons with given orientations.

    Attributes:
        best, nearest: cosine with the nearest orientation, and its index.
        median, low: median and 5 % quantile of `best`.
        fraction: of neurons with `best` above 0.97.
        visited: whether some neuron has reached the orientation.
    """

    best: Float[jax.Array, "m"]
    nearest: Int[jax.Array, "m"]
    median: Float[jax.Array, ""]
    low: Float[jax.Array, ""]
    fraction: Float[jax.Array, ""]
    visited: Bool[jax.Array, "k"]


def alignment(
    vectors: Real[Array, "m D"] | Plain, directions: Real[Array, "k D"] | Plain
) -> Alignment:
    """Alignment of neurons with predicted orientations; zero vectors align with nothing.

    Opposite `directions` are both listed.
    """
    angles = angles_to(vectors, directions)
    cosines = jnp.where(jnp.isnan(angles), -1.0, jnp.cos(angles))
    best, nearest = jnp.max(cosines, axis=1), jnp.argmax(cosines, axis=1)
    reached = best > _VISIT
    visited = jnp.any(reached[:, None] & (nearest[:, None] == jnp.arange(cosines.shape[1])), axis=0)
    median, low = jnp.median(best), jnp.quantile(best, 0.05)
    return Alignment(best, nearest, median, low, jnp.mean(reached), visited)


def amplitudes(
    vectors: Real[Array, "m D"] | Plain, outputs: Real[Like, "*k m"] | Plain
) -> Float[jax.Array, "m"]:
    """A_j = |a_j| |w_j| for output weights a [m] or [k, m] (arXiv:2007.07497)."""
    outputs = jnp.asarray(outputs)
    sizes = jnp.abs(outputs) if outputs.ndim == 1 else row_norms(outputs.T)
    return row_norms(jnp.asarray(vectors)) * sizes


def relative_distance(parameters: PyTree, initial: PyTree) -> Float[jax.Array, ""]:
    """RD = |W - W(0)| / |W(0)| of a pytree of parameters (arXiv:2007.07497).

    Near 0 where the network behaves like its linearization, large where it condenses.
    """
    flat = lambda tree: jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])[None]
    return (row_norms(flat(parameters) - flat(initial)) / row_norms(flat(initial)))[0]
