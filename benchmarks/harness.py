"""Shared by all benchmarks: command line, checks, compiled ensembles, timing in turns, record."""

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

import numpy as np

from deepinit.store import collect

_PASSED: list[dict[str, Any]] = []  # checks of this process
_TURN_SECONDS = 0.3


class Report:
    """Checks and measurements of one process: lines on stdout, one JSON object in a file."""

    def __init__(self, out: Path | None = None):
        self.out = out
        self.measurements: list[dict[str, Any]] = []
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
        `line` place it on an axis and `peer` names the competitor of a ratio.
        """
        value = float(value)  # NumPy's numbers have no JSON
        met = None if goal is None else (value <= goal[1] if goal[0] == "<=" else value >= goal[1])
        found = {"name": name, "value": value, "unit": unit, "goal": goal, "met": met}
        self.measurements.append({**found, "num_checks": len(_PASSED), "parameters": parameters})
        entry = {"checks": _PASSED, "measurements": self.measurements}
        if self.out is not None:
            self.out.write_text(json.dumps({**entry, "provenance": self.provenance}))
        verdict = "" if goal is None else f", goal {goal[0]} {goal[1]:g}{'' if met else ': MISSED'}"
        print(f"measured: {name}: {value:.4g} {unit}{verdict}", flush=True)


def begin(
    description: str | None,
    parts: tuple[str, ...] = (),
    *,
    networks: str = "",
    repeats: tuple[int, int] = (1, 3),
    devices: str = "all",
) -> tuple[argparse.Namespace, Report]:
    """Options `quick`, `repeats`, `part` and `networks`, and the report.

    Args:
        description: of the benchmark.
        parts: choices of `--part`.
        networks: what `--networks` counts; empty for no such option.
        repeats: with and without `--quick`.
        devices: `all` cores, `one`, or empty where this process does not compute.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument("--quick", action="store_true", help="small shapes, same checks")
    parser.add_argument("--out", type=Path, help="JSON file of checks and measurements")
    parser.add_argument("--repeats", type=int, default=0, help="timings; the least counts")
    if networks:
        parser.add_argument("--networks", type=int, default=0, help=networks)
    if parts:
        parser.add_argument("--part", nargs="+", choices=parts, default=list(parts))
    options = parser.parse_args()
    options.repeats = options.repeats or repeats[not options.quick]
    report = Report(options.out)
    if devices:
        import jax

        import deepinit as di

        if devices == "all":
            di.use_all_cores()
        found = {"backend": jax.default_backend(), "device": jax.devices()[0].device_kind}
        report.provenance |= {**found, "num_devices": jax.device_count()}
    return options, report


def facts() -> dict[str, Any]:
    """Provenance with processor, cores, memory and load, without the host's name and paths."""
    model, memory = platform.processor() or platform.machine(), None
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":", 1)[1].strip() for x in lines if x[:10] == "model name"), model)
    with contextlib.suppress(AttributeError, OSError, ValueError):
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    cpus, load = os.cpu_count(), load_average()
    machine = {"cpu": model, "num_cpus": cpus, "memory_gb": memory, "load_average": load}
    return {k: v for k, v in collect(machine).items() if k not in ("host", "command")}


def load_average() -> float | None:
    """Runnable processes during the last minute."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def note_torch(report: Report, torch: Any) -> None:
    """PyTorch's version, or that this peer is missing."""
    report.provenance["torch"] = None if torch is None else torch.__version__
    if torch is None:
        print("missing: PyTorch, a peer: `uv run --with torch python -m benchmarks`", flush=True)


def check(name: str, error: float, tolerance: float) -> None:
    """Exit where an answer is wrong: nothing is timed."""
    if not abs(error) <= tolerance:
        wrong = f"{name}: the answer is off by {error:.3g}, allowed {tolerance:.3g}"
        raise SystemExit(f"{wrong}; nothing was timed.")
    _passed(f"checked: {name}", name, error, tolerance)


def reject(name: str, error: float, tolerance: float) -> None:
    """Exit where a planted wrong answer passes: such a check checks nothing."""
    if abs(error) <= tolerance:
        passes = f"{name}: off by {error:.3g}, within {tolerance:.3g}, and known to be wrong"
        raise SystemExit(f"{passes}; nothing was timed.")
    _passed(f"rejected: {name}", f"rejected: {name}", error, tolerance)


def check_mean(name: str, values: np.ndarray, mean: Any, variance: Any = None) -> None:
    """The mean of values [networks, ...] within 5 standard errors; None for their own variance."""
    variance = np.var(values, axis=0, ddof=1) if variance is None else variance
    z = np.abs(np.mean(values, axis=0) - mean) / np.sqrt(variance / len(values))
    check(f"{name}, {len(values)} networks, largest |z|", float(np.max(z)), 5.0)


def _passed(text: str, name: str, error: float, tolerance: float) -> None:
    _PASSED.append({"name": name, "error": float(error), "tolerance": float(tolerance)})
    print(f"{text}: off by {error:.3g}, allowed {tolerance:.3g}", flush=True)


def ensemble(
    spec: Any,
    quantity: Any,
    inputs: Any,
    linear_map: str,
    num_seeds: int,
    *,
    block_size: int | None = None,
    precision: str = "highest",
) -> Any:
    """The compiled engine of `di.simulate`, in one block if no size is given."""
    from deepinit.ensembles.blocks import compile_ensemble
    from deepinit.quantities.kinds.axis import pass_bytes
    from deepinit.quantities.programs import seed_fn_of

    seed_fn, settings = seed_fn_of(
        spec, quantity, inputs, linear_map=linear_map, precision=precision
    )
    size, num_bytes = block_size or num_seeds, pass_bytes(spec, inputs, settings)
    return compile_ensemble(seed_fn, num_seeds, seed_bytes=num_bytes, block_size=size)


def run_of(*arguments: Any, key: int = 0, **options: Any) -> Callable[[], np.ndarray]:
    """() -> values [networks, layers, entries] of `ensemble`, compiled."""
    from deepinit.ensembles.keys import root_key
    from deepinit.quantities.measured import values_of

    compiled, quantity, root = ensemble(*arguments, **options), arguments[1], root_key(key)

    def run() -> np.ndarray:
        blocks = range(compiled.blocks.num_blocks)
        values = [values_of(quantity, compiled.block_fn(root, block)) for block in blocks]
        return np.concatenate(values)[: arguments[4]]

    return run


def seconds_of(function: Callable[[], Any]) -> tuple[float, Any]:
    """Of one call, and what it returned."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def least_seconds(functions: Mapping[Any, Callable[[], Any]], repeats: int) -> dict[Any, float]:
    """The least time of each function, after one call each, in turns: load meets all of them.

    A turn is one call, or as many as fit into 0.3 s: threads of the one before may still spin.
    """
    for function in functions.values():
        function()
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            end = time.perf_counter() + _TURN_SECONDS
            while True:
                best[name] = min(best[name], seconds_of(function)[0])
                if time.perf_counter() >= end:
                    break
    return best


def least_processor_seconds(functions: Mapping[Any, Callable[[], Any]], repeats: int) -> dict:
    """`least_seconds` of all threads together: what a busy machine says about a quiet one."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.process_time()
            function()
            best[name] = min(best[name], time.process_time() - start)
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
