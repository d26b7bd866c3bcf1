"""Runs benchmarks, each in a process of its own: one record, one table of ratios, figures.

    python -m benchmarks [--quick | --full] [--only NAME ...] [--out DIR] [--write-results]
    python -m benchmarks --device [cuda | cpu] [--quick] [--out DIR] [--write-results]

The default shapes take about nineteen minutes on two idle cores, `--quick` five (small shapes),
`--full` an hour or more. DIR receives `record.json`, `ratios.md`, `figures/`, and the output and
measurements of every benchmark. `--write-results` also writes `benchmarks/RESULTS.md`.

`--device` is for a machine lent for minutes: precision, engines and one large ensemble on its GPU
(or the CPU), within eight minutes; what was measured until then is recorded.

Exit code 1 if a check failed or a benchmark crashed; the others still run. A missed goal is shown
and is no failure.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import harness, record

HERE = Path(__file__).parent
RESULTS = HERE / "results"

# Of --device: arguments of each benchmark, the most telling first. A GPU's time is compilation.
ON_DEVICE = {
    "precision": "",
    "large_ensemble": "--repeats 2",
    "engines": "--part 256 1024 --repeats 2",
}
DEVICE_SECONDS = 470.0

# Default arguments of a benchmark, and its seconds on two idle cores.
DEFAULTS = {
    "precision": ("", 30),
    "import_time": ("--repeats 1", 30),
    "first_result": ("--repeats 1", 27),
    "diagnose": ("--part mlp --repeats 1", 20),
    "compile": ("--part relu --repeats 1", 35),
    "again": ("--part call values", 25),
    "engines": ("--part 256 1024 --repeats 2", 50),
    "large_ensemble": ("--repeats 1", 12),
    "routes": ("", 55),
    "scaling": ("--repeats 2", 55),
    "workers": ("", 75),
    "shapes": ("--repeats 2", 50),
    "model": ("", 70),
    "memory": ("--networks 1000000", 20),
    "lengths": ("--part samplers --repeats 1 --networks 200000", 45),
    "cutoff": ("--repeats 1 --networks 100000", 40),
    "condensation": ("--repeats 2", 30),
    "kernel_corrections": ("--part ensemble --repeats 1", 105),
    "gradients": ("--repeats 1", 15),
    "resnet_ntk": ("--repeats 1 --networks 100", 85),
    "layers": ("--repeats 1 --part maps compile", 60),
    "kernel_matrices": ("--repeats 1", 40),
    "controls": ("--repeats 1", 80),
    "deferred_gpt": ("--part gpt ntk --repeats 1", 80),
}


def parsed() -> argparse.Namespace:
    """The command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m benchmarks", None, __doc__, formatter_class=formatter
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small shapes")
    sizes.add_argument("--full", action="store_true", help="all parts of all benchmarks")
    parser.add_argument("--only", nargs="+", choices=list(DEFAULTS), metavar="NAME")
    parser.add_argument("--out", type=Path, help="new or empty folder; runs/benchmarks-TIME")
    parser.add_argument("--write-results", action="store_true", help="also write RESULTS.md")
    parser.add_argument("--device", nargs="?", const="cuda", choices=("cuda", "cpu"))
    options = parser.parse_args()
    if options.device and (options.full or options.only):
        parser.error("--device has a plan of its own: leave out --full and --only")
    if options.device and (missing := missing_platform(options.device)):
        parser.error(f"--device {options.device}: {missing}")
    if options.write_results and (options.quick or options.only):
        parser.error("--write-results is for complete runs: leave out --quick and --only")
    options.out = options.out or Path("runs") / f"benchmarks-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        parser.error(f"{options.out} holds something: choose a new folder")
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def platforms(device: str) -> str:
    """JAX_PLATFORMS: theory in float64 needs the CPU too."""
    return device if device == "cpu" else f"{device},cpu"


def missing_platform(device: str) -> str:
    """Why JAX cannot compute on it; empty if it can."""
    environment = {**os.environ, "JAX_PLATFORMS": platforms(device)}
    code = f"import jax; jax.devices({device!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode == 0:
        return ""
    why = (done.stderr.strip().splitlines() or ["JAX does not start"])[-1][:200]
    return f"{why}. Install the extra `cuda`, or write --device cpu"


