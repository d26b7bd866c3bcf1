"""Points of a sweep in one compiled program: networks of many points fill a batch together."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from deepinit.core.compilation import wide_vectors
from deepinit.core.placeholders import Recorder
from deepinit.ensembles import programs
from deepinit.ensembles.blocks import Compiled, bytes_needed, local_mesh, outputs, to_host
from deepinit.ensembles.cuts import MEMORY_BUDGET, fitting_batch
from deepinit.ensembles.programs import Form

_NETWORKS = 2**14  # of a block: bounds memory, hides overheads
_HOST_COPIES = 12


class Cut(NamedTuple):
    """Points and seeds of a block; `batch` networks together on a device."""

    points: int
    seeds: int
    batch: int


class SweepBlocks(NamedTuple):
    """A compiled sweep.

    `run(root key, points, first seed) -> pytree [seeds, points, ...]` for numbers of points.
    """

    cut: Cut
    run: Callable[[Any, range, int], Any]


def compile_sweep(
    forms: list[Form],
    num_seeds: int,
    *,
    seed_bytes: int,
    batch_size_one: bool = False,
    mesh: Mesh | None = None,
    memory_budget: int = MEMORY_BUDGET,
    check: Callable[[int, Callable[[], None]], None] = lambda number, call: call(),
) -> SweepBlocks:
    """One function for all points and seeds, in blocks that fit the budget.

    Args:
        forms: of the points, of one key.
        check: `(point, its range checks)`, which raise SpecError.
    """
    mesh = mesh or local_mesh()
    seed_outputs = sum(each.size * each.dtype.itemsize for each in outputs(forms[0]))
    room = memory_budget // 2 // max(1, (1 + _HOST_COPIES) * seed_outputs)
    networks = max(1, min(_NETWORKS, room))
    seeds = min(num_seeds, networks)
    points = min(len(forms), max(1, networks // seeds))
    points = -(-len(forms) // -(-len(forms) // points))  # equal blocks: few are computed in vain
    fitting = 1 if batch_size_one else fitting_batch(mesh.devices.flat[0].platform, seed_bytes)
    share = -(-points * seeds // mesh.size)
    cut = Cut(points, seeds, -(-share // -(-share // fitting)))
    first = forms[0]
    key = None if first.key is None else ("sweep", first.key, cut, mesh)
    compiled = programs.cached(key, lambda: _compile(first, cut, mesh))
    for number, form in enumerate(forms):
        check(number, partial(compiled.recorded.require, form.program.numbers))
    every = [np.array(column) for column in zip(*(f.program.numbers for f in forms), strict=True)]
    vectors = compiled.recorded.vector(every, programs.vector_dtype())
    vectors = np.broadcast_to(vectors, (len(forms), vectors.shape[-1]))
    everywhere = NamedSharding(mesh, PartitionSpec())

    def run(root: Any, chosen: range, first_seed: int) -> Any:
        padded = [*chosen, *[chosen[-1]] * (cut.points - len(chosen))]
        leaves = tuple(
            np.stack([forms[point].leaves[at] for point in padded])
            for at in range(len(first.leaves))
        )
        host = (
            np.asarray(jax.random.key_data(root)),
            np.uint32(first_seed),
            vectors[padded],
            leaves,
        )
        found = compiled.executable(*jax.device_put(host, everywhere))
        return jax.tree.map(lambda leaf: _of_points(to_host(leaf), cut, len(chosen)), found)

    return SweepBlocks(cut, run)


def _of_points(leaf: np.ndarray, cut: Cut, num_points: int) -> np.ndarray:
    """[seeds, points, ...] of networks, point by point."""
    every = leaf[: cut.points * cut.seeds].reshape(cut.points, cut.seeds, *leaf.shape[1:])
    return np.swapaxes(every[:num_points], 0, 1)


def _compile(form: Form, cut: Cut, mesh: Mesh) -> Compiled:
    spec, everywhere = PartitionSpec("seeds"), PartitionSpec()
    step = cut.batch * mesh.size
    num_computed = -(-cut.points * cut.seeds // step) * step
    recorders = []

    def local(
        root: jax.Array, numbers: jax.Array, first: jax.Array, vectors: Any, leaves: Any
    ) -> Any:
        def network(number: jax.Array) -> Any:
            point = jnp.minimum(number // cut.seeds, cut.points - 1)
            at = lambda leaf: jax.lax.dynamic_index_in_dim(leaf, point, keepdims=False)
            recorders.append(Recorder(at(vectors)))
            seed_fn = form.seed_fn(recorders[-1], jax.tree.map(at, leaves))
            seed = first + (number % cut.seeds).astype(jnp.uint32)
            return seed_fn(jax.random.fold_in(root, seed))

        return jax.lax.map(network, numbers, batch_size=cut.batch if cut.batch > 1 else None)

    in_specs = everywhere, spec, everywhere, everywhere, everywhere
    sharded = jax.shard_map(local, mesh=mesh, in_specs=in_specs, out_specs=spec, check_vma=False)

    def block(key_data: jax.Array, first: jax.Array, vectors: jax.Array, leaves: Any) -> Any:
        root = jax.random.wrap_key_data(key_data, impl="threefry2x32")
        numbers = jnp.arange(num_computed, dtype=jnp.int32)
        return sharded(root, numbers, first, vectors, leaves)

    key_data, first = (jax.ShapeDtypeStruct(shape, jnp.uint32) for shape in ((2,), ()))
    vector, leaves = programs.abstract_arguments(form)
    stacked = lambda each: jax.ShapeDtypeStruct((cut.points, *each.shape), each.dtype)
    jitted = jax.jit(block, in_shardings=NamedSharding(mesh, everywhere))
    lowered = jitted.lower(key_data, first, stacked(vector), jax.tree.map(stacked, leaves))
    compiled = lowered.compile(compiler_options=wide_vectors())
    return Compiled(compiled, recorders[-1].recorded, bytes_needed(compiled))
