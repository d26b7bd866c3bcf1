"""States made entry by entry, each from the rows of a pair of inputs."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.infinite_width.states import Kernel, State, tied

# (group, kernels within each input, kernel between them [P, P], row, row) -> numbers
Entry = Callable[[int, Kernel, Kernel, Kernel, Any, Any], Kernel]


def by_entries(state: State, entry: Entry, own: np.ndarray, mutual: np.ndarray) -> State:
    """The settled state with the kernels that `entry`, vectorized over pairs of one group, gives.

    `own`, `mutual`: [P', P'], groups (integers) of the pairs of rows of one and of two inputs;
    `own` symmetric.
    """
    length, shape = len(own), state.same.shape
    within, num_others = state.within, shape[1]

    def at_own(group: int, place: Any) -> Kernel:
        a, t, u = place
        block = jax.tree.map(lambda part: part[a], within)
        return entry(group, block, block, block, t, u)

    def at_mutual(group: int, place: Any) -> Kernel:
        a, b, t, u = place
        left = jax.tree.map(lambda part: part[a], within)
        right = jax.tree.map(lambda part: part[len(part) - num_others + b], within)
        return entry(group, left, right, jax.tree.map(lambda x: x[a, b], state.cross), t, u)

    num = len(within.cov)
    places = np.indices((num, length, length)).reshape(3, -1)
    places = places[:, places[1] <= places[2]]
    like = jax.tree.map(lambda _: jnp.zeros((num, length, length)), within)
    inner = _filled(at_own, like, places, own[places[1], places[2]], [0, 2, 1])
    places = np.indices((*shape, length, length)).reshape(4, -1)
    if state.square:
        places = places[:, places[0] < places[1]]
    copy = [1, 0, 3, 2] if state.square else [0, 1, 2, 3]
    like = jax.tree.map(lambda _: jnp.zeros((*shape, length, length)), within)
    outer = _filled(at_mutual, like, places, mutual[places[2], places[3]], copy)
    return tied(state.replace(cross=outer, within=inner, gaussian=False, gain=0.0, source=None))


def _filled(entry: Any, like: Kernel, places: Any, groups: Any, copy: list[int]) -> Kernel:
    """Entries at places [axes, num] and permuted axes."""
    result = like
    for group in np.unique(groups):
        part = places[:, groups == group]
        entries = jax.lax.map(functools.partial(entry, int(group)), tuple(map(jnp.asarray, part)))
        for at in (part, part[copy]):
            put = lambda block, values, at=at: block.at[tuple(at)].set(values)
            result = jax.tree.map(put, result, entries)
    return result
