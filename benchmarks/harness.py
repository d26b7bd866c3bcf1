"""Shared by all benchmarks: command line, checks, timing in turns, one JSON line a measurement."""

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

_PASSED: list[dict[str, Any]] = []  # checks of this process; every later measurement names them


def arguments(
    description: str | None, parts: tuple[str, ...] = (), *, networks: str = ""
) -> argparse.Namespace:
    """`--quick`, `--out`, `--repeats`, and `--part` or `--networks` where they are asked for.

    `parts`: choices of `--part`. `networks`: what `--networks` counts; empty for no such option.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument("--quick", action="store_true", help="small shapes, same checks")
    parser.add_argument("--out", type=Path, help="file for JSON lines, appended")
    parser.add_argument("--repeats", type=int, default=0, help="timings; the least counts")
    if networks:
        parser.add_argument(
            "--networks", type=int, default=0, help=f"{networks}; 0 for the default"
        )
    if parts:
        parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    return parser.parse_args()


def facts() -> dict[str, Any]:
    """Provenance without the host's name and paths."""
    hidden = ("host", "command")
    return {name: value for name, value in collect(machine()).items() if name not in hidden}


def machine() -> dict[str, Any]:
    """Processor, cores, memory and load; None for unknown."""
    model, memory = platform.processor() or platform.machine(), None
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    with contextlib.suppress(AttributeError, OSError, ValueError):
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    cpus, load = os.cpu_count(), load_average()
    return {"cpu": model, "num_cpus": cpus, "memory_gb": memory, "load_average": load}


def load_average() -> float | None:
    """Runnable processes during the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def child_seconds() -> float | None:
    """Processor time of all child processes that have ended."""
    try:
        import resource
    except ImportError:
        return None
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Report:
    """The measurements of one process: a table on stdout, JSON lines in a file."""

    def __init__(self, benchmark: str, out: Path | None, *, quick: bool):
        self.benchmark, self.out, self.quick = benchmark, out, quick
        self.rows: list[tuple[str, str, str, str]] = []
        # benchmarks of the store write beside the record, on its file system
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
        """One measurement; the unit of ratios is "x".

        `goal`: ("<=" or ">=", bound) at the full shapes. `parameters`: for figures, `axis`, `at`,
        `line`
        place it on an axis and `peer` names the competitor of a ratio.
        """
        met = None if goal is None else (value <= goal[1] if goal[0] == "<=" else value >= goal[1])
        record = {"benchmark": self.benchmark, "quick": self.quick, "name": name, "value": value}
        record |= {"unit": unit, "goal": goal, "met": met, **parameters}
        record |= {"checks": list(_PASSED), "provenance": self.provenance}
        if self.out is not None:
            with self.out.open("a") as file:
                file.write(json.dumps(record) + "\n")
        print(f"measured: {name}: {value:.4g} {unit}", flush=True)
        bound = "" if goal is None else f"{goal[0]} {goal[1]:g}"
        verdict = {None: "", True: "met", False: "MISSED"}[met]
        self.rows.append((name, f"{value:.4g} {unit}", bound, verdict))

    def device(self) -> None:
        """Note JAX's devices; call it in the process that computes."""
        import jax

        found = {"backend": jax.default_backend(), "device": jax.devices()[0].device_kind}
        self.provenance |= {**found, "num_devices": jax.device_count()}

    def print(self) -> None:
        """The table."""
        title = f"{self.benchmark}{' --quick' if self.quick else ''}"
        table = Table("measurement", "value", "goal", "", title=title)
        for row in self.rows:
            table.add_row(*row)
        Console(width=120).print(table)


def check(name: str, error: float, tolerance: float) -> None:
    """Exit where an answer is wrong: nothing is timed."""
    if not abs(error) <= tolerance:
        wrong = f"{name}: the answer is off by {error:.3g}, allowed {tolerance:.3g}"
        raise SystemExit(f"{wrong}; nothing was timed.")
    _PASSED.append({"name": name, "error": float(error), "tolerance": float(tolerance)})
    print(f"checked: {name}: off by {error:.3g}, allowed {tolerance:.3g}", flush=True)


def reject(name: str, error: float, tolerance: float) -> None:
    """Exit where a planted wrong answer passes: such a check checks nothing."""
    if abs(error) <= tolerance:
        passes = f"{name}: off by {error:.3g}, within {tolerance:.3g}, and known to be wrong"
        raise SystemExit(f"{passes}; nothing was timed.")
    name = f"rejected: {name}"
    _PASSED.append({"name": name, "error": float(error), "tolerance": float(tolerance)})
    print(f"{name}: off by {error:.3g}, allowed {tolerance:.3g}", flush=True)


def missing(what: str) -> None:
    """Record what was left out, with the reason. No failure."""
    print(f"missing: {what}", flush=True)


def least_seconds(functions: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The least time of each function, after one call each, in turns."""
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
    """Last line, a JSON object, of a new Python process without compilation cache."""
    cache = "JAX_COMPILATION_CACHE"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(cache)}
    environment["JAX_ENABLE_COMPILATION_CACHE"] = "false"
    command = [sys.executable, "-c", code, *argv]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        raise SystemExit(f"the measured process failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
