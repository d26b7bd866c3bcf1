"""Where the time goes: the constants of `costs.py`, each part of a block measured by itself, and what they say of large runs.

    python benchmarks/model.py [--quick] [--out model.jsonl] [--repeats 3]

Second moments of activations at k inputs, ReLU networks, conditional maps: the parts of a block are timed at two numbers of inputs, alone
and in the compiled form that the engine gives them: random numbers; Gram-Schmidt and product; activation and measurement (the forward
pass with the identity for linear map). On the host: statistics of blocks of two sizes, merging two blocks, writing, reading and journal, in a folder
beside the record (`--out`), since these are the file system's times.

Checked before: the engine's mean on the diagonal is that of infinite width (exact at every width); the statistics survive the store to the
last bit. Then the formula is held against blocks that its constants were not measured on, without a goal: a sum of parts is not what a
compiler makes of the whole. Last, 10^9 networks on 10^4 devices: the formula, not a measurement.
"""

import math
import tempfile
import time
from collections.abc import Callable
from typing import Any

import costs
import harness
import jax
import jax.numpy as jnp
import numpy as np

import deepinit as di
from deepinit import store
from deepinit.core.generator import standard_normals
from deepinit.ensembles import statistics
from deepinit.ensembles.blocks import Ensemble, compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.networks import linear_maps
from deepinit.networks.forward import random_forward
from deepinit.networks.input_rows import input_rows
from deepinit.quantities.kinds.axis import pass_bytes
from deepinit.quantities.measured import measure_block, values_of

NNGP = di.quantities.nngp
SETTINGS = {"linear_map": "conditional", "dtype": "float32", "precision": "highest"}
FEW, MANY = 2, 8  # numbers of inputs
SEEDS, DEVICES = 10**9, 10**4


def points(count: int) -> Any:
    """Random inputs in 32 dimensions."""
    return di.inputs.points(np.random.default_rng(0).normal(size=(count, 32)))


def forward_fn(
    width: int, depth: int, count: int, linear_map: Callable[..., Any]
) -> Callable[[Any], Any]:
    """`key -> Measurement`: the engine's forward pass with this linear map."""
    spec, inputs = di.MLP((width,) * depth), points(count)
    start = input_rows(spec, inputs, "float32")
    measure = lambda state: NNGP.measurement.tap(state, inputs)
    return lambda key: random_forward(spec, start(key), key, measure, linear_map=linear_map)[0]


