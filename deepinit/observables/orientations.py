"""Orientations of input weights: how the neurons of a layer share directions in the first moments of training.

A neuron's input vector is its row of weights with its bias appended, w_j = (weights_j, bias_j) in R^D. Its orientation is w_j / |w_j|,
its line the pair of that and its opposite. Everything here sees only orientations, except amplitudes, and takes [m, D] arrays of any scale:
vectors are divided by their largest entry before squares are taken, so 1e-30 in float32 does no harm. A vector that is exactly zero has no
orientation and becomes the zero row.

All functions are pure JAX and run under jit and vmap, but for those said to run on the host.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from deepinit.core.linear_algebra import row_norms

_VISIT = 0.97  # cosine from which a neuron counts as having reached an orientation


def input_vectors(weights: Any, biases: Any = None) -> jax.Array:
    """Input vectors [m, fan_in + 1] from weights [m, fan_in] and biases [m]; without biases the weights themselves."""
    weights = jnp.asarray(weights)
    return (
        weights
        if biases is None
        else jnp.concatenate([weights, jnp.asarray(biases)[:, None]], axis=1)
    )


def orientations(vectors: Any) -> jax.Array:
    """w_j / |w_j|: [m, D] rows of norm 1, or of zeros where the vector is zero."""
    vectors = jnp.asarray(vectors)
    largest = jnp.max(jnp.abs(vectors), axis=-1, keepdims=True)
    scaled = vectors / jnp.where(largest == 0, 1, largest)
    norm = jnp.sqrt(jnp.sum(scaled * scaled, axis=-1, keepdims=True))
    return scaled / jnp.where(largest == 0, 1, norm)


def cosine_similarities(vectors: Any) -> jax.Array:
    """D(w_i, w_j) = w_i.w_j / (|w_i| |w_j|): [m, m] in [-1, 1].

    Reference: arXiv 2105.11686, definition of cosine similarity.
    """
    units = orientations(vectors)
    return jnp.clip(jnp.matmul(units, units.T, precision="highest"), -1.0, 1.0)


def display_order(similarities: Any) -> np.ndarray:
    """An order of the neurons that gathers equal orientations, by the eigenvectors of the similarities. On the host.

    In the coordinates sqrt(lambda_k) v_k of the eigenvectors equal orientations are equal points. Neurons are sorted by the
    eigenvector that is largest in them, then by its value: on one line, opposite orientations stand at opposite ends.

    Args:
        similarities: [m, m].

    Returns:
        [m] indices: show `similarities[order][:, order]`.
    """
    values, vectors = np.linalg.eigh(np.asarray(similarities, dtype=np.float64))
    sizes = np.abs(
        vectors
    )  # a factorization leaves the signs open: the first entry of at least half the largest is positive
    first = (sizes > 0.5 * sizes.max(axis=0)).argmax(axis=0)
    vectors = vectors * np.sign(vectors[first, np.arange(len(vectors))])
    coordinates = (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1]
    leading = np.argmax(np.abs(coordinates), axis=1)
    return np.lexsort((np.take_along_axis(coordinates, leading[:, None], axis=1)[:, 0], leading))


def mean_absolute_cosine(vectors: Any) -> jax.Array:
    """The mean of |D(w_i, w_j)| over pairs i != j of neurons: 1 on one line, `random_absolute_cosine(D)` for random directions."""
    similarities = jnp.abs(cosine_similarities(vectors))
    count = similarities.shape[0]
    return (jnp.sum(similarities) - jnp.trace(similarities)) / (count * (count - 1))


def random_absolute_cosine(dimension: int) -> float:
    """E|u.v| of independent uniform directions in R^D: Gamma(D/2) / (sqrt(pi) Gamma((D+1)/2))."""
    return math.exp(math.lgamma(0.5 * dimension) - math.lgamma(0.5 * (dimension + 1))) / math.sqrt(
        math.pi
    )


def participation_ratio(vectors: Any) -> jax.Array:
    """m^2 / |U U^T|_F^2: about D for random orientations, 1 for one line, k for k orthogonal lines with equally many neurons.

    Zero vectors do not count among the m. Lines that are not orthogonal count for less than their number.
    """
    units = orientations(vectors)
    count = jnp.sum(jnp.any(units != 0, axis=1))
    gram = jnp.matmul(
        units.T, units, precision="highest"
    )  # |U U^T|_F = |U^T U|_F, and D is smaller than m
    return count**2 / jnp.maximum(jnp.sum(gram * gram), jnp.finfo(gram.dtype).tiny)


def entropy_rank(vectors: Any) -> float:
    """exp of the entropy of the eigenvalues of U^T U / m: another count of orthogonal lines. On the host."""
    units = np.asarray(orientations(vectors), dtype=np.float64)
    units = units[units.any(axis=1)]
    values = scipy.linalg.svdvals(units) ** 2 / len(units)
    values = values[values > 0]
    return float(np.exp(-np.sum(values * np.log(values))))


def angles_to(vectors: Any, directions: Any) -> jax.Array:
    """The angle of every neuron to every given direction, to relative accuracy also near 0 and pi: [m, k] in radians.

    2 atan2(|u - d|, |u + d|); arccos of a cosine would jump from 0 to 3.5e-4 in float32. NaN for zero vectors.

    Args:
        vectors: [m, D].
        directions: [k, D], of any length but zero.
    """
    u, d = (
        orientations(vectors)[:, None],
        orientations(jnp.asarray(directions, jnp.asarray(vectors).dtype))[None],
    )
    minus, plus = (jnp.sqrt(jnp.sum((u + sign * d) ** 2, axis=-1)) for sign in (-1, 1))
    angle = 2.0 * jnp.arctan2(minus, plus)
    return jnp.where(jnp.any(u != 0, axis=-1), angle, jnp.nan)


class Alignment(NamedTuple):
    """How well neurons lie on given orientations.

    Attributes:
        best: [m], cosine of each neuron with the nearest orientation.
        nearest: [m], its index.
        median, low: of `best`, median and 5 % quantile. (The minimum is decided by the few neurons that started unluckily.)
        fraction: of neurons with `best` above 0.97.
        visited: [k], whether some neuron has reached that orientation.
    """

    best: jax.Array
    nearest: jax.Array
    median: jax.Array
    low: jax.Array
    fraction: jax.Array
    visited: jax.Array


def alignment(vectors: Any, directions: Any) -> Alignment:
    """The primary test of a prediction of orientations; zero vectors count as aligned with nothing.

    Args:
        vectors: [m, D].
        directions: [k, D], all predicted orientations, opposite ones listed both.
    """
    angles = angles_to(vectors, directions)
    cosines = jnp.where(jnp.isnan(angles), -1.0, jnp.cos(angles))
    best, nearest = jnp.max(cosines, axis=1), jnp.argmax(cosines, axis=1)
    reached = best > _VISIT
    visited = jnp.any(reached[:, None] & (nearest[:, None] == jnp.arange(cosines.shape[1])), axis=0)
    return Alignment(
        best, nearest, jnp.median(best), jnp.quantile(best, 0.05), jnp.mean(reached), visited
    )


def amplitudes(vectors: Any, outputs: Any) -> jax.Array:
    """A_j = |a_j| |w_j|: [m].

    Args:
        vectors: [m, D].
        outputs: output weights [m], or [k, m] for k outputs, whose norm is then taken.

    Reference: arXiv 2007.07497, section on condensation.
    """
    outputs = jnp.asarray(outputs)
    return row_norms(jnp.asarray(vectors)) * (
        jnp.abs(outputs) if outputs.ndim == 1 else row_norms(outputs.T)
    )


def amplitude_angle(vectors: Any, outputs: Any) -> tuple[jax.Array, jax.Array]:
    """The points (phi_j, A_j) of the scatter plot of a network with one input: phi_j = atan2(bias_j, weight_j), A_j as in `amplitudes`.

    In more dimensions the first is the projection u_j.1 / sqrt(D) of the orientation.

    Returns:
        phi [m] in (-pi, pi] radians (the projection, in [-1, 1]), A [m].
    """
    vectors = jnp.asarray(vectors)
    if vectors.shape[1] == 2:
        return jnp.arctan2(vectors[:, 1], vectors[:, 0]), amplitudes(vectors, outputs)
    projection = jnp.sum(orientations(vectors), axis=1) / math.sqrt(vectors.shape[1])
    return projection, amplitudes(vectors, outputs)


def relative_distance(parameters: Any, initial: Any) -> jax.Array:
    """RD = |W - W(0)| / |W(0)|: how far parameters have gone from where they started, all arrays together.

    It stays near 0 where a network behaves like its linearization, and is large where it condenses.

    Args:
        parameters: an array or a pytree of arrays.
        initial: the same at step 0.

    Reference: arXiv 2007.07497, definition of RD.
    """
    flat = lambda tree: jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])[None]
    return (row_norms(flat(parameters) - flat(initial)) / row_norms(flat(initial)))[0]


def time_to_condensation(
    times: Any, best: Any, *, level: float = 0.99, fraction: float = 0.9
) -> jax.Array:
    """The first recorded time at which at least a fraction of the neurons lies within `level` of a predicted orientation.

    Args:
        times: [T], of the records.
        best: [T, m], cosines (`Alignment.best`).
        level: the cosine that counts as condensed.
        fraction: of the neurons that has to exceed it.

    Returns:
        The time; NaN if no record has it.
    """
    times = jnp.asarray(times)
    reached = jnp.mean(jnp.asarray(best) > level, axis=1) >= fraction
    return jnp.where(jnp.any(reached), times[jnp.argmax(reached)], jnp.nan)
