"""Blocks: the unit of work is a range of seeds, computed by one compiled function on all devices of a mesh."""

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from deepinit.core.errors import ResourceError, SpecError, refusal
from deepinit.core.host import require_unforked

SeedFn = Callable[[Any], Any]
BlockFn = Callable[[jax.Array, int], Any]

# Networks drawn together by one device. On a CPU their rows should stay in a core's cache (measured: 10 to 20 % slower at four
# times this size), within bounds that keep vector units busy and memory small; accelerators want as many as they get.
_CACHE_BYTES = 2**17
_FEWEST, _MOST = 16, 1024
_ACCELERATOR_BATCH = 4096
_BLOCKS_PER_ENSEMBLE = (
    20  # about as many updates as a progress bar needs, and as little work as one may lose
)
_SHARES = {
    "cpu": 8
}  # batches that a block of a given size is cut into at least, for that many devices to share it
_ACCELERATOR_SHARES = 64
_LARGEST_BLOCK = (
    2**16
)  # seeds: memory does not grow with the ensemble, and a block this large hides its overheads
MEMORY_BUDGET = 2**30
_HOST_COPIES = 9  # float64 arrays that the statistics of a block hold at once, in units of its outputs: measured, 8.3


class Blocks(NamedTuple):
    """How an ensemble is cut; part of a run's identity, since outputs differ by rounding between batch sizes.

    Attributes:
        num_seeds: networks wanted.
        block_size: seeds per block.
        batch_size: networks computed together on one device. The last batch of a block may compute some in vain, and so may
            devices that have no batch left.
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
    """A compiled ensemble: how it is cut, `block_fn(root key, block) -> pytree of NumPy arrays [seeds, ...]`, and the bytes of a block."""

    blocks: Blocks
    block_fn: BlockFn
    bytes_needed: int = 0


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
    halved: Callable[[int, int], None] | None = None,
) -> Ensemble:
    """Compiles one function for all blocks and chooses the block size from its memory analysis.

    Args:
        seed_fn: `key -> pytree of arrays`, one network.
        num_seeds: networks wanted.
        seed_bytes: what one network keeps at hand at its widest layer: decides how many are drawn together on a CPU.
        alone: every network is computed by itself, as convolutions want it: XLA has no fast one with a kernel per network.
        blocks: how a run that is being continued was cut; else chosen here.
        block_size: seeds per block, or as many as there are or as the budget has room for. Given a block size, batches do
            not depend on the number of devices, and so neither does rounding.
        mesh: devices; `local_mesh()` if None.
        memory_budget: bytes per device for temporaries and outputs of one block, and for its statistics on the host.
        halved: told (networks at a time, half of them) where a device was out of memory and the block is computed once more in
            smaller batches; None warns.

    Raises:
        SpecError: a block size below 1.
        ResourceError: one network alone needs more than the budget.
    """
    require_unforked()
    mesh, halved = mesh or local_mesh(), halved or _warn_of_halves
    if block_size is not None and block_size < 1:
        raise SpecError(
            f"block_size={block_size}", "integers >= 1", "Leave it out to have it chosen."
        )
    if blocks is not None:
        compiled = _compile(seed_fn, blocks, mesh)
        return Ensemble(
            blocks, _with_room(seed_fn, blocks, mesh, compiled, halved), _bytes_needed(compiled)
        )
    fitting = 1 if alone else fitting_batch(mesh.devices.flat[0].platform, seed_bytes)
    if block_size is not None:
        blocks = _cut_as_asked(seed_fn, num_seeds, block_size, fitting, mesh, memory_budget)
    else:
        blocks = _cut_for_devices(num_seeds, fitting, mesh)
    while True:
        compiled = _compile(seed_fn, blocks, mesh)
        needed = _bytes_needed(compiled)
        if needed <= memory_budget:
            return Ensemble(blocks, _with_room(seed_fn, blocks, mesh, compiled, halved), needed)
        if blocks.batch_size == 1 and (block_size is not None or blocks.block_size <= mesh.size):
            raise ResourceError(
                f"a network that needs {needed / 2**20:.0f} MiB of memory",
                f"{memory_budget / 2**20:.0f} MiB",
                "Take smaller widths or the conditional linear map, or raise the memory budget.",
            )
        smaller = memory_budget / needed / 1.1
        batch = max(1, int(blocks.batch_size * smaller))
        if block_size is None:
            wanted = max(1, int(blocks.block_size * smaller))
            blocks = Blocks(num_seeds, _in_whole_batches(wanted, batch, mesh), batch)
        else:
            blocks = blocks._replace(batch_size=batch)


def _cut_for_devices(num_seeds: int, fitting: int, mesh: Mesh) -> Blocks:
    """Blocks of whole batches on all devices."""
    share = -(-num_seeds // mesh.size)  # networks of a device
    batch = -(
        -share // -(-share // fitting)
    )  # batches of equal size: few seeds are computed in vain
    wanted = min(max(1, num_seeds // _BLOCKS_PER_ENSEMBLE), _LARGEST_BLOCK)
    return Blocks(num_seeds, _in_whole_batches(wanted, batch, mesh), batch)


def _in_whole_batches(wanted: int, batch: int, mesh: Mesh) -> int:
    whole = batch * mesh.size
    return whole * max(1, math.ceil(wanted / whole))


def _cut_as_asked(
    seed_fn: SeedFn, num_seeds: int, block_size: int, fitting: int, mesh: Mesh, memory_budget: int
) -> Blocks:
    """Blocks of the size asked for, in batches that depend on nothing but it: the same for every number of devices."""
    outputs = jax.tree.leaves(jax.eval_shape(seed_fn, jax.random.key(0, impl="threefry2x32")))
    seed_outputs = sum(output.size * output.dtype.itemsize for output in outputs)
    room = max(
        1, memory_budget // 2 // max(1, (1 + _HOST_COPIES) * seed_outputs)
    )  # the other half is for temporaries
    wanted = min(block_size, num_seeds, room)
    shares = _SHARES.get(mesh.devices.flat[0].platform, _ACCELERATOR_SHARES)
    batches = -(-wanted // min(fitting, -(-wanted // shares)))
    return Blocks(num_seeds, wanted, -(-wanted // batches))


def _compile(seed_fn: SeedFn, blocks: Blocks, mesh: Mesh) -> Any:
    spec = PartitionSpec("seeds")
    rounds = -(-blocks.block_size // (blocks.batch_size * mesh.size))
    num_computed = rounds * blocks.batch_size * mesh.size

    def local(root: jax.Array, seeds: jax.Array) -> Any:
        batch_size = (
            blocks.batch_size if blocks.batch_size > 1 else None
        )  # a batch of one would still be batched
        return jax.lax.map(
            lambda seed: seed_fn(jax.random.fold_in(root, seed)), seeds, batch_size=batch_size
        )

    sharded = jax.shard_map(
        local, mesh=mesh, in_specs=(PartitionSpec(), spec), out_specs=spec, check_vma=False
    )

    def block(key_data: jax.Array, first_seed: jax.Array) -> Any:
        root = jax.random.wrap_key_data(key_data, impl="threefry2x32")
        return sharded(root, first_seed + jnp.arange(num_computed, dtype=jnp.uint32))

    everywhere = NamedSharding(mesh, PartitionSpec())
    key_data, first_seed = (jax.ShapeDtypeStruct(shape, jnp.uint32) for shape in ((2,), ()))
    return (
        jax.jit(block, in_shardings=(everywhere, everywhere)).lower(key_data, first_seed).compile()
    )


def _block_fn(compiled: Any, blocks: Blocks, mesh: Mesh) -> BlockFn:
    everywhere = NamedSharding(mesh, PartitionSpec())

    def block_fn(root: jax.Array, block: int) -> Any:
        first, last = blocks.seeds(block)
        # NumPy arrays: these go to devices of other processes too, where every process passes the same ones.
        arguments = jax.device_put(
            (np.asarray(jax.random.key_data(root)), np.uint32(first)), everywhere
        )
        return jax.tree.map(lambda leaf: _to_host(leaf)[: last - first], compiled(*arguments))

    return block_fn


def _with_room(
    seed_fn: SeedFn, blocks: Blocks, mesh: Mesh, compiled: Any, halved: Callable[[int, int], None]
) -> BlockFn:
    """A `block_fn` that draws half as many networks together whenever a device is out of memory, and goes on so."""
    batch = blocks.batch_size
    compute: BlockFn | None = _block_fn(compiled, blocks, mesh)

    def block_fn(root: jax.Array, block: int) -> Any:
        nonlocal batch, compute
        while True:
            try:
                if compute is None:
                    cut = blocks._replace(batch_size=batch)
                    compute = _block_fn(_compile(seed_fn, cut, mesh), cut, mesh)
                return compute(root, block)
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error):
                    raise
                if batch == 1 or jax.process_count() > 1:  # the other processes would not follow
                    raise ResourceError(_no_room(blocks, batch)) from error
            smaller = -(-batch // 2)
            halved(batch, smaller)
            batch, compute = smaller, None

    return block_fn


def _no_room(blocks: Blocks, batch: int) -> str:
    return refusal(
        f"blocks of {blocks.block_size} networks, {batch} at a time on a device, for which the device has not enough memory",
        "what fits into its free memory",
        "Finished blocks are kept. End other programs on the device, or start a new run with a smaller block size.",
    )


def _warn_of_halves(batch: int, smaller: int) -> None:
    warnings.warn(in_halves(batch, smaller), RuntimeWarning, stacklevel=2)


def in_halves(batch: int, smaller: int) -> str:
    """What is said where a device had no room for a batch."""
    return (
        f"Out of memory with {batch} networks at a time on a device: going on with {smaller} at a time. The networks are the "
        "same; their numbers may differ by rounding."
    )


def _to_host(array: jax.Array) -> np.ndarray:
    if array.is_fully_addressable:
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def _bytes_needed(compiled: Any) -> int:
    """What one block needs on a device, or its statistics on the host, by the compiler's account; 0 without one."""
    analysis = compiled.memory_analysis() if hasattr(compiled, "memory_analysis") else None
    if analysis is None:
        return 0
    return int(analysis.temp_size_in_bytes + (1 + _HOST_COPIES) * analysis.output_size_in_bytes)
