"""Runs benchmarks, each in a process of its own: one record, one table of ratios, figures.

    python -m benchmarks [--quick | --full] [--only NAME ...] [--out DIR] [--write-results]

Default shapes take about twelve minutes on two idle cores, `--quick` runs small shapes (are the answers right, does everything run), `--full` every part of
every script with the script's own number of repetitions (an hour). In DIR stand `record.json`, `ratios.md`, `figures/`, and of every benchmark its
output and its JSON lines. `--write-results` also writes `benchmarks/RESULTS.md`, which keeps what other backends (CPU, GPU) have measured.

Exit code: 0; 1 if a check of a benchmark failed or it crashed (the others still run). A missed goal is no failure: it stands in the table.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks import harness, record

HERE = Path(__file__).parent
RESULTS = HERE / "results"
_KEPT_LINES = 3  # of what a failed benchmark said last


class Default(NamedTuple):
    """How a benchmark is run by default: its arguments, and its seconds on two idle cores, for the plan that is shown."""

    arguments: str
    seconds: int


DEFAULTS = {
    "precision": Default("", 30),
    "import_time": Default("--repeats 1", 30),
    "compile": Default("--part relu --repeats 1", 35),
    "engines": Default("--part 256 1024 --repeats 2", 50),
    "routes": Default("", 55),
    "scaling": Default("--repeats 2", 105),
    "model": Default("", 70),
    "memory": Default("--networks 1000000", 20),
    "lengths": Default("--part samplers --repeats 1 --networks 200000", 45),
    "cutoff": Default("--repeats 1 --networks 100000", 40),
    "condensation": Default("--repeats 2", 30),
    "kernel_corrections": Default("--part ensemble --repeats 1", 105),
    "gradients": Default("--repeats 1", 15),
    "resnet_ntk": Default("--repeats 1 --networks 100", 85),
}


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="small shapes")
    sizes.add_argument("--full", action="store_true", help="all parts of all benchmarks")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(DEFAULTS),
        metavar="NAME",
        help=f"of {', '.join(DEFAULTS)}",
    )
    parser.add_argument(
        "--out", type=Path, help="folder, new or empty; runs/benchmarks-TIME if left out"
    )
    parser.add_argument(
        "--write-results",
        action="store_true",
        help="also write benchmarks/RESULTS.md and its records",
    )
    options = parser.parse_args()
    if options.write_results and (options.quick or options.only):
        parser.error("--write-results is for complete runs: leave out --quick and --only")
    options.out = options.out or Path("runs") / f"benchmarks-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        parser.error(f"{options.out} holds something: choose a new folder")
    return options


def arguments_of(name: str, options: argparse.Namespace) -> list[str]:
    """A script's command line."""
    if options.quick:
        return ["--quick"]
    return [] if options.full else shlex.split(DEFAULTS[name].arguments)


def run(name: str, options: argparse.Namespace, console: Console, place: str) -> record.Record:
    """One benchmark, its output kept in a file and its progress shown."""
    lines, log = options.out / f"{name}.jsonl", options.out / f"{name}.txt"
    command = [
        sys.executable,
        str(HERE / f"{name}.py"),
        "--out",
        str(lines),
        *arguments_of(name, options),
    ]
    before, used, start, said = (
        harness.load_average(),
        harness.child_seconds(),
        time.perf_counter(),
        [],
    )
    with (
        console.status(f"{place} {name}") as status,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process,
        log.open("w") as file,
    ):
        try:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                file.flush()
                said.append(line.rstrip())
                status.update(f"{place} {name}: {line.strip()[:90]}")
        except BaseException:  # stopped: so is the benchmark
            process.terminate()
            raise
    seconds, used_now = time.perf_counter() - start, harness.child_seconds()
    outcome: record.Record = {
        "benchmark": name,
        "command": shlex.join(["python", f"benchmarks/{name}.py", *arguments_of(name, options)]),
        "exit_code": process.returncode,
        "message": " ".join(" ".join(line for line in said if line)[-400:].split())
        if process.returncode
        else "",
        "missing": [
            line.removeprefix("missing: ") for line in said if line.startswith("missing: ")
        ],
        "seconds": round(seconds, 1),
        "processor_seconds": None
        if used is None or used_now is None
        else round(used_now - used, 1),
        "load_average": [load for load in (before, harness.load_average()) if load is not None],
    }
    entry = record.benchmark_entry(record.read_lines(lines), outcome)
    word = "[red]FAILED[/]" if process.returncode else "done"
    counts = f"{len(entry['checks'])} checks passed, {len(entry['measurements'])} measurements"
    console.print(
        f"{place} {name}: {word} in {seconds:.0f} s ({outcome['processor_seconds']} s of processor): {counts}"
    )
    for what in outcome["missing"]:
        console.print(f"    missing: {what}", markup=False)
    if process.returncode:
        for line in [line for line in said if line][-_KEPT_LINES:]:
            console.print(f"    {line}", markup=False)
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
    """Keeps the record under its backend's name, and writes RESULTS.md from the records of all backends."""
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
    """Runs, records, tells."""
    options, console = parsed(), Console()
    names = options.only or list(DEFAULTS)
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.quick or options.full):
        minutes = sum(DEFAULTS[name].seconds for name in names) / 60
        console.print(
            f"{len(names)} benchmarks, about {minutes:.0f} minutes on two idle cores; record in {options.out}"
        )
    facts: dict[str, Any] = harness.facts()
    start = time.perf_counter()
    entries = [
        run(name, options, console, f"[{place}/{len(names)}]".replace("[", r"\["))
        for place, name in enumerate(names, start=1)
    ]
    for name in (
        "backend",
        "device",
        "num_devices",
        "torch",
    ):  # of the first that knows: this process has no JAX
        known = [
            entry["provenance"][name]
            for entry in entries
            if entry["provenance"].get(name) is not None
        ]
        facts[name] = known[0] if known else None
    found = {
        "format": record.FORMAT,
        "quick": options.quick,
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "seconds": round(time.perf_counter() - start, 1),
        "provenance": facts,
        "benchmarks": entries,
    }
    (options.out / "record.json").write_text(json.dumps(found, indent=1) + "\n")
    (options.out / "ratios.md").write_text(
        "\n".join([*record.machine_lines(found), "", record.ratios_markdown(found)])
    )
    paths = draw(found, options.out / "figures")
    console.print(record.table(found))
    console.print(
        f"{found['seconds']:.0f} s; record.json, ratios.md and {len(paths)} figures in {options.out}"
    )
    failed = [entry["benchmark"] for entry in entries if entry["exit_code"]]
    if options.write_results and not failed:
        console.print(f"written: {write_results(found)}")
    if failed:
        console.print(
            f"[red]failed: {', '.join(failed)}[/]"
            + ("; RESULTS.md is as it was" if options.write_results else "")
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
