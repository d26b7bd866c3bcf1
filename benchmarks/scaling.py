"""Seeds per second against devices, processes, width, depth, number of seeds and number of inputs.

    python benchmarks/scaling.py [--quick] [--out scaling.jsonl] [--repeats 3] [--part devices processes shapes]

`devices`: one process with 1, 2, 4, 8 simulated CPU devices (`--xla_force_host_platform_device_count`). More devices than cores cannot be
faster: what is measured there is what sharing out costs. On a machine with several accelerators these are measured too.
`processes`: 1, 2, 4 processes of one device each, started like `--shard i/n`, that write their blocks into one run directory.
Workers compile first and wait; the time is from one start for all to the last answer, in turns with the other arrangements.

Checked before: the statistics of all arrangements are equal to the last bit (the same blocks, merged in the order of seeds), and the mean of
ln sin^2 is that of the theory, within five standard errors. One arrangement is held to rounding alone: a process of one device against
those of several. XLA compiles a program that it need not partition otherwise, with other rounding (up to 1e-6 in a network's value); the mean
may differ by 1e-5, a thousandth of what other networks would make it differ by.

`shapes`: time per network against width and depth (both linear maps), number of networks (statistics on the host included) and number
of inputs. Checked before: means against theory; the first block of every ensemble size is the same to the last bit.
"""

import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import jax
import numpy as np
import worker

import deepinit as di
from deepinit.ensembles.blocks import compile_ensemble
from deepinit.ensembles.keys import root_key
from deepinit.quantities.kinds.axis import pass_bytes
from deepinit.quantities.measured import measure_block, values_of
from deepinit.quantities.routes import seed_fn_of
from deepinit.theory.angles import log_sin2_walk

COUNTS = (1, 2, 4, 8)
PROCESSES = (1, 2, 4)
ROUNDING = 1e-5
_FORCED = "--xla_force_host_platform_device_count"


@contextlib.contextmanager
def started(task: worker.Task, num_devices: int | None) -> Iterator[subprocess.Popen[str]]:
    """A worker with so many simulated devices; None leaves the machine's own accelerators."""
    environment = {
        name: value for name, value in os.environ.items() if name != "JAX_NUM_CPU_DEVICES"
    }
    if num_devices is not None:
        flags = [
            flag
            for flag in environment.get("XLA_FLAGS", "").split()
            if not flag.startswith(_FORCED)
        ]
        environment |= {
            "XLA_FLAGS": " ".join([*flags, f"{_FORCED}={num_devices}"]),
            "JAX_PLATFORMS": "cpu",
        }
    command = [sys.executable, str(Path(worker.__file__)), json.dumps(task._asdict())]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # the end of its input is the end of a worker


def told(process: subprocess.Popen[str]) -> str:
    """The worker's next line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(
            "a worker ended before it answered; its message is above, and nothing was timed."
        )
    return line


def run_all(
    processes: list[subprocess.Popen[str]], folder: str
) -> tuple[float, list[dict[str, Any]]]:
    """Starts the workers of one arrangement together: seconds until the last has answered, and the answers."""
    start = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
    answers = [json.loads(told(process)) for process in processes]
    return time.perf_counter() - start, answers


def check_mean(task: worker.Task, mean: float) -> None:
    """Against the second-order walk."""
    walk = log_sin2_walk(worker.ANGLE, (task.width,) * task.depth)
    error = math.sqrt(walk.variance[-1] / task.num_seeds)
    harness.check(f"mean ln sin^2 of {task.num_seeds} networks", mean - walk.mean[-1], 5 * error)


def check_equal(names: list[str], digests: list[str]) -> None:
    """All statistics are the first one's."""
    for name, found in zip(names[1:], digests[1:], strict=True):
        harness.check(
            f"bits of the statistics, {name} against {names[0]}", float(found != digests[0]), 0.0
        )


