"""Networks per second against devices and processes.

    python benchmarks/scaling.py [--quick] [--out FILE] [--repeats 3] [--part devices processes]

`devices`: one process with 1, 2, 4, 8 simulated CPU devices (more devices than cores measure the
cost of sharing), and accelerators. `processes`: 1, 2, 4 processes of one device, like
`--shard i/n`, writing into one directory; from a common start to the last answer. Checked before:
all arrangements have equal statistics bit by bit, except one device against several, which XLA
compiles differently (means within 1e-5); mean ln sin^2 against theory (5 standard errors).
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
import worker

import deepinit as di
from deepinit.theory.angles import log_sin2_propagation

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
    """Starts the workers together: seconds until the last answer, and the answers."""
    start = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
    answers = [json.loads(told(process)) for process in processes]
    return time.perf_counter() - start, answers


def check_mean(task: worker.Task, mean: float) -> None:
    """Against the second-order walk."""
    walk = log_sin2_propagation(worker.ANGLE, (task.width,) * task.depth)
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


def main() -> None:
    """Checks, times, tells."""
    options = harness.arguments(__doc__, ("devices", "processes"))
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
    report.print()


if __name__ == "__main__":
    main()
