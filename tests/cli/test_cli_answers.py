"""What the command prints, and what it does before JAX is imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deepinit.cli import main

ROOT = Path(__file__).parents[2]
TINY = str(ROOT / "tests" / "engine" / "tiny_experiment.py")
ANGLES = str(ROOT / "experiments" / "vanishing_angles.py")

WITHOUT_JAX = """
import sys
from deepinit.cli import main
for arguments in (["--help"], ["run", "--help"], ["run", ANGLES, "--config.help"], ["run", ANGLES, "--dry-run"],
                  ["run", ANGLES, "--dry-run", "--preset", "full", "--config.num-seeds", "100"],
                  ["run", ANGLES, "--preset", "nosuch"], ["run", ANGLES, "--config.widths", "0"]):
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


def test_help_plans_and_refusals_need_no_jax():
    program = WITHOUT_JAX.replace("ANGLES", repr(ANGLES))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    codes = [line for line in done.stdout.splitlines() if line.startswith("code")]
    assert codes == ["code 0"] * 5 + ["code 2"] * 2
    assert "JAX_COORDINATOR_ADDRESS" in done.stdout
    assert "relu-w4096" in done.stdout


def test_a_plan_writes_nothing_and_takes_overrides(capsys, tmp_path):
    out = said(capsys, 0, "run", ANGLES, "--dry-run", "--out", tmp_path / "run", "--config.num-seeds", 123)
    assert "123" in out
    assert "relu 256 x 16" in out
    assert not (tmp_path / "run").exists()


def test_directories_are_named_by_what_they_hold(capsys):
    names = [
        said(capsys, 0, "run", TINY, "--dry-run", *options).split(" -> ")[1].split()[0]
        for options in ([], ["--config.num-seeds", 400], ["--config.num-seeds", 401], ["--block-size", 7])
    ]
    assert names[0] == names[1]
    assert len(set(names)) == 3
    assert all(name.startswith("runs/tiny-quick-") for name in names)


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
    assert "blocks are whole" in said(capsys, 0, "verify", folder)
    assert "deepinit run" in (folder / "report.html").read_text()
