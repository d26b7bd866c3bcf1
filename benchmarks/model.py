"""Constants of `costs.py`, measured one part at a time, and what they predict for large runs.

    python benchmarks/model.py [--quick] [--out FILE] [--repeats 3]

Second moments at k inputs, ReLU networks, conditional maps. Device: random numbers; Gram-Schmidt
and product; activation and measurement (forward pass with an identity map), at two k. Host:
statistics, merging, writing, reading and journal, on the file system of `--out`. Checked before:
the mean diagonal is that of infinite width (exact at every width); statistics survive the store bit
by bit. Without a goal: the formula against blocks that it was not fitted to, and its prediction for
10^9 networks on 10^4 devices.
"""

import tempfile

import costs
import harness
import jax
from constants import (
    FEW,
    MANY,
    NNGP,
    check_diagonal,
    compiled,
    device_costs,
    forward_fn,
    host_costs,
    start_cost,
)

import deepinit as di
from deepinit.ensembles.keys import root_key
from deepinit.networks import linear_maps
from deepinit.quantities.measured import measure_block, values_of

SEEDS, DEVICES = 10**9, 10**4


def held_out(
    report: harness.Report,
    found: costs.Costs,
    width: int,
    depth: int,
    count: int,
    num_seeds: int,
    repeats: int,
) -> None:
    """One block of another shape: device and statistics by the formula, and as measured."""
    ensemble = compiled(
        width, depth, count, num_seeds, forward_fn(width, depth, count, linear_maps.conditional)
    )
    root = root_key(1)
    check_diagonal(values_of(NNGP, ensemble.block_fn(root, 0)), width, depth, count)
    run = lambda: measure_block(NNGP, ensemble.block_fn(root, 0), ())
    measured = harness.least_seconds({"block": run}, repeats)["block"]
    work = costs.Work(width, depth, count, depth * count * (count + 1) // 2)
    padded = ensemble.blocks.block_size  # whole batches on all devices are computed
    said = costs.block_seconds(
        found._replace(write=0.0, byte=0.0), work, padded, jax.device_count()
    )
    shape = {
        "width": width,
        "depth": depth,
        "inputs": count,
        "num_seeds": num_seeds,
        "measured_seconds": measured,
    }
    report.add(
        f"formula / measured, width {width}, depth {depth}, {count} inputs",
        said / measured,
        "x",
        **shape,
    )


def large_run(report: harness.Report, found: costs.Costs, work: costs.Work, label: str) -> None:
    """10^9 networks on 10^4 devices: how the engine would cut it, and how it should be."""
    default = costs.Arrangement(DEVICES, 1, min(SEEDS // 20, 2**16))
    advised = costs.advised_block_size(found, work, SEEDS, DEVICES, 1)
    one_host = DEVICES // 8
    hosts = costs.advised_block_size(found, work, SEEDS, one_host, 8)
    for name, how in {
        "a process a device, default blocks": default,
        "a process a device, advised blocks": default._replace(block_size=advised),
        "a process for 8 devices, advised blocks": costs.Arrangement(one_host, 8, hosts),
    }.items():
        seconds = costs.run_seconds(found, work, SEEDS, how)
        blocks = -(-SEEDS // how.block_size)
        more = {
            "block_size": how.block_size,
            "blocks": blocks,
            "parts": seconds._asdict(),
            **work._asdict(),
        }
        report.add(
            f"{label}: {name} ({how.block_size} networks, {blocks} files)",
            seconds.total,
            "s",
            **more,
        )
        around = seconds.start + seconds.store_waits + seconds.merge
        report.add(f"{label}: {name}: of them starts, waits for the store, merge", around, "s")
    bound = costs.store_bound_processes(found, work, default.block_size, 1)
    report.add(f"{label}: processes that keep the store busy, default blocks", bound, "processes")
    report.add(
        f"{label}: most useful processes",
        costs.most_useful_processes(found, work, SEEDS, 1),
        "processes",
    )
    report.add(f"{label}: memory of the merge", costs.merge_bytes(work) / 2**20, "MiB")


def main() -> None:
    """Measures, predicts, tells."""
    options = harness.arguments(__doc__)
    report = harness.Report("model", options.out, quick=options.quick)
    di.use_all_cores()
    report.device()
    repeats = options.repeats or (1 if options.quick else 3)
    width, depth, num_seeds = (32, 4, 512) if options.quick else (256, 10, 4096)
    device, blocks = device_costs(width, depth, num_seeds, repeats)
    with tempfile.TemporaryDirectory(dir=report.folder) as home:
        host = host_costs(blocks[FEW], f"{home}/blocks", repeats, 5 if options.quick else 20)
        start = start_cost(f"{home}/starts", 9 if options.quick else 120)
    found = costs.Costs(
        **{name: (device | host | {"start": start})[name] for name in costs.Costs._fields}
    )
    shape = {
        "width": width,
        "depth": depth,
        "num_seeds": num_seeds,
        "num_devices": jax.device_count(),
    }
    report.add("constant together", found.together, "", **shape)
    for name, seconds in found._asdict().items():
        if name == "together":
            continue
        unit, factor = ("ns", 1e9) if seconds < 1e-6 else ("us", 1e6)
        report.add(f"constant {name}", factor * seconds, unit, seconds=seconds, **shape)
    for count in (FEW, MANY):
        work = costs.Work(width, depth, count, depth * count * (count + 1) // 2)
        parts_of = dict(
            zip(("random", "linear", "activation"), costs.network_seconds(found, work), strict=True)
        )
        whole = device[f"whole {count}"]
        for name, seconds in parts_of.items():
            share = seconds * num_seeds / jax.device_count() / whole
            report.add(
                f"{count} inputs: {name}, share of a block on the devices", share, "", **shape
            )
        said = sum(parts_of.values()) * num_seeds / jax.device_count() + found.call
        report.add(f"{count} inputs: formula / measured", said / whole, "x", **shape)
    for other in ((48, 6, 3),) if options.quick else ((512, 5, 4), (64, 40, 2), (128, 10, 16)):
        held_out(report, found, *other, 512 if options.quick else 4096, repeats)
    large_run(
        report,
        found,
        costs.Work(256, 10, 2, 10),
        "by the formula, 10^9 networks, 10^4 devices, width 256, depth 10",
    )
    large_run(
        report,
        found,
        costs.Work(1024, 100, 2, 100),
        "by the formula, 10^9 networks, 10^4 devices, width 1024, depth 100",
    )
    report.print()


if __name__ == "__main__":
    main()
