"""The record of a run of several benchmarks, and its summaries: the ratios, RESULTS.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

FORMAT = 1
_MACHINE = ("cpu", "num_cpus", "memory_gb", "device", "num_devices", "platform", "python")
_GPU = """Not run on a GPU yet. On a machine with one, from the root of the repository:

```
uv run --extra cuda python -m benchmarks --device --write-results
```

adds this section within eight minutes and leaves the others; without `--device` all benchmarks run.
`benchmarks/precision.py` fails where float32 products are computed in TF32."""

Record = dict[str, Any]


def backend(record: Record) -> str:
    """cpu, gpu or tpu, as the benchmarks found it."""
    found = {entry["provenance"].get("backend") for entry in record["benchmarks"]} - {None}
    return "mixed" if len(found) > 1 else next(iter(found), "cpu")


def ratios(record: Record) -> list[tuple[str, str, str, str, str]]:
    """(benchmark, name, value, goal, verdict) of all ratios and of what else has a goal."""
    table = []
    for entry in record["benchmarks"]:
        for item in entry["measurements"]:
            if item["unit"] != "x" and item["goal"] is None:
                continue
            goal = "" if item["goal"] is None else f"{item['goal'][0]} {item['goal'][1]:.4g}"
            verdict = {None: "", True: "met", False: "MISSED"}[item["met"]]
            verdict = f"({verdict})" if verdict and record["quick"] else verdict
            table.append((entry["benchmark"], item["name"], _value(item), goal, verdict))
        if entry["exit_code"]:
            table.append((entry["benchmark"], entry["message"], "", "", "FAILED"))
    return table


def ratios_markdown(record: Record) -> str:
    """`ratios` as a Markdown table."""
    return _markdown(("benchmark", "", "value", "goal", ""), ratios(record))


def machine_lines(record: Record) -> list[str]:
    """Machine, versions, commit, load, command."""
    facts = record["provenance"]
    git = facts.get("git_deepinit") or {}
    known = facts["versions"] | ({"torch": facts["torch"]} if facts.get("torch") else {})
    loads = [entry["load_average"] for entry in record["benchmarks"] if entry["load_average"]]
    load = f"{min(map(min, loads)):.1f} to {max(map(max, loads)):.1f}" if loads else "unknown"
    if loads and loads[0][0] > 0.5 * (facts.get("num_cpus") or 1):  # before the first benchmark
        load += " (a busy machine: only the ratios mean anything)"
    dirty = ", with uncommitted changes" if git.get("dirty") else ""
    machine = ", ".join(f"{k} {facts[k]}" for k in _MACHINE if facts.get(k) is not None)
    return [
        f"- Machine: {machine}",
        f"- Versions: {', '.join(f'{name} {version}' for name, version in known.items())}",
        f"- Commit: {git.get('commit', 'unknown')}{dirty}",
        f"- Load average: {load}; {facts.get('num_cpus')} cores",
        f"- Time: {facts['time']}, {record['seconds'] / 60:.1f} minutes",
        f"- Command: `{record['command']}`",
    ]


def results_markdown(records: dict[str, Record], figures: dict[str, Sequence[str]]) -> str:
    """RESULTS.md of records by backend, `cpu` or `gpu`; a missing one counts as not run.

    `figures`: by backend, paths relative to the file.
    """
    parts = [
        "# Results",
        "Written by `python -m benchmarks --write-results`; do not edit. Every value was measured\n"
        "after its benchmark's checks had passed; the records in `results/` hold them.",
    ]
    missing = {"cpu": "Not run yet: `python -m benchmarks --write-results`.", "gpu": _GPU}
    for name in ("cpu", "gpu"):
        parts.append(f"## {name.upper()}")
        if name not in records:
            parts.append(missing[name])
            continue
        record = records[name]
        parts += ["\n".join(machine_lines(record)), "### Ratios and goals", ratios_markdown(record)]
        parts += [f"![{Path(path).stem}]({path})" for path in figures.get(name, ())]
        for entry in record["benchmarks"]:
            if entry["measurements"]:
                passed = f"{len(entry['checks'])} checks passed, {entry['seconds']:.0f} s."
                values = [(item["name"], _value(item)) for item in entry["measurements"]]
                parts += [f"### {entry['benchmark']}", passed]
                parts += [f"Missing: {what}." for what in entry["missing"]]
                parts.append(_markdown(("measurement", "value"), values))
    return "\n\n".join(parts) + "\n"


def _value(item: Record) -> str:
    return f"{item['value']:.4g} {item['unit']}".strip()


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([c.replace("|", "\\|") for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
