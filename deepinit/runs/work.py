"""The list of work of a run: blocks of all cases, the costliest first, and shares of it.

Functions of the cases and of the number of workers alone: every worker finds the same list, and
its own share, without asking another. Costs are in random numbers drawn.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from deepinit.runs.experiment import Case

COMPILE_COST = 2e8  # of one compilation: random numbers drawn in its time
_LEAST_PER_WORKER = 4  # blocks
_TASKS_PER_WORKER = 8  # where workers take the next one when they are free: the last ends late
_ALIKE = 16  # workers for whom a run is always cut alike, so that its bits do not depend on them
_MORE_ALIKE = 64  # workers for whom it is, if its blocks stay worth their overhead
_LARGEST_BLOCK = 2**16  # networks
_COMPILATIONS_WORTH = 20  # a share of so many compilations' time is worth one more
_HALVINGS = 30


class Work(NamedTuple):
    """Blocks of one case: how many, and the cost of each."""

    num_blocks: int
    cost: float


class Part(NamedTuple):
    """Blocks [first, last) of a case, by its index."""

    case: int
    first: int
    last: int


def block_sizes(cases: Sequence[Case], workers: int, least_cost: float = 1e7) -> list[int]:
    """Networks per block of every case: four blocks or more for every worker, all about as costly.

    Up to 16 workers get the same blocks, and up to 64 where a block costs `least_cost` or more.
    Fewer blocks only where each is one network.
    """
    costs = [max(case.cost, 1.0) for case in cases]
    total = sum(cost * case.num_seeds for cost, case in zip(costs, cases, strict=True))
    few, many, asked = (
        total / (_LEAST_PER_WORKER * number) for number in (_ALIKE, _MORE_ALIKE, max(workers, 1))
    )
    grain = min(few, asked, max(many, least_cost))
    return [_equal(case.num_seeds, grain / cost) for cost, case in zip(costs, cases, strict=True)]


def _equal(num_seeds: int, most: float) -> int:
    """Size of equal blocks of at most so many networks; at least one."""
    most = int(min(max(most, 1), num_seeds, _LARGEST_BLOCK))
    return math.ceil(num_seeds / math.ceil(num_seeds / most))


def in_order(works: Sequence[Work]) -> list[int]:
    """Indices of the cases, that of the costliest blocks first."""
    return sorted(range(len(works)), key=lambda case: (-works[case].cost, case))


def shares(works: Sequence[Work], workers: int, setup: float = COMPILE_COST) -> list[list[Part]]:
    """Every worker's share of all blocks, in the order of the list.

    A case that is worth `setup`, its compilation, on every worker is dealt out evenly: errors of
    its estimated cost meet all alike. The rest goes, costliest first, to the first worker that has
    room until a deadline; the least deadline that suffices is found by bisection (MULTIFIT of
    Coffman, Garey and Johnson, 1978; at most 13/11 of the optimum where setup is free).
    """
    order = in_order(works)
    counts, costs = (np.array([works[case][field] for case in order]) for field in (0, 1))
    even = counts // workers
    even = np.where(even * costs >= _COMPILATIONS_WORTH * setup, even, 0)
    dealt = np.repeat(even[:, None], workers, axis=1)
    rest = counts - even * workers
    low = float((even * costs + (even > 0) * setup).sum())
    high = low + float((rest * costs).sum()) + len(works) * setup
    best = _first_fit(dealt, rest, costs, setup, high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        found = _first_fit(dealt, rest, costs, setup, middle)
        low, high = (middle, high) if found is None else (low, middle)
        best = best if found is None else found
    if best is None:  # the upper bound has room for everything on one worker
        raise AssertionError("no room within the sum of all costs")
    ends = best.cumsum(axis=1)
    return [
        [
            Part(case, int(last - taken), int(last))
            for case, taken, last in zip(order, best[:, worker], ends[:, worker], strict=True)
            if taken
        ]
        for worker in range(workers)
    ]


def pieces(works: Sequence[Work], workers: int) -> list[list[Part]]:
    """Tasks for workers that take the next when they are free: the costliest first.

    Eight or more for every worker where there are so many blocks; a case of little cost is one.
    """
    grain = sum(work.num_blocks * work.cost for work in works) / (_TASKS_PER_WORKER * workers)
    found = []
    for case, work in enumerate(works):
        count = min(work.num_blocks, math.ceil(work.num_blocks * work.cost / grain))
        ends = [work.num_blocks * number // count for number in range(count + 1)]
        found += [Part(case, *limits) for limits in itertools.pairwise(ends)]
    found.sort(key=lambda part: (-(part.last - part.first) * works[part.case].cost, part))
    return [[part] for part in found]


def _first_fit(
    dealt: np.ndarray, rest: np.ndarray, costs: np.ndarray, setup: float, deadline: float
) -> np.ndarray | None:
    """Blocks [cases, workers] with the rest added within the deadline; None without room."""
    taken = dealt.copy()
    load = (dealt * costs[:, None] + (dealt > 0) * setup).sum(axis=0)
    for case in np.flatnonzero(rest):
        start = np.where(dealt[case] > 0, 0.0, setup)
        room = np.maximum((deadline - load - start) / costs[case], 0.0)
        room = np.minimum(np.floor(room * (1 + 1e-12)), rest[case]).astype(np.int64)
        more = np.clip(rest[case] - (room.cumsum() - room), 0, room)
        if more.sum() < rest[case]:
            return None
        taken[case] += more
        load += more * costs[case] + (more > 0) * start
    return taken


def owners(parts: Sequence[Sequence[Part]], blocks: Sequence[tuple[int, int]]) -> list[int]:
    """Workers whose shares hold these (case, block)."""
    return [
        worker
        for worker, share in enumerate(parts)
        if any(
            part.case == case and part.first <= block < part.last
            for part in share
            for case, block in blocks
        )
    ]
