"""What the command prints, and what it does before JAX is imported."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT, TINY_EXPERIMENT

from deepinit import store
from deepinit.cli import main
from deepinit.runs.load import load_experiment, shipped_names

TINY = str(TINY_EXPERIMENT)
ANGLES = "vanishing_angles"

WITHOUT_JAX = """
import sys
from deepinit.cli import main
for arguments in (["--help"], ["--version"], ["run", "--help"], ["run", ANGLES, "--config.help"],
                  ["run", ANGLES, "--dry-run"],
                  ["run", ANGLES, "--dry-run", "--preset", "full", "--config.num-seeds", "100"],
                  ["run", ANGLES, "--preset", "nosuch"], ["run", ANGLES, "--config.widths", "0"],
                  ["run", TRAINED, "--dry-run"], ["list"]):
    try:
        main(arguments)
    except SystemExit as end:
        print("code", end.code)
    assert "jax" not in sys.modules, arguments
"""


def said(capsys, code, *arguments):
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code == code
    return capsys.readouterr().out


@pytest.mark.slow
def test_help_plans_and_refusals_need_no_jax():
    trained = "trainability"
    program = WITHOUT_JAX.replace("ANGLES", repr(ANGLES)).replace("TRAINED", repr(trained))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 0"] * 6 + ["code 2"] * 2 + ["code 0"] * 2
    assert "JAX_COORDINATOR_ADDRESS" in done.stdout
    assert "relu-w4096" in done.stdout
    assert "--timed" in done.stdout
    assert "--timed adds blocks, memory and time" in done.stdout


def test_the_list_has_every_experiment_with_its_question_and_presets(capsys):
    lines = " ".join(said(capsys, 0, "list").replace("│", " ").split())
    for name in shipped_names():
        experiment = load_experiment(name)
        assert name in lines
        assert experiment.question.split()[0] in lines
        assert all(text in lines for text in experiment.presets)
    assert len(shipped_names()) >= 8


def test_a_plan_writes_nothing_and_takes_overrides(capsys, tmp_path):
    out = said(
        capsys, 0, "run", ANGLES, "--dry-run", "--out", tmp_path / "run", "--config.num-seeds", 123
    )
    assert "123" in out
    assert "relu 256 x 16" in out
    assert not (tmp_path / "run").exists()


def test_directories_are_named_by_what_they_hold(capsys):
    names = [
        said(capsys, 0, "run", TINY, "--dry-run", *options).split(" -> ")[1].split()[0]
        for options in (
            [],
            ["--config.num-seeds", 400],
            ["--config.num-seeds", 401],
            ["--block-size", 7],
        )
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert all(name.startswith("runs/tiny-quick-") for name in names)


@pytest.mark.slow
def test_a_run_as_json_and_what_show_and_verify_say(capsys, tmp_path):
    folder = tmp_path / "a run"
    run = ["run", TINY, "--out", folder, "--block-size", 100, "--config.num-seeds", 300]
    record = json.loads(said(capsys, 0, *run, "--json"))
    assert record["directory"] == str(folder)
    assert record["failures"] == []
    assert "second_order" in " ".join(record["verdicts"])
    row = dict(zip(record["columns"], record["rows"][0], strict=True))
    assert (row["case"], row["layer"], row["networks"]) == ("tiny", "2", "300")
    assert Path(record["report"]).read_text().startswith("<!")
    assert json.loads(said(capsys, 0, "show", folder, "--json")) == record
    assert "second_order" in said(capsys, 0, "show", folder)
    assert "blocks intact" in said(capsys, 0, "verify", folder)
    assert "deepinit run" in (folder / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_timed_plan_predicts_blocks_memory_disk_and_time_and_writes_nothing(capsys, tmp_path):
    folder, options = tmp_path / "run", ["--block-size", 40]
    out = said(capsys, 0, "run", TINY, "--dry-run", "--timed", "--out", folder, *options)
    assert not folder.exists()
    row = next(line for line in out.splitlines() if line.startswith("│ tiny") and "KiB" in line)
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[:4] == ["tiny", "10", "40", "5"]
    assert "10 blocks, " in out
    assert "at the current load, excluding theory, figures and report" in out
    said(capsys, 0, "run", TINY, "--out", folder, *options)
    written = (
        sum(file.stat().st_size for file in (folder / "blocks" / "tiny").glob("0*.npz")) / 1024
    )
    predicted = float(re.search(r"of memory, ([\d.]+) KiB on disk", out)[1])
    assert predicted == pytest.approx(written, rel=0.02)
    assert "shard 1/4: 3 blocks, " in said(
        capsys, 0, "run", TINY, "--dry-run", "--timed", *options, "--shard", "1/4"
    )


@pytest.mark.slow
def test_a_run_that_is_not_finished_shows_its_progress_and_missing_blocks(capsys, tmp_path):
    folder, options = tmp_path / "a run", ["--block-size", 40]
    said(capsys, 0, "run", TINY, "--out", folder, "--shard", "1/4", *options)
    record = json.loads(said(capsys, 0, "show", folder, "--json"))
    assert (record["finished"], record["writers"]) == (False, "")
    assert 0 <= record["seconds_since_last_block"] < 100
    case = record["cases"][0]
    assert (case["blocks"], case["of"], case["networks"], case["wanted"]) == (3, 10, 120, 400)
    out = said(capsys, 0, "show", folder)
    assert "3 of 10" in out
    assert f"{case['mean']:.1f}" in out
    assert "Last block: " in out
    assert "No writer." in out
    out = said(capsys, 0, "verify", folder)
    assert (
        "missing: tiny: 7 of 10 blocks: tiny/000000000-000000039, tiny/000000040-000000079" in out
    )
    assert "jax " in out
    assert "shard 1/4" in out
    with store.open_run(folder, store.load_run(folder).identity, shard=(0, 4)):
        assert f"Writing: process {os.getpid()} on host" in said(capsys, 0, "show", folder)
    # The statistics are those of the same networks in the whole run.
    said(capsys, 0, "merge", TINY, "--out", folder, "--repair", *options)
    samples = store.read_result(folder)["samples"].values[0, :, 0, 0]
    blocks = [samples[first : first + 40] for first in (120, 160, 200)]
    assert case["mean"] == pytest.approx(np.nanmean(np.concatenate(blocks)), rel=1e-6)
    assert case["excluded"] == np.isnan(np.concatenate(blocks)).sum()
    sd = np.nanstd(np.concatenate(blocks), ddof=1)
    assert case["standard_error"] == pytest.approx(sd / np.sqrt(120 - case["excluded"]), rel=1e-6)
    assert "missing:" not in said(capsys, 0, "verify", folder)


def test_a_run_that_has_hardly_begun_is_shown(capsys, tmp_path):
    with store.open_run(
        tmp_path,
        {"experiment": "tiny", "cases": [{"name": "a", "quantity": "ntk", "num_seeds": 7}]},
    ):
        pass
    out = said(capsys, 0, "show", tmp_path)
    assert "not begun" in out
    assert "No finished block." in out
    assert "missing: a: not begun" in said(capsys, 0, "verify", tmp_path)


def test_provenance_that_was_changed_is_damage_and_is_made_again(capsys, tmp_path):
    with store.open_run(tmp_path, {"experiment": "tiny"}) as run:
        store.write_provenance(run, store.collect({"device_kind": "cpu"}))
    file = tmp_path / "provenance.json"
    whole = file.read_bytes()
    for damaged in (whole.replace(b'"cpu"', b'"gpu"'), whole[:50], b"{}"):
        file.write_bytes(damaged)
        assert "damaged: provenance.json" in said(capsys, 4, "verify", tmp_path)
        said(capsys, 0, "verify", tmp_path, "--repair")
        assert file.read_bytes() == whole
        said(capsys, 0, "verify", tmp_path)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_shells_complete_commands_and_options(capsys, shell):
    with pytest.raises(SystemExit) as ended:
        main(["--tyro-print-completion", shell])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert {"diagnose", "verify", "--preset"} <= set(re.findall(r"[-\w]+", printed))
