"""Values of quantities as functions of products and means of rows (inputs x positions)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.layers import outline, output_shape, shape_of, sites
from deepinit.core.layers.program import has_own_masks


class Target(NamedTuple):
    """Values of a quantity as functions of products and means of rows.

    Attributes:
        functions: `(gram [k, k], mean [k]) -> [m]` in JAX, of the inputs of a group.
        groups: inputs, points before partners; tuples of one length.
        entries: (group, function) of every entry.
        offset: [sites, entries] added to them, or 0.
    """

    functions: Callable[[Any, Any], Any]
    groups: tuple[tuple[int, ...], ...]
    entries: tuple[tuple[int, int], ...]
    offset: Any = 0.0

    def chosen(self, values: np.ndarray) -> np.ndarray:
        """[..., groups, m] -> [..., entries]."""
        group, function = np.array(self.entries).T
        return values[..., group, function]


class InBatch(NamedTuple):
    """Functions [m] of the inputs at `places`, of all rows of a batch: [places m]."""

    functions: Callable[[Any, Any], Any]
    places: tuple[Any, ...]
    num_inputs: int

    def __call__(self, gram: Any, mean: Any) -> Any:
        """Of products [k, k] and means [k] of the batch."""
        import jax.numpy as jnp

        rows = np.arange(len(mean)).reshape(self.num_inputs, -1)
        own = [rows[list(place)].ravel() for place in self.places]
        return jnp.concatenate([self.functions(gram[np.ix_(a, a)], mean[a]) for a in own])


def grouped(target: Target, inputs: Inputs, *, together: bool) -> tuple[Any, Any]:
    """Functions and groups of a target; `together`: functions of one group of all inputs."""
    if not together:
        return target.functions, target.groups
    functions = InBatch(target.functions, target.groups, inputs.num_rows)
    return functions, (tuple(range(inputs.num_rows)),)


def rows_of(inputs: Inputs) -> np.ndarray:
    """[inputs, dimension], points before partners."""
    return np.concatenate([inputs.points, inputs.partners])


def overlap(gram: Any, mean: Any) -> Any:
    """<x, x'> / size of products between two inputs, or within one: [1]."""
    import jax.numpy as jnp

    del mean
    return jnp.mean(jnp.diagonal(gram), keepdims=True)


def overlaps_of_pair(gram: Any, mean: Any) -> Any:
    """<x, x>, <x, x'>, <x', x'> over size, of two inputs [3]."""
    import jax.numpy as jnp

    half = len(gram) // 2
    blocks = (gram[:half, :half], gram[:half, half:], gram[half:, half:])
    return jnp.concatenate([overlap(block, mean) for block in blocks])


def half_log_norm(gram: Any, mean: Any) -> Any:
    """ln |x| / sqrt(size) [1]."""
    import jax.numpy as jnp

    return 0.5 * jnp.log(overlap(gram, mean))


def log_sin2_of_pair(gram: Any, mean: Any) -> Any:
    """ln sin^2 of the angle [1]."""
    import jax.numpy as jnp

    first, cross, second = overlaps_of_pair(gram, mean)
    return jnp.log(1.0 - cross**2 / (first * second))[None]


def cosine_of_pair(gram: Any, mean: Any) -> Any:
    """Cosine of two inputs [1]."""
    import jax.numpy as jnp

    first, cross, second = overlaps_of_pair(gram, mean)
    return (cross / jnp.sqrt(first * second))[None]


def mean_cosine(gram: Any, mean: Any) -> Any:
    """Mean over s < t of the cosine of rows s and t [1]; NaN at one position."""
    import jax.numpy as jnp

    del mean
    size = jnp.sqrt(jnp.diagonal(gram))
    first, second = np.triu_indices(len(gram), 1)
    return jnp.mean((gram / jnp.outer(size, size))[first, second], keepdims=True)


def nngp(network: Any, inputs: Inputs) -> Target:
    """Entries i <= j."""
    first, second = np.triu_indices(inputs.num_rows)
    rows = rows_of(inputs)
    same = (rows[first] == rows[second]).all(axis=1)
    if has_own_masks(outline(network, shape_of(inputs)).program.body):
        same &= first == second
    entries = np.stack([first, second], axis=1)
    pairs = tuple(map(tuple, entries[~same].tolist()))
    if not pairs:  # all inputs are equal
        return Target(overlap, ((0,),), ((0, 0),) * len(entries))
    chosen = []
    for (i, j), alone in zip(entries.tolist(), same, strict=True):
        if alone:
            group = next(number for number, pair in enumerate(pairs) if i in pair)
            chosen.append((group, 2 if pairs[group][1] == i else 0))
        else:
            chosen.append((pairs.index((i, j)), 1))
    return Target(overlaps_of_pair, pairs, tuple(chosen))


def log_norm(network: Any, inputs: Inputs) -> Target:
    """ln |x_l| / |x_0| of points."""
    net = outline(network, shape_of(inputs)).program
    places = sites(net.body, net.body_shape)
    sizes = np.array([[output_shape(site.layer, site.shape).size] for site in places])
    offset = 0.5 * np.log(sizes / np.sum(inputs.points**2, axis=1))
    return _of_points(half_log_norm, inputs)._replace(offset=offset)


def log_sin2_angle(network: Any, inputs: Inputs) -> Target:
    """ln sin^2 of the angle of every pair."""
    del network
    partners = len(inputs.points) + np.arange(inputs.num_pairs)
    pairs = tuple(zip(map(int, inputs.bases), partners.tolist(), strict=True))
    return Target(log_sin2_of_pair, pairs, _alone(len(pairs)))


def different_pairs(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Indices i < j of points, then partners."""
    return np.triu_indices(inputs.num_rows, 1)


def cosine(network: Any, inputs: Inputs) -> Target:
    """Cosine of all pairs."""
    del network
    first, second = different_pairs(inputs)
    pairs = tuple(zip(first.tolist(), second.tolist(), strict=True))
    return Target(cosine_of_pair, pairs, _alone(len(pairs)))


def token_cosine(network: Any, inputs: Inputs) -> Target:
    """Mean cosine between the positions of points."""
    del network
    return _of_points(mean_cosine, inputs)


def output_kurtosis(network: Any, inputs: Inputs) -> Target:
    """q = |x|^2 / size, of which the kurtosis is 3 Var q / (E q)^2."""
    del network
    count = inputs.num_rows
    return Target(overlap, tuple((i,) for i in range(count)), _alone(count))


def _of_points(functions: Any, inputs: Inputs) -> Target:
    count = len(inputs.points)
    return Target(functions, tuple((number,) for number in range(count)), _alone(count))


def _alone(count: int) -> tuple[tuple[int, int], ...]:
    """The first function of every group."""
    return tuple((number, 0) for number in range(count))
