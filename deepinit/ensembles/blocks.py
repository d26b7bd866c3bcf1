"""Blocks of seeds, computed by one compiled function on all devices."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from deepinit.core import validate
from deepinit.core.compilation import wide_vectors
from deepinit.core.errors import ResourceError
from deepinit.core.host import require_unforked
from deepinit.core.placeholders import Recorded, Recorder
from deepinit.ensembles import programs
from deepinit.ensembles.cuts import (
    HOST_COPIES,
    MEMORY_BUDGET,
    Blocks,
    cut_for_devices,
    cut_to_size,
    fitting_batch,
    in_whole_batches,
    room,
)
from deepinit.ensembles.programs import Form, Program

SeedFn = Callable[[Any], Any]
Programs = Sequence[Program]
BlockFn = Callable[[jax.Array, int], Any]


def local_mesh() -> Mesh:
    """All devices (of all `jax.distributed` processes) on one axis `seeds`."""
    return jax.make_mesh((jax.device_count(),), ("seeds",), axis_types=(AxisType.Auto,))


class Ensemble(NamedTuple):
    """A compiled ensemble, of `bytes_needed` per block.

    `block_fn(root key, block) -> pytree of NumPy arrays [seeds, ...]`.
    """

    blocks: Blocks
    block_fn: BlockFn
    bytes_needed: int = 0


def compile_ensemble(
    seed_fn: SeedFn | Programs,
    num_seeds: int,
    *,
    seed_bytes: int = 2**11,
    batch_size_one: bool = False,
    blocks: Blocks | None = None,
    block_size: int | None = None,
    mesh: Mesh | None = None,
    memory_budget: int = MEMORY_BUDGET,
    on_smaller_batches: Callable[[int, int], None] | None = None,
) -> Ensemble:
    """Compile one function for all blocks, sized by its memory analysis.

    Args:
        seed_fn: `key -> pytree of arrays`, one network, compiled anew; or programs of it, the most
            general first, whose compilation is shared (`ensembles.programs`).
        seed_bytes: of one network's widest layer, for the batch size on a CPU.
        batch_size_one: for convolutions, slow in XLA with a kernel per network.
        blocks: of a continued run.
        block_size: seeds; None for 1/20 of all, at most about 2^16, within the budget. If given,
            batches and rounding do not depend on the number of devices.
        mesh: None for `local_mesh()`.
        memory_budget: bytes per device for a block's temporaries and outputs, and for its
            statistics on the host.
        on_smaller_batches: called with (batch size, smaller one) before a retry when a device runs
            out of memory; None warns.

    Raises ResourceError: one network exceeds the budget.
    """
    require_unforked()
    mesh, on_smaller_batches = mesh or local_mesh(), on_smaller_batches or _warn
    if block_size is not None:
        validate.integer("block_size", block_size, 1)
    form = chosen_form(seed_fn)
    block_fn = partial(_retry_with_smaller_batches, form, mesh, on_smaller_batches)
    if blocks is not None:
        compiled = compiled_block(form, blocks, mesh)
        return Ensemble(blocks, block_fn(blocks, compiled), compiled.bytes_needed)
    fitting = 1 if batch_size_one else fitting_batch(mesh.devices.flat[0].platform, seed_bytes)
    if block_size is not None:
        wanted = min(block_size, num_seeds, room(output_bytes(form), memory_budget))
        blocks = cut_to_size(num_seeds, wanted, fitting, mesh.devices.flat[0].platform)
    else:
        blocks = cut_for_devices(num_seeds, fitting, mesh.size)
    while True:
        compiled = compiled_block(form, blocks, mesh)
        needed = compiled.bytes_needed
        if needed <= memory_budget:
            return Ensemble(blocks, block_fn(blocks, compiled), needed)
        if blocks.batch_size == 1 and (block_size is not None or blocks.block_size <= mesh.size):
            given = f"a network that needs {needed / 2**20:.0f} MiB of memory"
            remedy = "Use smaller widths or conditional linear maps, or raise the memory budget."
            raise ResourceError(given, f"{memory_budget / 2**20:.0f} MiB", remedy)
        smaller = memory_budget / needed / 1.1
        batch = max(1, int(blocks.batch_size * smaller))
        if block_size is None:
            wanted = max(1, int(blocks.block_size * smaller))
            blocks = Blocks(num_seeds, in_whole_batches(wanted, batch, mesh.size), batch)
        else:
            blocks = blocks._replace(batch_size=batch)


def chosen_form(seed_fn: SeedFn | Programs) -> Form:
    """The most general program that traces."""
    given = (programs.of_seed_fn(seed_fn),) if callable(seed_fn) else seed_fn
    return programs.first_that_traces(given, outputs)


def outputs(form: Form) -> tuple[Any, ...]:
    """Shapes of one network's arrays; raises where its numbers cannot stay open."""
    return programs.cached(
        None if form.key is None else ("outputs", form.key), lambda: _outputs(form)
    )


def _outputs(form: Form) -> tuple[Any, ...]:
    recorders = []

    def run(key: jax.Array, vector: jax.Array, leaves: Any) -> Any:
        recorders.append(Recorder(vector))
        return form.seed_fn(recorders[-1], leaves)(key)

    key = jax.random.key(0, impl="threefry2x32")
    found = jax.tree.leaves(jax.eval_shape(run, key, *programs.abstract_arguments(form)))
    for recorder in recorders:
        recorder.require_resolved()
    return tuple(found)


