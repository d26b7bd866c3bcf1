import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
MEASURED = {
    "engines": "width 32: conditional / normals alone",
    "lengths": "polygon (equal) / tangents",
    "compile": "simulation, relu: depth 50 / 10",
    "condensation": "gd: deepinit",  # with PyTorch or without
    "cutoff": "ratio",
    "kernel_corrections": "ratio",
    "memory": "peak, 200000 / 20000 networks",
    "resnet_ntk": "ratio",
    "import_time": "import deepinit / import jax, flax, optax",
}


def run(script, *arguments):
    command = [sys.executable, str(FOLDER / f"{script}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ, COLUMNS="160"))


def test_every_script_is_measured_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*MEASURED, "harness"}


@pytest.mark.slow
@pytest.mark.parametrize("script", MEASURED)
def test_a_benchmark_checks_its_answers_and_records_what_it_measured(script, tmp_path):
    out = tmp_path / "out.jsonl"
    done = run(script, "--quick", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "checked: " in done.stdout
    records = {record["name"]: record for record in map(json.loads, out.read_text().splitlines())}
    record = records[MEASURED[script]]
    assert record["quick"]
    assert record["value"] > 0
    assert {"python", "versions", "git_deepinit", "command"} <= record["provenance"].keys()
    if record["goal"] is not None:
        assert record["met"] == (record["value"] <= record["goal"][1])


def test_a_wrong_answer_ends_a_benchmark_before_it_is_timed(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    harness.check("right", -0.5, 0.5)
    for error in (0.6, -0.6, float("nan")):
        with pytest.raises(SystemExit, match="wrong: the answer is off"):
            harness.check("wrong", error, 0.5)


def test_a_goal_is_met_on_its_own_side_only(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    report = harness.Report("test", tmp_path / "out.jsonl", quick=True)
    for goal in (("<=", 1.3), (">=", 1.3)):
        for value in (1.0, 2.0):
            report.add("ratio", value, "x", goal)
    report.print()
    met = [json.loads(line)["met"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert met == [True, False, False, True]
    assert capsys.readouterr().out.count("MISSED") == 2


def test_functions_are_timed_in_turns_after_one_call_each(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import harness

    calls = []
    seconds = harness.least_seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert all(value >= 0 for value in seconds.values())
