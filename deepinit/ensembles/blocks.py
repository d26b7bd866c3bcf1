"""Blocks: the unit of work is a range of seeds, computed by one compiled function on all devices of a mesh."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from deepinit.core.errors import ConflictError, ResourceError, SpecError, refusal

SeedFn = Callable[[Any], Any]

# Networks drawn together by one device. On a CPU their rows should stay in a core's cache (measured: 10 to 20 % slower at four
# times this size), within bounds that keep vector units busy and memory small; accelerators want as many as they get.
_CACHE_BYTES = 2**17
_FEWEST, _MOST = 16, 1024
_ACCELERATOR_BATCH = 4096
_BLOCKS_PER_ENSEMBLE = 20  # about as many updates as a progress bar needs, and as little work as one may lose
_LARGEST_BLOCK = 2**16  # seeds: memory does not grow with the ensemble, and a block this large hides its overheads
MEMORY_BUDGET = 2**30
_HOST_COPIES = 9  # float64 arrays that the statistics of a block hold at once, in units of its outputs: measured, 8.3


class Blocks(NamedTuple):
    """How an ensemble is cut; part of a run's identity, since outputs differ by rounding between batch sizes.

    Attributes:
        num_seeds: networks wanted.
        block_size: seeds per block; a multiple of `batch_size` times the number of devices.
        batch_size: networks computed together on one device.
    """

    num_seeds: int
    block_size: int
    batch_size: int

    @property
    def num_blocks(self) -> int:
        """Number of blocks; the last one may be partly filled."""
        return -(-self.num_seeds // self.block_size)

    def seeds(self, block: int) -> tuple[int, int]:
        """[first, last) of a block."""
        return block * self.block_size, min((block + 1) * self.block_size, self.num_seeds)


def local_mesh() -> Mesh:
    """All devices in one axis `seeds`: those of this process, or of all processes under `jax.distributed`."""
    return jax.make_mesh((jax.device_count(),), ("seeds",), axis_types=(AxisType.Auto,))


def fitting_batch(platform: str, seed_bytes: int) -> int:
    """How many networks a device draws together when each keeps this many bytes at hand."""
    if platform != "cpu":
        return _ACCELERATOR_BATCH
    return min(max(_CACHE_BYTES // max(seed_bytes, 1), _FEWEST), _MOST)


class Ensemble(NamedTuple):
    """A compiled ensemble: how it is cut, and `block_fn(root key, block) -> pytree of NumPy arrays [seeds, ...]`."""

    blocks: Blocks
    block_fn: Callable[[jax.Array, int], Any]


def compile_ensemble(
    seed_fn: SeedFn,
    num_seeds: int,
    *,
    seed_bytes: int = 2**11,
    alone: bool = False,
    blocks: Blocks | None = None,
    block_size: int | None = None,
    mesh: Mesh | None = None,
    memory_budget: int = MEMORY_BUDGET,
) -> Ensemble:
    """Compiles one function for all blocks and chooses the block size from its memory analysis.

    Args:
        seed_fn: `key -> pytree of arrays`, one network.
        num_seeds: networks wanted.
        seed_bytes: what one network keeps at hand at its widest layer: decides how many are drawn together on a CPU.
        alone: every network is computed by itself, as convolutions want it: XLA has no fast one with a kernel per network.
        blocks: how a run that is being continued was cut; else chosen here. Of the devices as many are used as
            share them evenly.
        block_size: a wish, rounded up to whole batches on all devices.
        mesh: devices; `local_mesh()` if None.
        memory_budget: bytes per device for temporaries and outputs of one block, and for its statistics on the host.

    Raises:
        SpecError: a block size below 1.
        ConflictError: given blocks that the devices of several processes cannot share evenly.
        ResourceError: one network alone needs more than the budget.
    """
    mesh = mesh or local_mesh()
    if block_size is not None and block_size < 1:
        raise SpecError(refusal(f"block_size={block_size}", "integers >= 1", "Leave it out to have it chosen."))
    if blocks is not None:
        mesh = _even_mesh(blocks, mesh)
        return Ensemble(blocks, _block_fn(_compile(seed_fn, blocks, mesh), blocks, mesh))
    share = -(-num_seeds // mesh.size)  # networks of a device
    batches = -(-share // fitting_batch(mesh.devices.flat[0].platform, seed_bytes))
    batch = 1 if alone else -(-share // batches)  # batches of equal size: few seeds are computed in vain
    wanted = block_size or min(max(1, num_seeds // _BLOCKS_PER_ENSEMBLE), _LARGEST_BLOCK)
    batch = min(batch, -(-wanted // mesh.size)) if block_size is not None else batch
    while True:
        whole = batch * mesh.size
        blocks = Blocks(num_seeds, whole * max(1, math.ceil(wanted / whole)), batch)
        compiled = _compile(seed_fn, blocks, mesh)
        needed = _bytes_needed(compiled)
        if needed <= memory_budget:
            return Ensemble(blocks, _block_fn(compiled, blocks, mesh))
        if blocks.block_size == mesh.size:
            raise ResourceError(
                refusal(
                    f"a network that needs {needed / 2**20:.0f} MiB of memory",
                    f"{memory_budget / 2**20:.0f} MiB",
                    "Take smaller widths or the conditional linear map, or raise the memory budget.",
                )
            )
        smaller = memory_budget / needed / 1.1
        batch, wanted = max(1, int(batch * smaller)), max(1, int(blocks.block_size * smaller))


def _even_mesh(blocks: Blocks, mesh: Mesh) -> Mesh:
    """The most of these devices that share a block in whole batches: batches, and so rounding, are those of any count."""
    batches = blocks.block_size // blocks.batch_size
    if batches % mesh.size == 0:
        return mesh
    if jax.process_count() > 1:  # each process has to own a part of every block
        raise ConflictError(
            refusal(
                f"{mesh.size} devices for a run that was cut into blocks of {batches} batches of networks",
                "a number of devices that divides it",
                "Join fewer processes, continue the run in one, or start a new one.",
            )
        )
    count = max(count for count in range(1, mesh.size) if batches % count == 0)
    return jax.make_mesh((count,), ("seeds",), devices=list(mesh.devices.flat[:count]), axis_types=(AxisType.Auto,))


def _compile(seed_fn: SeedFn, blocks: Blocks, mesh: Mesh) -> Any:
    spec = PartitionSpec("seeds")

    def local(root: jax.Array, seeds: jax.Array) -> Any:
        batch_size = blocks.batch_size if blocks.batch_size > 1 else None  # a batch of one would still be batched
        return jax.lax.map(lambda seed: seed_fn(jax.random.fold_in(root, seed)), seeds, batch_size=batch_size)

    sharded = jax.shard_map(local, mesh=mesh, in_specs=(PartitionSpec(), spec), out_specs=spec, check_vma=False)

    def block(key_data: jax.Array, first_seed: jax.Array) -> Any:
        root = jax.random.wrap_key_data(key_data, impl="threefry2x32")
        return sharded(root, first_seed + jnp.arange(blocks.block_size, dtype=jnp.uint32))

    everywhere = NamedSharding(mesh, PartitionSpec())
    key_data, first_seed = (jax.ShapeDtypeStruct(shape, jnp.uint32) for shape in ((2,), ()))
    return jax.jit(block, in_shardings=(everywhere, everywhere)).lower(key_data, first_seed).compile()


def _block_fn(compiled: Any, blocks: Blocks, mesh: Mesh) -> Callable[[jax.Array, int], Any]:
    everywhere = NamedSharding(mesh, PartitionSpec())

    def block_fn(root: jax.Array, block: int) -> Any:
        first, last = blocks.seeds(block)
        # NumPy arrays: these go to devices of other processes too, where every process passes the same ones.
        arguments = jax.device_put((np.asarray(jax.random.key_data(root)), np.uint32(first)), everywhere)
        try:
            return jax.tree.map(lambda leaf: _to_host(leaf)[: last - first], compiled(*arguments))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise ResourceError(
                refusal(
                    f"blocks of {blocks.block_size} networks, for which the device has not enough memory",
                    "what fits into its free memory",
                    "Finished blocks are kept. End other programs on the device, or start a new run with a smaller "
                    "block size.",
                )
            ) from error

    return block_fn


def _to_host(array: jax.Array) -> np.ndarray:
    if array.is_fully_addressable:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def _bytes_needed(compiled: Any) -> int:
    """What one block needs on a device, or its statistics on the host, by the compiler's account; 0 without one."""
    analysis = compiled.memory_analysis()
    if analysis is None:
        return 0
    return int(analysis.temp_size_in_bytes + (1 + _HOST_COPIES) * analysis.output_size_in_bytes)
