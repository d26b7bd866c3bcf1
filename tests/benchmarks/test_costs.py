import math

import pytest
from paths import ROOT

FOLDER = ROOT / "benchmarks"

# Constants for which every part of the formula is a round number.
ROUND = {
    "together": 0.5,
    "normal": 2.0,
    "row": 4.0,
    "pair": 1.0,
    "active": 6.0,
    "overlap": 2.0,
    "call": 3.0,
    "value": 0.5,
    "merge": 0.25,
    "write": 7.0,
    "byte": 0.0,
    "journal": 5.0,
    "read": 2.0,
    "unpack": 0.125,
    "start": 1.0,
}


@pytest.fixture
def costs(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import costs

    return costs


def model(costs, **changed):
    return costs.Costs(**{**ROUND, **changed}), costs.Work(width=10, depth=2, inputs=3, values=8)


def test_a_network_costs_its_random_numbers_its_products_and_its_activations(costs):
    found, work = model(costs)
    # half of 20 neurons times 2 k, 4 k + k^2, 6 k + 2 k^2 with k = 3
    assert costs.network_seconds(found, work) == (10 * 6, 10 * 21, 10 * 36)


def test_a_block_adds_devices_statistics_and_store(costs):
    found, work = model(costs)
    assert costs.fixed_seconds(found, work) == 3 + 0.25 * 8 + 7
    assert costs.block_seconds(found, work, block_size=4, devices=2) == 12 + 4 * (630 / 2 + 0.5 * 8)
    with_bytes, _ = model(costs, byte=1.0)
    more = costs.block_seconds(with_bytes, work, 4, 2) - costs.block_seconds(found, work, 4, 2)
    assert more == costs.block_bytes(work, 4) == 8 * (16 * 4 + 64)
    assert costs.block_bytes(work, 10**9) == costs.block_bytes(
        work, 10**8
    )  # the histograms are full


def test_a_run_is_its_rounds_of_blocks_where_the_store_keeps_up(costs):
    found, work = model(costs)
    run = costs.run_seconds(
        found, work, 100, costs.Arrangement(processes=3, devices=2, block_size=10)
    )
    # 10 blocks in 4 rounds of 3 processes
    assert run.start == 3
    assert run.random == 4 * 10 * 60 / 2
    assert run.calls == 4 * 3
    assert run.statistics == 4 * 8 * (0.25 + 5)
    assert run.writes == 4 * 7
    assert run.store_waits == 0
    assert run.merge == 10 * (2 + 1)
    assert run.total == 3 + 4 * costs.block_seconds(found, work, 10, 2) + 30


def test_beyond_so_many_processes_they_wait_for_the_store(costs):
    found, work = model(costs)
    bound = costs.store_bound_processes(found, work, 10, 2)
    assert bound == costs.block_seconds(found, work, 10, 2) / 5
    for processes, waits in ((math.floor(bound), False), (math.ceil(bound) + 1, True)):
        seeds = 10 * processes * 50  # 50 rounds
        run = costs.run_seconds(found, work, seeds, costs.Arrangement(processes, 2, 10))
        assert (run.store_waits > 0) == waits
        computing = run.total - run.start - run.merge
        assert computing == pytest.approx(
            max(50 * processes * 5, 50 * costs.block_seconds(found, work, 10, 2))
        )


def test_the_advised_block_keeps_fixed_costs_and_merge_small_and_nobody_waiting(costs):
    found, work = model(costs)
    seeds, processes = 10**9, 20
    size = costs.advised_block_size(found, work, seeds, processes, 2)
    run = costs.run_seconds(found, work, seeds, costs.Arrangement(processes, 2, size))
    growing = run.random + run.linear + run.activation
    assert run.store_waits == 0
    assert run.merge <= 0.051 * growing
    assert run.calls + run.writes <= 0.05 * growing
    assert run.merge > 0.045 * growing  # a smaller block would not do
    many, _ = model(costs, journal=10**7)
    size = costs.advised_block_size(many, work, seeds, processes, 2)
    assert size == costs.largest_block(work) or processes * 10**7 <= costs.block_seconds(
        many, work, size, 2
    )
    assert costs.advised_block_size(found, work, 100, 50, 2) == 2  # a block for every process


def test_the_best_number_of_processes_is_a_minimum(costs):
    found, work = model(costs, journal=0.5)
    seeds = 10**6
    best = costs.most_useful_processes(found, work, seeds, 1)

    def seconds(processes):  # a block for each, every one written while the others wait
        each = seeds * costs.growing_seconds(found, work, 1) / processes
        return each + processes * (
            found.start + found.journal + found.read + found.unpack * work.values
        )

    assert seconds(best) < min(seconds(best * 0.9), seconds(best * 1.1))


def test_merging_holds_three_histograms(costs):
    from deepinit.ensembles import statistics

    _, work = model(costs)
    one = statistics.statistics([[0.5] * work.values] * 3, [[0] * work.values] * 3, 1)
    assert costs.merge_bytes(work) == 3 * one.histogram.nbytes
