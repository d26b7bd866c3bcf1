import json
import os
import subprocess
import sys

import pytest
from paths import ROOT

FOLDER = ROOT / "benchmarks"
MEASURED = {
    "engines": "width 32: conditional / normals alone",
    "lengths": "polygon (equal) / tangents",
    "compile": "simulation, relu: depth 50 / 10",
    "again": "second call / its blocks",
    "condensation": "gd: deepinit",  # with PyTorch or without
    "cutoff": "ratio",
    "kernel_corrections": "ratio",
    "memory": "peak, 200000 / 20000 networks",
    "resnet_ntk": "ratio",
    "first_result": "session to its table, filled cache",
    "diagnose": "MLP that trains, filled cache",
    "gradients": "ratio, tanh",
    "import_time": "import deepinit / import jax, flax, optax",
    "model": "formula / measured, width 48, depth 6, 3 inputs",
    "precision": "operands in TF32 (planted): error of tangent kernels",
    "routes": "depth 8: simulate / infinite",
    "scaling": "2 processes / 1",
    "workers": "longest of 64 shares / ideal, simulated",
    "shapes": "2 inputs: conditional",
    "large_ensemble": "4096 networks, width 32, depth 10: statistics included",
    "layers": "24 over 2 blocks",
    "kernel_matrices": "neural-tangents over di.kernels, time",
    "controls": "tanh, depth 6: standard errors, plain / controlled",
    "deferred_gpt": "tangent kernel, MLP of 6 layers: explicit / deferred",
}
OTHERS = {
    "__init__",
    "__main__",
    "constants",
    "costs",
    "figures",
    "gpt_model",
    "harness",
    "peers",
    "record",
    "worker",
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The folder that the runner leaves, and how it ended."""
    folder = tmp_path_factory.mktemp("benchmarks") / "out"
    return folder, run_all(folder, "--quick")


def test_every_script_is_measured_here():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*MEASURED} | OTHERS


@pytest.mark.slow
@pytest.mark.parametrize("script", MEASURED)
@pytest.mark.exhaustive
def test_a_benchmark_checks_its_answers_and_records_what_it_measured(script, everything):
    found = {
        entry["benchmark"]: entry
        for entry in json.loads((everything[0] / "record.json").read_text())["benchmarks"]
    }
    entry = found[script]
    assert entry["exit_code"] == 0, entry["message"]
    record = {one["name"]: one for one in entry["measurements"]}[MEASURED[script]]
    assert record["value"] > 0
    assert record["num_checks"] >= 1
    known = entry["provenance"].keys()
    assert {"python", "versions", "git_deepinit", "cpu", "num_cpus", "load_average"} <= known
    assert (
        not {"command", "host"} & known
    )  # records are published: without paths and the host's name
    if record["goal"] is not None:
        side, bound = record["goal"]
        assert record["met"] == (
            record["value"] <= bound if side == "<=" else record["value"] >= bound
        )


def run_all(folder, *arguments):
    command = [sys.executable, "-m", "benchmarks", "--out", str(folder), *arguments]
    environment = dict(os.environ, COLUMNS="200")
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=FOLDER.parent,
        timeout=3000,
    )


def check_record(folder, names):
    found = json.loads((folder / "record.json").read_text())
    assert [entry["benchmark"] for entry in found["benchmarks"]] == names
    for entry in found["benchmarks"]:
        assert entry["exit_code"] == 0, entry["message"]
        assert entry["checks"]
        assert MEASURED[entry["benchmark"]] in {one["name"] for one in entry["measurements"]}
        assert all(
            abs(check["error"]) <= check["tolerance"] or "rejected" in check["name"]
            for check in entry["checks"]
        )
    assert {"cpu", "num_cpus", "versions", "git_deepinit", "device"} <= found["provenance"].keys()
    assert MEASURED[names[0]] in (folder / "ratios.md").read_text()
    return found


def test_a_device_that_jax_does_not_find_is_refused(tmp_path):
    done = run_all(tmp_path / "out", "--device", "cuda")
    if done.returncode == 0:
        pytest.skip("a GPU")
    assert done.returncode == 2
    assert "write --device cpu" in done.stderr
    assert not (tmp_path / "out").exists()
    other = run_all(tmp_path / "out", "--device", "--only", "cutoff")
    assert other.returncode == 2
    assert "a plan of its own" in other.stderr


@pytest.mark.exhaustive
def test_the_device_script_records_precision_engines_and_an_ensemble(tmp_path):
    done = run_all(tmp_path / "out", "--device", "cpu", "--quick")
    assert done.returncode == 0, done.stdout + done.stderr
    found = check_record(tmp_path / "out", ["precision", "large_ensemble", "engines"])
    assert found["seconds"] < 480


def test_a_device_benchmark_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    from benchmarks.__main__ import DEVICE_SECONDS, ON_DEVICE, within

    assert within(0.2, [sys.executable, "-c", "import time; time.sleep(60)"]) == 124
    assert within(None, [sys.executable, "-c", "raise SystemExit(3)"]) == 3
    assert set(ON_DEVICE) <= set(MEASURED)
    assert DEVICE_SECONDS < 480


@pytest.mark.exhaustive
def test_the_runner_makes_a_record_and_a_table(tmp_path):
    done = run_all(tmp_path / "out", "--quick", "--only", "cutoff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[1/1] cutoff: done" in done.stdout
    check_record(tmp_path / "out", ["cutoff"])


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_runner_runs_everything(everything):
    folder, done = everything
    assert done.returncode == 0, done.stdout + done.stderr
    check_record(folder, [*runner_defaults()])
    names = {path.stem for path in (folder / "figures").glob("*.svg")}
    axes = ("width", "depth", "seeds", "inputs", "devices", "processes")
    assert names == {
        "gpt",
        "peers",
        "finite_against_infinite_width",
        "finite_against_infinite_depth",
    } | {f"scaling_{axis}" for axis in axes}


def runner_defaults():
    sys.path.insert(0, str(FOLDER.parent))
    try:
        from benchmarks.__main__ import DEFAULTS
    finally:
        sys.path.remove(str(FOLDER.parent))
    return DEFAULTS


def test_the_runner_knows_every_benchmark_and_takes_less_than_eighteen_minutes():
    defaults = runner_defaults()
    assert defaults.keys() == MEASURED.keys()
    assert sum(seconds for _, seconds in defaults.values()) < 19 * 60


PLANTED = """
import sys
sys.path.insert(0, {folder!r})
import harness
options, report = harness.begin("planted", devices="")
harness.check("first", 0.5, 1.0)
report.add("one", 2.0, "us", axis="width", at=64, line="ours")
harness.check("second", {error}, 1.0)
harness.note_torch(report, None)
report.add("two", 3.0, "x", (">=", 4.0), peer="a loop")
"""


@pytest.mark.parametrize("error", [0.0, 2.0])
def test_a_failed_check_fails_the_runner_and_keeps_what_was_measured(
    error, tmp_path, monkeypatch, capsys
):
    runner_defaults()
    from benchmarks import __main__ as runner

    (tmp_path / "planted.py").write_text(PLANTED.format(folder=str(FOLDER), error=error))
    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "DEFAULTS", {"planted": ("--repeats 1", 1)})
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(tmp_path / "out")])
    assert runner.main() == (1 if error else 0)
    shown = capsys.readouterr().out
    (entry,) = json.loads((tmp_path / "out" / "record.json").read_text())["benchmarks"]
    measured = {one["name"]: one for one in entry["measurements"]}
    assert measured["one"]["num_checks"] == 1
    assert measured["one"]["parameters"] == {"axis": "width", "at": 64, "line": "ours"}
    ratios = (tmp_path / "out" / "ratios.md").read_text()
    if error:
        assert entry["exit_code"] == 1
        assert "second: the answer is off by 2" in entry["message"]
        assert "FAILED" in ratios
        assert "two" not in measured
        assert "failed: planted" in shown
    else:
        assert measured["two"]["num_checks"] == len(entry["checks"]) == 2
        assert entry["missing"][0].startswith("PyTorch")
        assert "MISSED" in ratios
        assert (tmp_path / "out" / "figures" / "peers.svg").read_text().startswith("<?xml")


def test_results_say_machine_versions_and_commit_and_which_backend_was_not_run(
    tmp_path, monkeypatch
):
    runner_defaults()
    from benchmarks import __main__ as runner

    provenance = {
        "cpu": "a processor",
        "num_cpus": 2,
        "versions": {"jax": "1.2.3"},
        "time": "2026-01-01",
        "backend": "cpu",
    }
    provenance |= {"git_deepinit": {"commit": "abc123", "dirty": True}}
    one = {
        "name": "ours / theirs",
        "value": 0.25,
        "unit": "x",
        "goal": ["<=", 1.0],
        "met": True,
        "num_checks": 1,
    }
    entry = {
        "benchmark": "planted",
        "exit_code": 0,
        "seconds": 3.0,
        "load_average": [1.5, 2.5],
        "missing": ["PyTorch"],
    }
    entry |= {"checks": [{}], "measurements": [{**one, "parameters": {}}], "provenance": provenance}
    record = {
        "quick": False,
        "command": "python -m benchmarks",
        "seconds": 60.0,
        "provenance": provenance,
        "benchmarks": [entry],
    }
    text = runner.write_results(record, tmp_path / "results").read_text()
    for words in (
        "a processor",
        "jax 1.2.3",
        "abc123, with uncommitted changes",
        "1.5 to 2.5",
        "busy",
        "| planted | ours / theirs | 0.25 x | <= 1 | met |",
    ):
        assert words in text
    assert "Not run on a GPU yet" in text
    on_gpu = {**record, "benchmarks": [{**entry, "provenance": {**provenance, "backend": "gpu"}}]}
    text = runner.write_results(on_gpu, tmp_path / "results").read_text()
    assert "Not run" not in text
    assert text.count("| planted |") == 2  # the CPU's section is kept
