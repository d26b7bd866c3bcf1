"""Runs benchmarks, each in a process of its own: one record, one table of ratios, figures.

    python -m benchmarks [--quick | --full] [--only NAME ...] [--out DIR] [--write-results]

The default shapes take about eighteen minutes on two idle cores, `--quick` five (small shapes),
`--full` an hour or more. DIR receives `record.json`, `ratios.md`, `figures/`, and the output and
measurements of every benchmark. `--write-results` also writes `benchmarks/RESULTS.md`.

Exit code 1 if a check failed or a benchmark crashed; the others still run. A missed goal is shown
and is no failure.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import harness, record

HERE = Path(__file__).parent
RESULTS = HERE / "results"

# Default arguments of a benchmark, and its seconds on two idle cores.
DEFAULTS = {
    "precision": ("", 30),
    "import_time": ("--repeats 1", 30),
    "compile": ("--part relu --repeats 1", 35),
    "again": ("--part call values", 25),
    "engines": ("--part 256 1024 --repeats 2", 50),
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
    options = parser.parse_args()
    if options.write_results and (options.quick or options.only):
        parser.error("--write-results is for complete runs: leave out --quick and --only")
    options.out = options.out or Path("runs") / f"benchmarks-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    if options.out.exists() and (not options.out.is_dir() or any(options.out.iterdir())):
        parser.error(f"{options.out} holds something: choose a new folder")
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def run(name: str, options: argparse.Namespace, place: str) -> record.Record:
    """One benchmark: its output goes to a file, its outcome to the terminal."""
    found, text = options.out / f"{name}.json", options.out / f"{name}.txt"
    arguments = [] if options.full else shlex.split(DEFAULTS[name][0])
    arguments = ["--quick"] if options.quick else arguments
    command = [sys.executable, str(HERE / f"{name}.py"), "--out", str(found), *arguments]
    before, start = harness.load_average(), time.perf_counter()
    print(f"{place} {name} ...", flush=True)
    with text.open("w") as file:
        code = subprocess.run(
            command, stdout=file, stderr=subprocess.STDOUT, check=False
        ).returncode
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
    names, start = options.only or list(DEFAULTS), time.perf_counter()
    facts = harness.facts()
    entries = [run(name, options, f"[{i}/{len(names)}]") for i, name in enumerate(names, start=1)]
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
