"""The record of a run of several benchmarks, and what is read off it: a table of ratios, and RESULTS.md."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

FORMAT = 1
_MACHINE = ("cpu", "num_cpus", "memory_gb", "device", "num_devices", "platform", "python")
_OWN = ("benchmark", "quick", "name", "value", "unit", "goal", "met", "checks", "provenance")

Record = dict[str, Any]


def benchmark_entry(lines: Sequence[Record], outcome: Record) -> Record:
    """One benchmark's part: what every line of its JSON file repeats is said once.

    Args:
        lines: the measurements, as `harness.Report.add` wrote them.
        outcome: `benchmark`, `exit_code`, `seconds` (of the clock, and of processors), `load_average` before and after, `missing`, `message`.
    """
    # each line names all that had passed before it
    checks: list[Record] = max((line["checks"] for line in lines), key=len, default=[])
    measurements = []
    for line in lines:
        more = {name: value for name, value in line.items() if name not in _OWN}
        own = {name: line[name] for name in ("name", "value", "unit", "goal", "met")}
        measurements.append({**own, "num_checks": len(line["checks"]), "parameters": more})
    provenance = lines[0]["provenance"] if lines else {}
    return {**outcome, "checks": checks, "measurements": measurements, "provenance": provenance}


def read_lines(path: Path) -> list[Record]:
    """The measurements in a benchmark's JSON file; none if it wrote none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def backend(record: Record) -> str:
    """cpu, gpu or tpu, as the benchmarks found it."""
    found = {entry["provenance"].get("backend") for entry in record["benchmarks"]} - {None}
    return sorted(found)[0] if len(found) == 1 else "cpu" if not found else "mixed"


def rows(record: Record) -> list[tuple[Record, Record]]:
    """(benchmark, measurement) of everything that was measured."""
    return [(entry, one) for entry in record["benchmarks"] for one in entry["measurements"]]


def _value(one: Record) -> str:
    return f"{one['value']:.4g} {one['unit']}".strip()


def _goal(one: Record) -> str:
    return "" if one["goal"] is None else f"{one['goal'][0]} {one['goal'][1]:.4g}"


def _verdict(one: Record, *, quick: bool) -> str:
    if one["met"] is None:
        return ""
    word = "met" if one["met"] else "MISSED"
    return f"({word})" if quick else word


def ratios(record: Record) -> list[tuple[str, str, str, str, str]]:
    """(benchmark, what, ratio, goal, verdict): all ratios, and whatever else has a goal."""
    return [
        (
            entry["benchmark"],
            one["name"],
            _value(one),
            _goal(one),
            _verdict(one, quick=record["quick"]),
        )
        for entry, one in rows(record)
        if one["unit"] == "x" or one["goal"] is not None
    ]


def table(record: Record) -> Table:
    """The ratios for a terminal, and what did not pass."""
    shown = Table(
        "benchmark",
        "ratio",
        "value",
        "goal",
        "",
        title="Ratios" + (", --quick" if record["quick"] else ""),
    )
    for row in ratios(record):
        shown.add_row(*row)
    for entry in record["benchmarks"]:
        if entry["exit_code"]:
            shown.add_row(entry["benchmark"], entry["message"], "", "", "FAILED")
    return shown


def ratios_markdown(record: Record) -> str:
    """The same in Markdown."""
    head = ["| benchmark | | value | goal | |", "|---|---|---|---|---|"]
    body = [
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in ratios(record)
    ]
    failed = [
        f"| {entry['benchmark']} | {entry['message'].replace('|', chr(92) + '|')} | | | FAILED |"
        for entry in record["benchmarks"]
        if entry["exit_code"]
    ]
    return "\n".join([*head, *body, *failed]) + "\n"


def machine_lines(record: Record) -> list[str]:
    """What the numbers depend on: machine, versions, commit, load, command."""
    facts = record["provenance"]
    git = facts.get("git_deepinit") or {}
    known = facts["versions"] | ({"torch": facts["torch"]} if facts.get("torch") else {})
    versions = ", ".join(f"{name} {version}" for name, version in known.items())
    loads = [entry["load_average"] for entry in record["benchmarks"] if entry["load_average"]]
    load = f"{min(map(min, loads)):.1f} to {max(map(max, loads)):.1f}" if loads else "unknown"
    commit = f"{git.get('commit', 'unknown')}{', with changes that are not committed' if git.get('dirty') else ''}"
    return [
        "- Machine: "
        + ", ".join(f"{name} {facts[name]}" for name in _MACHINE if facts.get(name) is not None),
        f"- Versions: {versions}",
        f"- Commit: {commit}",
        f"- Load average while it ran: {load} on {facts.get('num_cpus')} cores"
        + (
            " (a busy machine: of such times only the ratios mean anything)"
            if _is_busy(record, loads)
            else ""
        ),
        f"- Time: {facts['time']}, {record['seconds'] / 60:.1f} minutes; command: `{record['command']}`",
    ]


def _is_busy(record: Record, loads: list[list[float]]) -> bool:
    """More waits for a core before any benchmark than it leaves free: its own processes count after it."""
    return bool(loads) and loads[0][0] > 0.5 * (record["provenance"].get("num_cpus") or 1)


def results_markdown(records: dict[str, Record], figures: dict[str, Sequence[str]]) -> str:
    """RESULTS.md.

    Args:
        records: by backend, `cpu` or `gpu`; a backend without one has not been measured, and that is said.
        figures: by backend, paths of its figures as the file links to them.
    """
    parts = [
        "# Results",
        "Written by `python -m benchmarks --write-results`; do not edit. What is measured, and what earlier runs found: `README.md` beside this file. "
        "Every value was measured after its benchmark's checks had passed; the JSON records in `results/` hold them.",
    ]
    for name, title in (("cpu", "CPU"), ("gpu", "GPU")):
        parts.append(f"## {title}")
        record = records.get(name)
        if record is None:
            parts.append(
                f"Not run on a {title} yet. On a machine with one, from the root of the repository:\n\n"
                "```\nuv run --extra cuda python -m benchmarks --write-results\n```\n\n"
                "adds this section and leaves the others. `benchmarks/precision.py` is part of it and fails where float32 products "
                "are computed in TF32."
                if name == "gpu"
                else "Not run yet: `python -m benchmarks --write-results`."
            )
            continue
        parts += [
            "\n".join(machine_lines(record)),
            "### Ratios and goals",
            ratios_markdown(record).rstrip(),
        ]
        parts += [f"![{Path(path).stem}]({path})" for path in figures.get(name, ())]
        for entry in record["benchmarks"]:
            if not entry["measurements"]:
                continue
            passed = f"{len(entry['checks'])} checks passed, {entry['seconds']:.0f} s"
            lines = [
                f"### {entry['benchmark']}",
                "",
                f"{passed}.",
                *(f"\nMissing: {what}." for what in entry["missing"]),
            ]
            lines += ["", "| measurement | value |", "|---|---|"]
            lines += [f"| {one['name']} | {_value(one)} |" for one in entry["measurements"]]
            parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
