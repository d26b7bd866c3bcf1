"""Seconds of a run from networks, devices, processes, shapes and block size. Arithmetic only.

L layers of n neurons, k inputs, e values a network; constants c measured by `model.py`. A network:
    t = f L n [ c_normal k  +  c_row k + c_pair k^2  +  c_active k + c_overlap k^2 ]
(random numbers, Gram-Schmidt and product, activation and measurement; f, the whole over the sum of
its parts, since the compiler fuses them). A block of B networks on d devices:
    T(B) = c_call + B t / d  +  c_merge e + c_value e B  +  c_write + c_byte bytes(B)
S networks are N = ceil(S / B) blocks; P processes share one directory, whose journal is locked:
    c_start P  +  max( ceil(N / P) T(B),  N c_journal )  +  N (c_read + c_unpack e)
The store limits computing where P c_journal > T(B); the merge is serial. Larger blocks remedy both.
Beyond sqrt(S t / (d c)) processes, c = c_journal + c_read + c_unpack e + c_start, more are slower.
"""

import math
from typing import NamedTuple

from deepinit.ensembles.cuts import MEMORY_BUDGET
from deepinit.ensembles.statistics import NUM_BINS

BYTES_AT_HAND = 50  # per value of a block: itself, its event, copies in the statistics
_MOMENTS = 8  # arrays of one number per value: counts, moments, extremes, events


class Costs(NamedTuple):
    """Measured constants (module docstring): `together` is f, the others are seconds."""

    together: float

    normal: float
    row: float
    pair: float
    active: float
    overlap: float
    call: float
    value: float
    merge: float
    write: float
    byte: float
    journal: float
    read: float
    unpack: float
    start: float


class Work(NamedTuple):
    """What every network does: n, L, k `inputs`, e measured `values`."""

    width: int
    depth: int
    inputs: int
    values: int


class Arrangement(NamedTuple):
    """Processes, devices of each, networks per block."""

    processes: int
    devices: int
    block_size: int


class RunSeconds(NamedTuple):
    """Wall time of a run by part; `store_waits` is waiting for the journal's lock."""

    start: float
    random: float
    linear: float
    activation: float
    calls: float
    statistics: float
    writes: float
    store_waits: float
    merge: float

    @property
    def total(self) -> float:
        """Of all parts."""
        return sum(self)


def network_seconds(costs: Costs, work: Work) -> tuple[float, float, float]:
    """Random numbers, linear algebra, activation with measurement of one network."""
    neurons, k = costs.together * work.depth * work.width, work.inputs
    linear = costs.row * k + costs.pair * k**2
    active = costs.active * k + costs.overlap * k**2
    return neurons * costs.normal * k, neurons * linear, neurons * active


def block_bytes(work: Work, block_size: int) -> int:
    """At most: 16 bytes for every bin of a histogram that is taken, and the moments."""
    return work.values * (16 * min(block_size, NUM_BINS) + 8 * _MOMENTS)


def fixed_seconds(costs: Costs, work: Work) -> float:
    """Of every block, whatever its size."""
    return costs.call + costs.merge * work.values + costs.write


def growing_seconds(costs: Costs, work: Work, devices: int) -> float:
    """Of every network in a block, without its bytes, which stop at full histograms."""
    return sum(network_seconds(costs, work)) / devices + costs.value * work.values


def block_seconds(costs: Costs, work: Work, block_size: int, devices: int) -> float:
    """T(B)."""
    growing = block_size * growing_seconds(costs, work, devices)
    return fixed_seconds(costs, work) + growing + costs.byte * block_bytes(work, block_size)


def run_seconds(costs: Costs, work: Work, seeds: int, how: Arrangement) -> RunSeconds:
    """Of a whole run, without imports and compilation."""
    blocks = -(-seeds // how.block_size)
    rounds = -(-blocks // how.processes)
    size = min(how.block_size, seeds)
    random, linear, activation = (
        rounds * size * part / how.devices for part in network_seconds(costs, work)
    )
    own = rounds * block_seconds(costs, work, size, how.devices)
    return RunSeconds(
        start=costs.start * how.processes,
        random=random,
        linear=linear,
        activation=activation,
        calls=rounds * costs.call,
        statistics=rounds * work.values * (costs.merge + costs.value * size),
        writes=rounds * (costs.write + costs.byte * block_bytes(work, size)),
        store_waits=max(0.0, blocks * costs.journal - own),
        merge=blocks * (costs.read + costs.unpack * work.values),
    )


def store_bound_processes(costs: Costs, work: Work, block_size: int, devices: int) -> float:
    """How many processes keep one directory's store busy all the time."""
    return block_seconds(costs, work, block_size, devices) / costs.journal


def most_useful_processes(costs: Costs, work: Work, seeds: int, devices: int) -> float:
    """With one block each: compute falls as 1/P as fast as start, journal and merge grow."""
    each = costs.start + costs.journal + costs.read + costs.unpack * work.values
    return math.sqrt(seeds * growing_seconds(costs, work, devices) / each)


def largest_block(work: Work) -> int:
    """Networks whose values and statistics the memory budget of the engine holds."""
    return max(1, MEMORY_BUDGET // (BYTES_AT_HAND * work.values))


def advised_block_size(
    costs: Costs, work: Work, seeds: int, processes: int, devices: int, share: float = 0.05
) -> int:
    """The least block whose fixed costs and merge take at most this share and no writer waits.

    At most one block for every process, and what memory holds.
    """
    fixed, growing = fixed_seconds(costs, work), growing_seconds(costs, work, devices)
    alone = processes * (costs.read + costs.unpack * work.values)  # merging
    wanted = max(fixed / share, alone / share, processes * costs.journal - fixed) / growing
    return max(1, min(math.ceil(wanted), -(-seeds // processes), largest_block(work)))


def merge_bytes(work: Work) -> int:
    """What merging holds at once: the histograms of the sum, of one block, and of their new sum."""
    return 3 * 8 * NUM_BINS * work.values
