"""Every judged z of finished runs: `python docs/evidence/collect.py RUN ...` writes z.json.

A record holds one theory of one quantity in one experiment, by what the experiment expects of it:
`check` (it must agree), `wrong` (known to be wrong), `compared`.
"""

import csv
import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepinit.runs.experiment import Case, Experiment
from deepinit.runs.load import load_experiment
from deepinit.store.canonical import canonical_json

FILE = Path(__file__).parent / "z.json"
CHECK, WRONG, COMPARED = "check", "wrong", "compared"
KEYS = ("experiment", "preset", "quantity", "theory", "role")


def preset_of(experiment: Experiment, config: Any) -> str:
    """Name of the preset with this config; ValueError without."""
    for name, preset in experiment.presets.items():
        if canonical_json(dataclasses.asdict(preset)) == canonical_json(config):
            return name
    raise ValueError(f"a run of {experiment.name} with a config of its own; presets are collected")


def role(case: Case, theory: str) -> str:
    """What the experiment expects."""
    return CHECK if theory in case.checked else WRONG if theory in case.rejected else COMPARED


def of_run(run: Path) -> list[dict[str, Any]]:
    """Records of a finished run: KEYS, `cases`, `z` (judged, two decimals)."""
    identity = json.loads((run / "spec.json").read_text())["identity"]
    experiment = load_experiment(identity["experiment"])
    preset = preset_of(experiment, identity["config"])
    cases = {case.name: case for case in experiment.cases(experiment.presets[preset])}
    found: dict[tuple[str, ...], dict[str, list[float]]] = {}
    with (run / "comparison.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["judged"] == "1" and row["z"]:
                expected = role(cases[row["case"]], row["theory"])
                key = (experiment.name, preset, row["quantity"], row["theory"], expected)
                by_case = found.setdefault(key, {})
                by_case.setdefault(row["case"], []).append(round(float(row["z"]), 2))
    return [
        dict(zip(KEYS, key, strict=True))
        | {"cases": len(by_case), "z": [z for each in by_case.values() for z in each]}
        for key, by_case in sorted(found.items())
    ]


def write(runs: Iterable[Path], file: Path = FILE) -> list[dict[str, Any]]:
    """Replace the records of the runs' experiments, keep the others."""
    new = [record for run in runs for record in of_run(run)]
    replaced = {record["experiment"] for record in new}
    old = json.loads(file.read_text()) if file.exists() else []
    records = [record for record in old if record["experiment"] not in replaced] + new
    records.sort(key=lambda record: [record[key] for key in KEYS])
    lines = ",\n".join(json.dumps(record) for record in records)
    file.write_text(f"[\n{lines}\n]\n", "ascii")
    return records


if __name__ == "__main__":
    sys.exit(0 if write(map(Path, sys.argv[1:])) else 2)
