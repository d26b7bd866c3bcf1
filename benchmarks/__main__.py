"""Runs benchmarks, each in a process of its own: one record, one table of ratios, figures.

    python -m benchmarks [--quick | --full] [--only NAME ...] [--out DIR] [--write-results]

Default shapes: about fifteen minutes on two idle cores; `--quick`, small shapes, five; `--full` an
hour or more. DIR receives `record.json`, `ratios.md`, `figures/`, and the output and JSON lines of
every benchmark; `--write-results` also writes `benchmarks/RESULTS.md`. Exit code 1 if a check
failed or a benchmark crashed; the others still run. A missed goal is shown and is no failure.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from benchmarks import harness, record

HERE = Path(__file__).parent
RESULTS = HERE / "results"
_TAIL = 3  # lines of a failed benchmark's output


class Default(NamedTuple):
    """Default arguments of a benchmark, and its seconds on two idle cores."""

    arguments: str
    seconds: int


DEFAULTS = {
    "precision": Default("", 30),
    "import_time": Default("--repeats 1", 30),
    "compile": Default("--part relu --repeats 1", 35),
    "engines": Default("--part 256 1024 --repeats 2", 50),
    "routes": Default("", 55),
    "scaling": Default("--repeats 2", 55),
    "shapes": Default("--repeats 2", 50),
    "model": Default("", 70),
    "memory": Default("--networks 1000000", 20),
    "lengths": Default("--part samplers --repeats 1 --networks 200000", 45),
    "cutoff": Default("--repeats 1 --networks 100000", 40),
    "condensation": Default("--repeats 2", 30),
    "kernel_corrections": Default("--part ensemble --repeats 1", 105),
    "gradients": Default("--repeats 1", 15),
    "resnet_ntk": Default("--repeats 1 --networks 100", 85),
    "layers": Default("--repeats 1 --part maps compile", 60),
    "kernel_matrices": Default("--repeats 1", 40),
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
    options = parser.parse_args()
    if options.write_results and (options.quick or options.only):
        parser.error("--write-results is for complete runs: leave out --quick and --only")
    options.out = options.out or Path("runs") / f"benchmarks-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        parser.error(f"{options.out} holds something: choose a new folder")
    return options


def run(name: str, options: argparse.Namespace, console: Console, place: str) -> record.Record:
    """One benchmark: its output goes to a file, its last line to the terminal."""
    lines = options.out / f"{name}.jsonl"
    arguments = [] if options.full else shlex.split(DEFAULTS[name].arguments)
    arguments = ["--quick"] if options.quick else arguments
    command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(lines), *arguments]
    loads, used, start = [harness.load_average()], harness.child_seconds(), time.perf_counter()
    output = []
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with (
        console.status(f"{place} {name}") as status,
        subprocess.Popen(command, **pipe) as process,
        (options.out / f"{name}.txt").open("w") as file,
    ):
        try:
            for line in process.stdout:
                file.write(line)
                file.flush()
                output += [line.rstrip()] if line.strip() else []
                status.update(f"{place} {name}: {line.strip()[:90]}")
        except BaseException:
            process.terminate()
            raise
    seconds, loads = time.perf_counter() - start, [*loads, harness.load_average()]
    failed = process.returncode != 0
    missing = [line.removeprefix("missing: ") for line in output if line.startswith("missing: ")]
    outcome = {
        "benchmark": name,
        "command": shlex.join(["python", f"benchmarks/{name}.py", *arguments]),
        "exit_code": process.returncode,
        "message": " ".join(" ".join(output)[-400:].split()) if failed else "",
        "missing": missing,
        "seconds": round(seconds, 1),
        "processor_seconds": None if used is None else round(harness.child_seconds() - used, 1),
        "load_average": [load for load in loads if load is not None],
    }
    entry = record.benchmark_entry(lines, outcome)
    counts = f"{len(entry['checks'])} checks passed, {len(entry['measurements'])} measurements"
    state = "[red]FAILED[/]" if failed else "done"
    console.print(f"{place} {name}: {state} in {seconds:.0f} s: {counts}")
    notes = [f"missing: {what}" for what in missing] + (output[-_TAIL:] if failed else [])
    for note in notes:
        console.print(f"    {note}", markup=False)
    return entry


def draw(found: record.Record, folder: Path) -> list[Path]:
    """The figures of a record as SVG files."""
    from benchmarks import figures
    from deepinit.plots.style import to_svg

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.figures(found).items():
        paths.append(folder / f"{name}.svg")
        paths[-1].write_text(to_svg(figure))
    return paths


def write_results(found: record.Record, folder: Path = RESULTS) -> Path:
    """Stores the record under its backend's name; writes RESULTS.md from those of all backends."""
    folder.mkdir(exist_ok=True)
    own = record.backend(found)
    (folder / f"{own}.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, folder / own)
    records = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    shown = {
        name: [
            f"{folder.name}/{name}/{path.name}" for path in sorted((folder / name).glob("*.svg"))
        ]
        for name in records
    }
    target = folder.parent / "RESULTS.md"
    target.write_text(record.results_markdown(records, shown))
    return target


def main() -> int:
    """Runs the benchmarks; writes record, ratios and figures."""
    options, console = parsed(), Console()
    names = options.only or list(DEFAULTS)
    options.out.mkdir(parents=True, exist_ok=True)
    minutes = sum(DEFAULTS[name].seconds for name in names) / 60
    sizes = "" if options.quick or options.full else f", about {minutes:.0f} minutes on idle cores"
    console.print(f"{len(names)} benchmarks{sizes}; record in {options.out}")
    facts, start = harness.facts(), time.perf_counter()
    entries = [
        run(name, options, console, rf"\[{place}/{len(names)}]")
        for place, name in enumerate(names, start=1)
    ]
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
    (options.out / "ratios.md").write_text(
        "\n".join([*record.machine_lines(found), "", table]) + "\n"
    )
    draw(found, options.out / "figures")
    console.print(table, markup=False)
    failed = [entry["benchmark"] for entry in entries if entry["exit_code"]]
    console.print(f"{found['seconds']:.0f} s; record.json, ratios.md, figures/ in {options.out}")
    if failed:
        console.print(f"[red]failed: {', '.join(failed)}[/]")
    elif options.write_results:
        console.print(f"written: {write_results(found)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
