"""How an ensemble is cut into blocks and batches: by devices, by size, by memory."""

import math
from typing import NamedTuple

# Networks per batch on one device. On a CPU their rows should fit a core's cache (measured: 10 to
# 20 % slower at four times this size); accelerators take large batches.
_CACHE_BYTES = 2**17
_FEWEST, _MOST = 16, 1024
_ACCELERATOR_BATCH = 4096
_BLOCKS_PER_ENSEMBLE = 20  # updates of a progress bar; one block is the most work lost
_SHARES = {"cpu": 8}  # least number of batches of a block of given size: devices share them
_ACCELERATOR_SHARES = 64
_LARGEST_BLOCK = 2**16  # seeds: bounds memory, hides overheads
MEMORY_BUDGET = 2**30
HOST_COPIES = 9  # memory of a block's statistics over its outputs: measured, 8.3


class Blocks(NamedTuple):
    """Partition of an ensemble, part of a run's identity: batch sizes change rounding.

    `block_size` counts seeds, `batch_size` networks computed together on one device; unfilled
    places are wasted.
    """

    num_seeds: int
    block_size: int
    batch_size: int

    @property
    def num_blocks(self) -> int:
        """The last may be partly filled."""
        return -(-self.num_seeds // self.block_size)

    def seeds(self, block: int) -> tuple[int, int]:
        """[first, last) of a block."""
        return block * self.block_size, min((block + 1) * self.block_size, self.num_seeds)


def fitting_batch(platform: str, seed_bytes: int) -> int:
    """Networks per batch on a device."""
    if platform != "cpu":
        return _ACCELERATOR_BATCH
    return min(max(_CACHE_BYTES // max(seed_bytes, 1), _FEWEST), _MOST)


def cut_for_devices(num_seeds: int, fitting: int, devices: int) -> Blocks:
    """Complete batches on all devices."""
    share = -(-num_seeds // devices)  # networks of a device
    batch = -(-share // -(-share // fitting))  # equal batches: few seeds are computed in vain
    wanted = min(max(1, num_seeds // _BLOCKS_PER_ENSEMBLE), _LARGEST_BLOCK)
    return Blocks(num_seeds, in_whole_batches(wanted, batch, devices), batch)


def in_whole_batches(wanted: int, batch: int, devices: int) -> int:
    """At least `wanted` networks, in complete batches on all devices."""
    step = batch * devices
    return step * max(1, math.ceil(wanted / step))


def room(seed_outputs: int, memory_budget: int = MEMORY_BUDGET) -> int:
    """Networks whose outputs fit half of the budget; the other half is for temporaries."""
    return max(1, memory_budget // 2 // max(1, (1 + HOST_COPIES) * seed_outputs))


def cut_to_size(
    num_seeds: int, block_size: int, fitting: int, platform: str, devices: int | None = None
) -> Blocks:
    """Equal batches of at most `fitting`.

    The same for any number of devices on CPUs; elsewhere unless `devices`, which share a block.
    """
    shares = _SHARES.get(platform, devices or _ACCELERATOR_SHARES)
    batches = -(-block_size // min(fitting, -(-block_size // shares)))
    return Blocks(num_seeds, block_size, -(-block_size // batches))