def output_bytes(form: Form) -> int:
    """Of one network's measured arrays."""
    return sum(output.size * output.dtype.itemsize for output in outputs(form))


class Compiled(NamedTuple):
    """A compiled block: `executable(key data, first seed, vector, leaves)`."""

    executable: Any
    recorded: Recorded
    bytes_needed: int


def compiled_block(form: Form, blocks: Blocks, mesh: Mesh) -> Compiled:
    """A block's program, from the cache."""
    key = None if form.key is None else ("block", form.key, blocks[1:], mesh)
    return programs.cached(key, lambda: _compile(form, blocks, mesh))


def _compile(form: Form, blocks: Blocks, mesh: Mesh) -> Compiled:
    spec, everywhere = PartitionSpec("seeds"), PartitionSpec()
    rounds = -(-blocks.block_size // (blocks.batch_size * mesh.size))
    num_computed = rounds * blocks.batch_size * mesh.size
    recorders = []

    def local(root: jax.Array, seeds: jax.Array, vector: jax.Array, leaves: Any) -> Any:
        recorders.append(Recorder(vector))
        seed_fn = form.seed_fn(recorders[-1], leaves)
        batch_size = blocks.batch_size if blocks.batch_size > 1 else None  # 1 would still batch
        seed = lambda number: seed_fn(jax.random.fold_in(root, number))
        return jax.lax.map(seed, seeds, batch_size=batch_size)

    in_specs = everywhere, spec, everywhere, everywhere
    sharded = jax.shard_map(local, mesh=mesh, in_specs=in_specs, out_specs=spec, check_vma=False)

    def block(key_data: jax.Array, first_seed: jax.Array, vector: jax.Array, leaves: Any) -> Any:
        root = jax.random.wrap_key_data(key_data, impl="threefry2x32")
        seeds = first_seed + jnp.arange(num_computed, dtype=jnp.uint32)
        return sharded(root, seeds, vector, leaves)

    key_data, first_seed = (jax.ShapeDtypeStruct(shape, jnp.uint32) for shape in ((2,), ()))
    jitted = jax.jit(block, in_shardings=NamedSharding(mesh, everywhere))
    lowered = jitted.lower(key_data, first_seed, *programs.abstract_arguments(form))
    compiled = lowered.compile(compiler_options=wide_vectors())
    return Compiled(compiled, recorders[-1].recorded, bytes_needed(compiled))


def _block_fn(form: Form, compiled: Compiled, blocks: Blocks, mesh: Mesh) -> BlockFn:
    everywhere = NamedSharding(mesh, PartitionSpec())
    arguments = jax.device_put(tuple(form.arguments(compiled.recorded)), everywhere)

    def block_fn(root: jax.Array, block: int) -> Any:
        first, last = blocks.seeds(block)
        # NumPy arrays: equal on all processes, so they may go to devices of other processes
        host = np.asarray(jax.random.key_data(root)), np.uint32(first)
        found = compiled.executable(*jax.device_put(host, everywhere), *arguments)
        return jax.tree.map(lambda leaf: to_host(leaf)[: last - first], found)

    return block_fn


def _retry_with_smaller_batches(
    form: Form,
    mesh: Mesh,
    on_smaller_batches: Callable[[int, int], None],
    blocks: Blocks,
    compiled: Compiled,
) -> BlockFn:
    """A `block_fn` that halves the batch size out of device memory."""
    batch = blocks.batch_size
    compute: BlockFn | None = _block_fn(form, compiled, blocks, mesh)

    def block_fn(root: jax.Array, block: int) -> Any:
        nonlocal batch, compute
        while True:
            try:
                if compute is None:
                    cut = blocks._replace(batch_size=batch)
                    compute = _block_fn(form, compiled_block(form, cut, mesh), cut, mesh)
                return compute(root, block)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                if batch == 1 or jax.process_count() > 1:  # other processes would not follow
                    given = f"blocks of {blocks.block_size} networks, {batch} at a time on a device"
                    allowed = "blocks that fit into the free memory of the device"
                    remedy = "Finished blocks are saved. Free memory, or use smaller blocks."
                    raise ResourceError(given, allowed, remedy) from error
            smaller = -(-batch // 2)
            on_smaller_batches(batch, smaller)
            batch, compute = smaller, None

    return block_fn


def _warn(batch: int, smaller: int) -> None:
    warnings.warn(smaller_batches_text(batch, smaller), RuntimeWarning, stacklevel=2)


def smaller_batches_text(batch: int, smaller: int) -> str:
    """Warning about a retry out of device memory."""
    return (
        f"Out of memory with {batch} networks at a time on a device: continuing with {smaller} "
        "at a time. The networks are the same; numbers may differ by rounding."
    )


def to_host(array: jax.Array) -> np.ndarray:
    """The whole array, also of other processes' devices."""
    if array.is_fully_addressable:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def bytes_needed(compiled: Any) -> int:
    """Bytes of a block on device and host; 0 if unknown."""
    analysis = compiled.memory_analysis() if hasattr(compiled, "memory_analysis") else None
    if analysis is None:
        return 0
    return int(analysis.temp_size_in_bytes + (1 + HOST_COPIES) * analysis.output_size_in_bytes)
