"""The list of work: every block once, balanced shares, a cut that does not depend on the worker."""

import types

import numpy as np
import pytest

import deepinit as di
from deepinit.runs.cutting import Device, cut
from deepinit.runs.experiment import Case
from deepinit.runs.work import COMPILE_COST, Part, Work, block_sizes, in_order, owners, shares

PAIR = di.inputs.pair(1.0)


def of_cost(costs_and_seeds):
    """Stand-ins of cases: what `block_sizes` reads."""
    return [types.SimpleNamespace(cost=c, num_seeds=n) for c, n in costs_and_seeds]


def unequal(num_cases=40, seed=0):
    """Cases whose networks' costs and numbers differ by factors up to 10^4 and 100."""
    chance = np.random.default_rng(seed)
    costs = 10 ** chance.uniform(3, 7, num_cases)
    return of_cost(zip(costs, chance.integers(200, 20_000, num_cases), strict=True))


def listed(cases, workers):
    """The list of work, cut for so many workers."""
    sizes = block_sizes(cases, workers)
    return [
        Work(-(-case.num_seeds // size), size * case.cost)
        for case, size in zip(cases, sizes, strict=True)
    ]


def loads(works, parts, setup):
    """Cost of every worker's share, with a compilation for each of its cases."""
    return [
        setup * len({part.case for part in share})
        + sum((part.last - part.first) * works[part.case].cost for part in share)
        for share in parts
    ]


def strided(works, workers):
    """The rival: every n-th block of each case by itself."""
    return [
        [
            Part(case, number, number + 1)
            for case, of_case in enumerate(works)
            for number in range(worker, of_case.num_blocks, workers)
        ]
        for worker in range(workers)
    ]


def ideal(works, workers, setup):
    """Every case compiled once, everything shared out perfectly."""
    return sum(setup + each.num_blocks * each.cost for each in works) / workers


@pytest.mark.parametrize("workers", [1, 3, 16, 64, 1000])
@pytest.mark.parametrize("setup", [0.0, COMPILE_COST])
def test_every_block_is_in_one_share(workers, setup):
    works = listed(unequal(), 64)
    found = [
        (part.case, block)
        for share in shares(works, workers, setup)
        for part in share
        for block in range(part.first, part.last)
    ]
    assert len(found) == len(set(found))
    assert set(found) == {
        (case, block) for case, each in enumerate(works) for block in range(each.num_blocks)
    }


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("workers", [4, 64])
def test_the_longest_share_is_within_a_fifth_of_the_ideal_and_a_stride_is_not(workers, seed):
    works = listed(unequal(seed=seed), workers)
    best = ideal(works, workers, COMPILE_COST)
    longest = max(loads(works, shares(works, workers), COMPILE_COST))
    assert longest <= 1.2 * best
    rival = max(loads(works, strided(works, workers), COMPILE_COST))
    assert rival > longest
    assert workers == 4 or rival > 1.2 * best


def test_wrong_costs_of_a_large_case_meet_all_workers_alike():
    works = [Work(256, 1e9), Work(256, 3e8), Work(5, 1e8)]
    parts = shares(works, 16)
    for case in (0, 1):
        counts = [sum(p.last - p.first for p in share if p.case == case) for share in parts]
        assert counts == [16] * 16


def test_small_cases_are_compiled_by_few_workers():
    works = [Work(10, 1e6)] * 8
    parts = shares(works, 4)
    assert sorted(len({part.case for part in share}) for share in parts) == [2, 2, 2, 2]
    # eight cases of one block each: the stride gave all of them to the first of four
    assert sorted(map(len, shares([Work(1, 1e9)] * 8, 4))) == [2, 2, 2, 2]
    assert sorted(map(len, strided([Work(1, 1e9)] * 8, 4))) == [0, 0, 0, 8]


@pytest.mark.parametrize("workers", [1, 4, 64, 500])
@pytest.mark.parametrize("seed", range(3))
def test_four_blocks_for_every_worker_unless_there_are_fewer_networks(workers, seed):
    works = listed(unequal(seed=seed), workers)
    assert sum(each.num_blocks for each in works) >= 4 * workers
    (few,) = listed(of_cost([(1e6, 7)]), workers)
    assert few.num_blocks == 7
    assert len([share for share in shares([few], workers) if share]) == min(workers, 7)


def test_up_to_sixteen_workers_get_the_same_blocks_and_up_to_64_where_blocks_are_costly():
    small, large = of_cost([(100.0, 5000), (10.0, 300)]), unequal()
    for cases in (small, large):
        assert len({tuple(block_sizes(cases, workers)) for workers in range(1, 17)}) == 1
    assert block_sizes(large, 64) == block_sizes(large, 1)
    assert block_sizes(small, 64) != block_sizes(small, 1)


def test_the_costliest_blocks_come_first():
    works = [Work(3, 1.0), Work(2, 5.0), Work(9, 5.0), Work(1, 2.0)]
    assert in_order(works) == [1, 2, 3, 0]
    assert [part.case for part in shares(works, 1)[0]] == [1, 2, 3, 0]


def test_owners_are_the_shares_that_hold_a_block():
    parts = [[Part(0, 0, 3)], [Part(0, 3, 5), Part(1, 0, 1)], [Part(1, 1, 2)]]
    assert owners(parts, [(0, 4), (1, 0)]) == [1]
    assert owners(parts, [(0, 0), (1, 1)]) == [0, 2]


def test_on_cpus_the_cut_does_not_depend_on_the_number_of_devices():
    cases = [
        Case("a", di.MLP((64,) * 8), di.quantities.log_sin2_angle, PAIR, 5000),
        Case("b", di.MLP((8,) * 2), di.quantities.log_norm, PAIR, 33),
    ]
    cuts = [cut(cases, None, 1, Device("cpu", devices)) for devices in (2, 4, 96)]
    assert cuts[0] == cuts[1] == cuts[2]
    assert cut(cases, 20, 1, Device("cpu", 2)) == cut(cases, 20, 64, Device("cpu", 8))
    on_gpu = [cut(cases, None, 1, Device("gpu", devices))[0] for devices in (1, 8)]
    assert [plan.batch_size * devices for plan, devices in zip(on_gpu, (1, 8), strict=True)] == [
        pytest.approx(on_gpu[0].block_size, abs=8)
    ] * 2


def test_stored_weights_leave_room_for_fewer_networks():
    run = di.TrainingConfig(di.targets.two_sines(8), record_steps=(0, 3, 6), rate=0.1)
    net = di.training.small_mlp((512,), di.tanh, std=1e-2)
    loss = di.quantities.training_loss
    plain, stored = (Case("a", net, loss, run, 10**6, num_saved=kept) for kept in (0, 1))
    rooms = [cut([case], 10**6, 1, Device("cpu", 2))[0].block_size for case in (plain, stored)]
    assert rooms[0] == 10**6
    assert 3 * 512 * 4 * 10 * rooms[1] < 2**29  # three records of 512 neurons and more
