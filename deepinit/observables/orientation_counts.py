"""Number of orientations of a layer's neurons, by greedy clustering.

The next centre is the free neuron with most free neurons within a cosine of 0.95. Clusters below
max(3, 2 % of the neurons) are discarded. A count is accepted if the clusters hold more than 95 % of
the neurons and their number is the same at cosines 0.90 and 0.98 (in two dimensions any cloud
splits into some twenty sectors).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.typing import Array, Bool, Float, Int, Plain, Real
from deepinit.observables.orientations import cosine_similarities

LEVEL, LEVELS_OF_DOUBT = 0.95, (0.90, 0.98)
_COVERAGE = 0.95
_ClusterState = tuple[jax.Array, jax.Array, jax.Array]  # free neurons, members, count


class OrientationCount(NamedTuple):
    """Orientations of a layer.

    Attributes:
        num_orientations: clusters at LEVEL.
        coverage: fraction of live neurons in clusters.
        condensed: the count is accepted.
        members: a neuron's cluster, from 0, largest first; -1 for none.
        live: number of live neurons.
    """

    num_orientations: Int[jax.Array, ""]
    coverage: Float[jax.Array, ""]
    condensed: Bool[jax.Array, ""]
    members: Int[jax.Array, "m"]
    live: Int[jax.Array, ""]


def count_orientations(
    vectors: Real[Array, "m D"] | Plain,
    *,
    amplitudes: Real[Array, "m"] | Plain | None = None,
    smallest_amplitude: float = 0.05,
    lines: bool = False,
) -> OrientationCount:
    """Number of orientations of a layer, and whether it has condensed; for jit and vmap.

    Zero `vectors` are ignored, and neurons with `amplitudes` below `smallest_amplitude` of the
    largest: needed under true gradient flow with phi'(0) = 0 or ReLU, where most neurons move late.
    `lines`: count u and -u as one.
    """
    vectors = jnp.asarray(vectors)
    live = jnp.any(vectors != 0, axis=1)
    if amplitudes is not None:
        amplitudes = jnp.asarray(amplitudes)
        live = live & (amplitudes >= smallest_amplitude * jnp.max(amplitudes))
    similarities = cosine_similarities(vectors)
    similarities = jnp.abs(similarities) if lines else similarities
    members, count = _clusters(similarities, live, LEVEL)
    num_live = jnp.sum(live)
    coverage = jnp.sum(members >= 0) / jnp.maximum(num_live, 1)
    condensed = (count > 0) & (coverage > _COVERAGE)
    for level in LEVELS_OF_DOUBT:
        condensed = condensed & (_clusters(similarities, live, level)[1] == count)
    return OrientationCount(count, coverage, condensed, members, num_live)


def _clusters(
    similarities: jax.Array, live: jax.Array, level: float
) -> tuple[jax.Array, jax.Array]:
    """Greedy clusters: members [m] and their number."""
    near = similarities > level
    smallest = jnp.maximum(3.0, 0.02 * jnp.sum(live))

    def sizes(free: jax.Array) -> jax.Array:
        return jnp.where(free, jnp.sum(near & free, axis=1), 0)

    def has_more(state: _ClusterState) -> jax.Array:
        return jnp.max(sizes(state[0])) >= smallest

    def take(state: _ClusterState) -> _ClusterState:
        free, members, count = state
        taken = near[jnp.argmax(sizes(free))] & free
        return free & ~taken, jnp.where(taken, count, members), count + 1

    start = (live, jnp.full(live.shape, -1, jnp.int32), jnp.zeros((), jnp.int32))
    _, members, count = jax.lax.while_loop(has_more, take, start)
    return members, count