def identity_map(key: Any, rows: Any, law: Any, fan_out: int, depth: int, precision: str) -> Any:
    """Takes no random number and no product: the rows themselves (repeated to the width), with a sign of the network's own."""
    del law, depth, precision
    stacked = rows.stacked
    sign = 1.0 - 2.0 * (jax.random.key_data(key)[0] & 1).astype(stacked.dtype)
    return sign * jnp.tile(stacked, (1, -(-fan_out // stacked.shape[1])))[:, :fan_out]


def parts(width: int, depth: int, count: int) -> dict[str, Callable[[Any], Any]]:
    """Seed functions of the whole and of its parts."""

    def layers(step: Callable[[Any, Any], Any], start: Any, key: Any) -> Any:
        keys = jax.vmap(lambda layer: jax.random.fold_in(key, layer))(
            jnp.arange(depth, dtype=jnp.uint32)
        )
        return jax.lax.scan(step, start, keys)[1]

    def random(key: Any) -> Any:
        return layers(
            lambda none, one: (none, jnp.sum(standard_normals(one, (count, width), jnp.float32))),
            None,
            key,
        )

    def linear(key: Any) -> Any:
        # numbers that cost nothing beside the factor and the product, of about their size
        angles = jnp.arange(count * width, dtype=jnp.float32).reshape(count, width)
        numbers = jnp.sin(angles * angles) * (
            1 + 1e-3 * (jax.random.key_data(key)[0] & 255).astype(jnp.float32)
        )

        def step(rows: Any, one: Any) -> tuple[Any, Any]:
            del one
            factor = linear_maps.lower_factor(rows) * math.sqrt(2.0 / width)
            rows = jnp.matmul(factor, numbers, precision="highest")
            return rows, rows[:, 0]

        return layers(step, numbers, key)

    return {
        "whole": forward_fn(width, depth, count, linear_maps.conditional),
        "random": random,
        "linear": linear,
        "active": forward_fn(width, depth, count, identity_map),
    }


def compiled(
    width: int, depth: int, count: int, num_seeds: int, seed_fn: Callable[[Any], Any]
) -> Ensemble:
    """One block, cut as the engine cuts it."""
    at_hand = pass_bytes(di.MLP((width,) * depth), points(count), SETTINGS)
    return compile_ensemble(seed_fn, num_seeds, seed_bytes=at_hand, block_size=num_seeds)


def check_diagonal(values: np.ndarray, width: int, depth: int, count: int) -> None:
    """The mean of the last layer's diagonal is that of infinite width; its variance (1 + 5/n)^L - 1 at most."""
    own = np.flatnonzero(np.equal(*np.triu_indices(count)))
    exact = di.infinite(di.MLP((width,) * depth), NNGP, points(count)).mean[-1][own]
    error = exact * math.sqrt(((1 + 5 / width) ** depth - 1) / len(values))
    z = np.abs(values[:, -1, own].mean(axis=0) - exact) / error
    harness.check(
        f"mean diagonal of {len(values)} networks, {count} inputs, largest |z|", float(z.max()), 5.0
    )


def linear_and_square(few: float, many: float) -> tuple[float, float]:
    """(a, b) with a k + b k^2 equal to both times; never below 0."""
    b = max(0.0, (many / MANY - few / FEW) / (MANY - FEW))
    return max(0.0, few / FEW - b * FEW), b


def device_costs(
    width: int, depth: int, num_seeds: int, repeats: int
) -> tuple[dict[str, float], dict[int, Any]]:
    """Constants of the devices, and one block's measurements by number of inputs."""
    root, runs, blocks = root_key(0), {}, {}
    for count in (FEW, MANY):
        for name, seed_fn in parts(width, depth, count).items():
            ensemble = compiled(width, depth, count, num_seeds, seed_fn)
            runs[name, count] = lambda ensemble=ensemble: ensemble.block_fn(root, 0)
        blocks[count] = runs["whole", count]()
        check_diagonal(values_of(NNGP, blocks[count]), width, depth, count)
    trivial = compile_ensemble(
        lambda key: jax.random.key_data(key)[0], num_seeds, block_size=num_seeds
    )
    runs["call", 0] = lambda: trivial.block_fn(root, 0)
    seconds = harness.least_seconds({repr(key): run for key, run in runs.items()}, repeats)
    call = seconds[repr(("call", 0))]
    scale = jax.device_count() / (num_seeds * width * depth)
    per = {
        key: max(0.0, seconds[repr(key)] - call) * scale for key in runs
    }  # seconds of one device, by neuron
    row, pair = linear_and_square(per["linear", FEW], per["linear", MANY])
    active, overlap = linear_and_square(per["active", FEW], per["active", MANY])
    normal = 0.5 * (per["random", FEW] / FEW + per["random", MANY] / MANY)
    sums = [
        per["random", count] + per["linear", count] + per["active", count] for count in (FEW, MANY)
    ]
    together = math.sqrt(per["whole", FEW] * per["whole", MANY] / math.prod(sums))
    found = {
        "normal": normal,
        "row": row,
        "pair": pair,
        "active": active,
        "overlap": overlap,
        "call": call,
    }
    found["together"] = together
    return found | {
        f"whole {count}": seconds[repr(("whole", count))] for count in (FEW, MANY)
    }, blocks


def host_costs(measured: Any, folder: str, repeats: int, writes: int) -> dict[str, float]:
    """Constants of statistics and store, from one block's measurement."""
    small = jax.tree.map(lambda leaf: leaf[: len(leaf) // 4], measured)
    whole, quarter = (measure_block(NNGP, block, ())[0] for block in (measured, small))
    one = jax.tree.map(lambda leaf: leaf[:, :1, :1], measured)
    tiny = measure_block(NNGP, one, ())[0]
    values, num_seeds = whole.mean.size, len(measured.value)
    with store.open_run(folder, {"experiment": "costs"}) as run:
        names = iter(f"costs/{number}" for number in range(10**6))
        store.write_block(run, "kept/whole", statistics.to_arrays(whole))
        store.write_block(run, "kept/tiny", statistics.to_arrays(tiny))
        again = statistics.from_arrays(store.read_block(run, "kept/whole"))
        same = all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
        harness.check("statistics after the store, arrays that differ", float(not same), 0.0)
        sizes = {
            name: len((run.path / "blocks" / "kept" / f"{name}.npz").read_bytes())
            for name in ("whole", "tiny")
        }

        def several(action: Callable[[], Any]) -> Callable[[], None]:
            def act() -> None:
                for _ in range(writes):
                    action()

            return act

        seconds = harness.least_seconds(
            {
                "whole": lambda: measure_block(NNGP, measured, ()),
                "quarter": lambda: measure_block(NNGP, small, ()),
                "merge": lambda: statistics.merge(whole, quarter),
                "write whole": several(
                    lambda: store.write_block(run, next(names), statistics.to_arrays(whole))
                ),
                "write tiny": several(
                    lambda: store.write_block(run, next(names), statistics.to_arrays(tiny))
                ),
                "journal": several(
                    lambda: store.append_event(
                        run, "measured", name="costs", bytes=0, sha256="0" * 64
                    )
                ),
                "read whole": several(
                    lambda: statistics.from_arrays(store.read_block(run, "kept/whole"))
                ),
                "read tiny": several(
                    lambda: statistics.from_arrays(store.read_block(run, "kept/tiny"))
                ),
            },
            repeats,
        )
    each = {
        name: value / (writes if " " in name or name == "journal" else 1)
        for name, value in seconds.items()
    }
    value = max(0.0, (each["whole"] - each["quarter"]) / (0.75 * num_seeds * values))
    byte = max(0.0, (each["write whole"] - each["write tiny"]) / (sizes["whole"] - sizes["tiny"]))
    merge = each["merge"] / values
    unpack = max(0.0, (each["read whole"] - each["read tiny"]) / (values - 1))
    return {
        "value": value,
        "merge": merge + max(0.0, each["whole"] / values - value * num_seeds),
        "write": max(each["journal"], each["write tiny"] - byte * sizes["tiny"]),
        "byte": byte,
        "journal": each["journal"],
        "read": max(0.0, each["read tiny"] - unpack),
        "unpack": unpack + merge,
    }


def start_cost(folder: str, starts: int) -> float:
    """Seconds that the start of a process takes per earlier start in its directory: the record of all is read and written."""
    taken, record = [], store.collect({})
    with store.open_run(folder, {"experiment": "starts"}) as run:
        for _ in range(starts):
            start = time.perf_counter()
            store.write_provenance(run, record)
            taken.append(time.perf_counter() - start)
    third = starts // 3
    grown = min(taken[-third:]) - min(taken[:third])
    return max(0.0, grown / (starts - third))


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