def devices_part(
    report: harness.Report, task: worker.Task, counts: tuple[int, ...], repeats: int
) -> None:
    """So many devices in one process."""
    with contextlib.ExitStack() as stack:
        workers = {
            f"{count} devices": stack.enter_context(started(task, count)) for count in counts
        }
        if jax.default_backend() != "cpu" and jax.device_count() > 1:
            # as many networks at once as share a block evenly: accelerators want large batches
            large = task._replace(batch_size=task.block_size // jax.device_count())
            workers["accelerators"] = stack.enter_context(started(large, None))
        for process in workers.values():
            told(process)
        first = {name: run_all([process], "")[1][0] for name, process in workers.items()}
        check_mean(task, first["1 devices"]["mean"])
        on_cpu = [
            name for name in workers if name != "accelerators"
        ]  # another backend rounds otherwise
        check_equal(on_cpu[1:], [first[name]["digest"] for name in on_cpu[1:]])
        rounding = first["1 devices"]["mean"] - first["2 devices"]["mean"]
        harness.check("mean, one device against two", rounding, ROUNDING)
        best = dict.fromkeys(workers, math.inf)
        for _ in range(repeats):
            for name, process in workers.items():
                best[name] = min(best[name], run_all([process], "")[0])
    shape = {**task._asdict(), "num_cores": os.cpu_count()}
    for name, seconds in best.items():
        count = first[name]["num_devices"]
        line = "simulated devices" if name in on_cpu else "accelerators"
        more = {"axis": "devices", "at": count, "line": line, **shape}
        report.add(f"{count} {line}", task.num_seeds / seconds, "networks per s", **more)
    for count in counts[1:]:
        report.add(
            f"{count} devices / 1", best["1 devices"] / best[f"{count} devices"], "x", **shape
        )


def processes_part(
    report: harness.Report, task: worker.Task, counts: tuple[int, ...], repeats: int
) -> None:
    """So many processes of one device that write into one run directory."""
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(dir=report.folder))
        workers = {
            count: [
                stack.enter_context(started(task._replace(shard=(i, count)), 1))
                for i in range(count)
            ]
            for count in counts
        }
        for processes in workers.values():
            for process in processes:
                told(process)
        digests, best = [], dict.fromkeys(counts, math.inf)
        for count, processes in workers.items():
            folder = f"{home}/first-{count}"
            answers = run_all(processes, folder)[1]
            digests.append(worker.merged_digest(task, folder))
            if count == 1:
                check_mean(task, answers[0]["mean"])
                digests.insert(0, answers[0]["digest"])  # never written, never read
        check_equal(["in memory", *(f"{count} processes" for count in counts)], digests)
        for repeat in range(repeats):
            for count, processes in workers.items():
                best[count] = min(best[count], run_all(processes, f"{home}/{repeat}-{count}")[0])
    shape = {**task._asdict(), "num_cores": os.cpu_count()}
    for count, seconds in best.items():
        more = {"axis": "processes", "at": count, "line": "shards of one run directory", **shape}
        report.add(f"{count} processes", task.num_seeds / seconds, "networks per s", **more)
    for count in counts[1:]:
        report.add(f"{count} processes / 1", best[1] / best[count], "x", **shape)


def engine(
    spec: Any, quantity: Any, inputs: Any, linear_map: str, num_seeds: int, block_size: int
) -> Any:
    """The engine of `di.simulate` as compiled for blocks of this size."""
    seed_fn, settings = seed_fn_of(
        spec, quantity, inputs, linear_map=linear_map, dtype="float32", precision="highest"
    )
    at_hand = pass_bytes(spec, inputs, settings)
    return compile_ensemble(seed_fn, num_seeds, seed_bytes=at_hand, block_size=block_size)