def run(
    name: str,
    options: argparse.Namespace,
    place: str,
    default: str = "",
    seconds: float | None = None,
) -> record.Record:
    """One benchmark: its output goes to a file, its outcome to the terminal.

    `default`: arguments without `--quick` and `--full`; `seconds`: after which it is stopped.
    """
    found, text = options.out / f"{name}.json", options.out / f"{name}.txt"
    arguments = [] if options.full else shlex.split(default)
    arguments = ["--quick"] if options.quick else arguments
    command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(found), *arguments]
    before, start = harness.load_average(), time.perf_counter()
    print(f"{place} {name} ...", flush=True)
    environment = dict(os.environ)
    if options.device:
        environment["JAX_PLATFORMS"] = platforms(options.device)
    with text.open("w") as file:
        code = within(seconds, command, stdout=file, stderr=subprocess.STDOUT, env=environment)
    output = [line for line in text.read_text().splitlines() if line.strip()]
    missing = [line.removeprefix("missing: ") for line in output if line.startswith("missing: ")]
    entry = {
        "benchmark": name,
        "command": shlex.join(["python", f"benchmarks/{name}.py", *arguments]),
        "exit_code": code,
        "message": " ".join(" ".join(output)[-400:].split()) if code else "",
        "missing": missing,
        "seconds": round(time.perf_counter() - start, 1),
        "load_average": [x for x in (before, harness.load_average()) if x is not None],
        **{"checks": [], "measurements": [], "provenance": {}},
    }
    entry |= json.loads(found.read_text()) if found.exists() else {}
    counts = f"{len(entry['checks'])} checks passed, {len(entry['measurements'])} measurements"
    print(f"{place} {name}: {'FAILED' if code else 'done'} in {entry['seconds']:.0f} s: {counts}")
    notes = [f"missing: {what}" for what in missing] + (output[-3:] if code else [])
    print("".join(f"    {note}\n" for note in notes), end="", flush=True)
    return entry


def within(seconds: float | None, command: list[str], **options: Any) -> int:
    """Exit code of a process; 124 if it was stopped."""
    try:
        return subprocess.run(command, check=False, timeout=seconds, **options).returncode
    except subprocess.TimeoutExpired:
        return 124


def plan(options: argparse.Namespace) -> dict[str, str]:
    """Arguments by name of benchmark."""
    if options.device:
        return ON_DEVICE
    return {name: DEFAULTS[name][0] for name in options.only or DEFAULTS}


def draw(found: record.Record, folder: Path) -> None:
    """The figures of a record as SVG files."""
    from benchmarks import figures
    from deepinit.plots.style import to_svg

    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.figures(found).items():
        (folder / f"{name}.svg").write_text(to_svg(figure))


def write_results(found: record.Record, folder: Path = RESULTS) -> Path:
    """Stores the record under its backend's name; writes RESULTS.md from those of all backends."""
    folder.mkdir(exist_ok=True)
    own = record.backend(found)
    (folder / f"{own}.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, folder / own)
    records = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    figures = {
        name: [str(path.relative_to(folder.parent)) for path in sorted((folder / name).glob("*"))]
        for name in records
    }
    target = folder.parent / "RESULTS.md"
    target.write_text(record.results_markdown(records, figures))
    return target


def main() -> int:
    """Runs the benchmarks; writes record, ratios and figures."""
    options = parsed()
    chosen, start = plan(options), time.perf_counter()
    facts, entries = harness.facts(), []
    for number, (name, arguments) in enumerate(chosen.items(), start=1):
        left = start + DEVICE_SECONDS - time.perf_counter() if options.device else None
        place = f"[{number}/{len(chosen)}]"
        entries.append(run(name, options, place, arguments, None if left is None else max(1, left)))
    for key in ("backend", "device", "num_devices", "torch"):  # this process has no JAX
        known = (entry["provenance"].get(key) for entry in entries)
        facts[key] = next((value for value in known if value is not None), None)
    found = {
        "format": record.FORMAT,
        "quick": options.quick,
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "seconds": round(time.perf_counter() - start, 1),
        "provenance": facts,
        "benchmarks": entries,
    }
    table = record.ratios_markdown(found)
    (options.out / "record.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "ratios.md").write_text("\n".join([*record.machine_lines(found), "", table, ""]))
    draw(found, options.out / "figures")
    print(table)
    failed = [entry["benchmark"] for entry in entries if entry["exit_code"]]
    print(f"{found['seconds']:.0f} s; record.json, ratios.md, figures/ in {options.out}")
    if failed:
        print(f"failed: {', '.join(failed)}")
    elif options.write_results:
        print(f"written: {write_results(found)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
