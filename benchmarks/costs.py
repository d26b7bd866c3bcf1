"""Where the time of a run goes, as a formula: seconds from networks, devices, processes, shapes and block size. Arithmetic only.

A network of L layers of n neurons that sees k inputs costs a device, with c the constants that `model.py` measures,

    t = f L n [ c_normal k  +  c_row k + c_pair k^2  +  c_active k + c_overlap k^2 ]

random numbers, linear algebra (Gram-Schmidt of the rows and the product with their factor), and activation with measurement, each measured by
itself, and f what the whole takes of their sum, since the compiler passes over memory once where the parts do so separately. A block of B
networks on d devices, of e values each, costs a process

    T(B) = c_call + B t / d  +  c_merge e + c_value e B  +  c_write + c_byte bytes(B)

device, statistics on the host, store, one after another. S networks make N = ceil(S / B) blocks. P processes write into one directory, and
of every write one part, c_journal, is under a lock; starts read and write the record of all earlier starts. So a run takes

    c_start P  +  max( ceil(N / P) T(B),  N c_journal )  +  N (c_read + c_unpack e)

to start, compute and merge. The store is the bottleneck of computing where P c_journal > T(B), and the merge, which one process does alone,
that of the whole where N (c_read + c_unpack e) is not small against S t / (P d): the remedy of both is a larger block, up to one for
every process. Beyond sqrt(S t / (d c)) processes, with c = c_journal + c_read + c_unpack e + c_start, more of them make the run slower whatever the block;
then a process should have more devices.
"""

import math
from typing import NamedTuple

from deepinit.ensembles.blocks import MEMORY_BUDGET
from deepinit.ensembles.statistics import NUM_BINS

BYTES_AT_HAND = (
    50  # of every value of a block: itself and its event, and nine such copies in the statistics
)
_MOMENTS = 8  # arrays of one number per value in a block: counts, moments, extremes, events


class Costs(NamedTuple):
    """Measured constants (see the module's docstring): `together` is f, the others are seconds."""

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
    """What every network does.

    Attributes:
        width, depth: n and L.
        inputs: k.
        values: e, numbers that are measured of one network.
    """

    width: int
    depth: int
    inputs: int
    values: int


class Arrangement(NamedTuple):
    """How a run is carried out: processes, devices of each, networks per block."""

    processes: int
    devices: int
    block_size: int


class RunSeconds(NamedTuple):
    """Wall time of a run by what it is spent on; `store_waits` is what writers wait for one another's lock."""

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
    """Random numbers, linear algebra, activation and measurement of one network, in seconds of one device."""
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
    """Of every network in a block. Bytes are left out: they stop growing where the histograms are full."""
    return sum(network_seconds(costs, work)) / devices + costs.value * work.values


def block_seconds(costs: Costs, work: Work, block_size: int, devices: int) -> float:
    """T(B)."""
    growing = block_size * growing_seconds(costs, work, devices)
    return fixed_seconds(costs, work) + growing + costs.byte * block_bytes(work, block_size)


def run_seconds(costs: Costs, work: Work, seeds: int, how: Arrangement) -> RunSeconds:
    """Of a whole run, without the imports and the compilation of each process, which take seconds whatever the run."""
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
    """With a block for each: where compute, S t / (d P), falls as fast as start, journal and merge, which are linear in P, grow."""
    each = costs.start + costs.journal + costs.read + costs.unpack * work.values
    return math.sqrt(seeds * growing_seconds(costs, work, devices) / each)


def largest_block(work: Work) -> int:
    """Networks whose values and statistics the memory budget of the engine holds."""
    return max(1, MEMORY_BUDGET // (BYTES_AT_HAND * work.values))


def advised_block_size(
    costs: Costs, work: Work, seeds: int, processes: int, devices: int, share: float = 0.05
) -> int:
    """The least block with which what every block costs, and the merge, each take at most this share of computing, and no writer waits.

    At most one block for every process, and what memory holds: where that is less, there are too many processes for so little work.
    """
    fixed, growing = fixed_seconds(costs, work), growing_seconds(costs, work, devices)
    alone = processes * (
        costs.read + costs.unpack * work.values
    )  # of the merge, while the processes could compute
    wanted = max(fixed / share, alone / share, processes * costs.journal - fixed) / growing
    return max(1, min(math.ceil(wanted), -(-seeds // processes), largest_block(work)))


def merge_bytes(work: Work) -> int:
    """What merging holds at once: the histograms of the sum, of one block, and of their new sum."""
    return 3 * 8 * NUM_BINS * work.values