def against_shape(
    report: harness.Report,
    axis: str,
    shapes: list[tuple[int, int]],
    counts: dict[str, int],
    repeats: int,
) -> None:
    """Microseconds per network at each (width, depth), by linear map."""
    pair, angle, root = di.inputs.pair(worker.ANGLE), di.quantities.log_sin2_angle, root_key(0)
    for width, depth in shapes:
        runs, seeds = {}, {}
        for name, work in counts.items():
            cost = depth * width * (2 if name == "conditional" else width)
            seeds[name] = max(2, min(4096, work // cost))
            ensemble = engine(di.MLP((width,) * depth), angle, pair, name, seeds[name], seeds[name])
            values = values_of(angle, ensemble.block_fn(root, 0))[:, -1, 0]
            values, walk = (
                values[np.isfinite(values)],
                log_sin2_walk(worker.ANGLE, (width,) * depth),
            )
            error = math.sqrt(walk.variance[-1] / len(values))
            harness.check(
                f"{name}, width {width}, depth {depth}: mean",
                values.mean() - walk.mean[-1],
                5 * error,
            )
            runs[name] = lambda ensemble=ensemble: ensemble.block_fn(root, 0)
        seconds = harness.least_seconds(runs, repeats)
        for name, value in seconds.items():
            at = width if axis == "width" else depth
            more = {
                "axis": axis,
                "at": at,
                "line": name,
                "width": width,
                "depth": depth,
                "num_seeds": seeds[name],
            }
            report.add(f"{axis} {at}: {name}", 1e6 * value / seeds[name], "us per network", **more)


def against_seeds(
    report: harness.Report, width: int, depth: int, counts: tuple[int, ...], repeats: int
) -> None:
    """The whole loop over blocks, statistics included, of compiled ensembles cut into equal blocks."""
    pair, angle, root = di.inputs.pair(worker.ANGLE), di.quantities.log_sin2_angle, root_key(0)
    block_size = counts[0]
    # compiled once for the largest: the blocks of a smaller ensemble are the first of a larger one's
    ensemble = engine(di.MLP((width,) * depth), angle, pair, "auto", counts[-1], block_size)
    size = ensemble.blocks.block_size

    def loop(num_blocks: int) -> Any:
        merged: Any = None
        for block in range(num_blocks):
            part, _ = measure_block(angle, ensemble.block_fn(root, block), ())
            merged = part if merged is None else worker.statistics.merge(merged, part)
        return merged

    walk = log_sin2_walk(worker.ANGLE, (width,) * depth)
    rounds = {count: max(1, count // size) for count in counts}
    small = engine(di.MLP((width,) * depth), angle, pair, "auto", size, size)
    if small.blocks.batch_size == ensemble.blocks.batch_size:  # else the two round otherwise
        part, _ = measure_block(angle, small.block_fn(root, 0), ())
        check_equal(
            ["the first block", "an ensemble of one block"],
            [worker.digest(loop(1)), worker.digest(part)],
        )
    found = loop(rounds[counts[-1]])
    error = math.sqrt(walk.variance[-1] / int(found.num_valid[-1, 0]))
    harness.check(
        f"mean of {found.num_seeds} networks", found.mean[-1, 0] - walk.mean[-1], 5 * error
    )
    seconds = harness.least_seconds(
        {str(count): lambda n=n: loop(n) for count, n in rounds.items()}, repeats
    )
    for count, blocks in rounds.items():
        seeds = min(blocks * size, ensemble.blocks.num_seeds)
        more = {
            "axis": "seeds",
            "at": seeds,
            "line": "conditional",
            "width": width,
            "depth": depth,
            "block_size": size,
        }
        report.add(f"{seeds} networks", 1e6 * seconds[str(count)] / seeds, "us per network", **more)


def against_inputs(
    report: harness.Report, width: int, depth: int, counts: tuple[int, ...], work: int, repeats: int
) -> None:
    """Second moments of activations at k points: k^2 inner products a layer."""
    root, spec = root_key(0), di.MLP((width,) * depth)
    for count in counts:
        points = di.inputs.points(np.random.default_rng(0).normal(size=(count, 32)))
        exact = di.infinite(spec, di.quantities.nngp, points).mean[-1]
        own = np.flatnonzero(np.equal(*np.triu_indices(count)))
        runs, seeds = {}, {}
        for name in ("conditional", "explicit"):
            rows = count if name == "conditional" else width
            seeds[name] = max(16, min(4096, work // (rows * width * depth)))
            ensemble = engine(spec, di.quantities.nngp, points, name, seeds[name], seeds[name])
            values = values_of(di.quantities.nngp, ensemble.block_fn(root, 0))[:, -1, own]
            # the mean of the diagonal is that of infinite width at every width; variance (1 + 5/n)^(depth - 1) (1 + 5/n) at most
            error = exact[own] * math.sqrt(((1 + 5 / width) ** depth - 1) / seeds[name])
            z = np.abs(values.mean(axis=0) - exact[own]) / error
            harness.check(
                f"{name}, {count} inputs: mean diagonal, largest |z|", float(z.max()), 5.0
            )
            runs[name] = lambda ensemble=ensemble: ensemble.block_fn(root, 0)
        for name, value in harness.least_seconds(runs, repeats).items():
            more = {
                "axis": "inputs",
                "at": count,
                "line": name,
                "width": width,
                "depth": depth,
                "num_seeds": seeds[name],
            }
            report.add(
                f"{count} inputs: {name}", 1e6 * value / seeds[name], "us per network", **more
            )


def main() -> None:
    """Checks, times, tells."""
    options = harness.arguments(__doc__, ("devices", "processes", "shapes"))
    report = harness.Report("scaling", options.out, quick=options.quick)
    di.use_all_cores()
    report.device()
    repeats = options.repeats or (1 if options.quick else 3)
    if "devices" in options.part:
        task = (
            worker.Task(16, 4, 1024, 512, 16)
            if options.quick
            else worker.Task(256, 10, 32768, 16384, 64)
        )
        devices_part(report, task, (1, 2, 8) if options.quick else COUNTS, repeats)
    if "processes" in options.part:
        task = (
            worker.Task(16, 4, 1024, 128, 16)
            if options.quick
            else worker.Task(256, 10, 32768, 4096, 64)
        )
        processes_part(report, task, (1, 2) if options.quick else PROCESSES, repeats)
    if "shapes" in options.part and options.quick:
        counts = {"conditional": 2**18, "explicit": 2**18}
        against_shape(report, "width", [(16, 4), (32, 4)], counts, repeats)
        against_shape(report, "depth", [(16, 8)], counts, repeats)
        against_seeds(report, 16, 4, (256, 1024), repeats)
        against_inputs(report, 16, 4, (2, 4), 2**18, repeats)
    elif "shapes" in options.part:
        counts = {"conditional": 2**25, "explicit": 2**26}
        against_shape(report, "width", [(width, 10) for width in (64, 256, 1024)], counts, repeats)
        against_shape(report, "depth", [(64, depth) for depth in (10, 100, 1000)], counts, repeats)
        against_seeds(report, 64, 10, (1024, 8192, 65536), repeats)
        against_inputs(report, 256, 10, (2, 8, 32), 2**26, repeats)
    report.print()


if __name__ == "__main__":
    main()
