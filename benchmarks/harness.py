"""What every benchmark shares: command line, timing in one run, one JSON line per measurement, a table, goals."""

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from deepinit.store import collect

_PASSED: list[
    dict[str, Any]
] = []  # the checks of this process so far: every later measurement names them


def arguments(
    description: str | None, parts: tuple[str, ...] = (), *, networks: str = ""
) -> argparse.Namespace:
    """`--quick` (small shapes, the checks all the same), `--out FILE` (JSON lines are appended), `--repeats N`, `--part NAME ...`.

    Args:
        description: of the benchmark.
        parts: what `--part` chooses from.
        networks: which networks `--networks` gives the number of; empty for a benchmark without the option.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="small shapes: does it run, are the answers right"
    )
    parser.add_argument(
        "--out", type=Path, help="file to which one JSON line per measurement is appended"
    )
    parser.add_argument(
        "--repeats", type=int, default=0, help="measurements of each time; the least one counts"
    )
    if networks:
        parser.add_argument(
            "--networks",
            type=int,
            default=0,
            help=f"{networks}; 0 for the number of the full benchmark",
        )
    if parts:
        parser.add_argument(
            "--part",
            nargs="+",
            choices=parts,
            default=list(parts),
            help="which parts; all if left out",
        )
    return parser.parse_args()


def facts() -> dict[str, Any]:
    """Provenance that may be published: without the host's name, and without its paths (records say which script)."""
    return {
        name: value for name, value in collect(machine()).items() if name not in ("host", "command")
    }


def machine() -> dict[str, Any]:
    """Processor, cores, memory, load: what times depend on, as far as the system tells."""
    model, memory = platform.processor() or platform.machine(), None
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    with contextlib.suppress(AttributeError, OSError, ValueError):
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    return {
        "cpu": model,
        "num_cpus": os.cpu_count(),
        "memory_gb": memory,
        "load_average": load_average(),
    }


def load_average() -> float | None:
    """Processes that wanted a core during the last minute; None where the system does not count them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def child_seconds() -> float | None:
    """Processor time of all child processes that have ended, and of theirs; None where the system does not count it."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Report:
    """Collects the measurements of one run: a table on stdout, JSON lines in a file."""

    def __init__(self, benchmark: str, out: Path | None, *, quick: bool):
        self.benchmark, self.out, self.quick = benchmark, out, quick
        self.rows: list[tuple[str, str, str, str]] = []
        # Where a benchmark writes files whose cost it measures: the file system of its record.
        self.folder = Path() if out is None else out.resolve().parent
        self.provenance = facts()

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        goal: tuple[str, float] | None = None,
        **parameters: Any,
    ) -> None:
        """One measurement; `goal` is ("<=" or ">=", bound). Shapes of `--quick` are not those of the goals.

        Of the parameters some are for the figures: `axis`, `at` and `line` make it a point of a line over an axis (width, depth,
        seeds, inputs, devices, processes); `peer` says to whom a ratio compares us.
        """
        met = None if goal is None else (value <= goal[1] if goal[0] == "<=" else value >= goal[1])
        record = {
            "benchmark": self.benchmark,
            "quick": self.quick,
            "name": name,
            "value": value,
            "unit": unit,
        }
        record |= {
            "goal": goal,
            "met": met,
            **parameters,
            "checks": list(_PASSED),
            "provenance": self.provenance,
        }
        if self.out is not None:
            with self.out.open("a") as file:
                file.write(json.dumps(record) + "\n")
        print(
            f"measured: {name}: {value:.4g} {unit}", flush=True
        )  # of a run that is stopped, this is left
        verdict = "" if met is None else ("met" if met else "MISSED")
        self.rows.append(
            (name, f"{value:.4g} {unit}", "" if goal is None else f"{goal[0]} {goal[1]:g}", verdict)
        )

    def device(self) -> None:
        """Note JAX's devices in the record; call it in the process that computes."""
        import jax

        found = {"backend": jax.default_backend(), "device": jax.devices()[0].device_kind}
        self.provenance |= {**found, "num_devices": jax.device_count()}

    def print(self) -> None:
        """The table."""
        table = Table(
            "measurement",
            "value",
            "goal",
            "",
            title=f"{self.benchmark}{' --quick' if self.quick else ''}",
        )
        for row in self.rows:
            table.add_row(*row)
        Console(width=120).print(table)


def check(name: str, error: float, tolerance: float) -> None:
    """Ends the benchmark where an answer is wrong: no time is worth printing then."""
    if not abs(error) <= tolerance:
        raise SystemExit(
            f"{name}: the answer is off by {error:.3g}, allowed {tolerance:.3g}; nothing was timed."
        )
    _PASSED.append({"name": name, "error": float(error), "tolerance": float(tolerance)})
    print(f"checked: {name}: off by {error:.3g}, allowed {tolerance:.3g}", flush=True)


def reject(name: str, error: float, tolerance: float) -> None:
    """Ends the benchmark where a wrong answer passes: a check that accepts it checks nothing."""
    if abs(error) <= tolerance:
        raise SystemExit(
            f"{name}: off by {error:.3g}, within {tolerance:.3g}, and known to be wrong; nothing was timed."
        )
    _PASSED.append(
        {"name": f"rejected: {name}", "error": float(error), "tolerance": float(tolerance)}
    )
    print(f"rejected: {name}: off by {error:.3g}, allowed {tolerance:.3g}", flush=True)


def missing(what: str) -> None:
    """Says what was left out, and why: it is no failure, and it stands in the record."""
    print(f"missing: {what}", flush=True)


def least_seconds(functions: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The least time of each function, measured in turns, so that another load on the machine meets all of them.

    Every function is called once before; each must return when its work is done.
    """
    for function in functions.values():
        function()
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def in_fresh_process(code: str, *argv: str) -> dict[str, Any]:
    """Runs Python code in a new process without compilation cache; its last line of output is a JSON object."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JAX_COMPILATION_CACHE")
    }
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    command = [sys.executable, "-c", code, *argv]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the measured process failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
