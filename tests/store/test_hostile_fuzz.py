"""Hostile files with valid checksums, at random: damage or conflict, never a traceback."""

import random
import re
import signal

import pytest
from hostile_runs import KINDS
from paths import TINY_EXPERIMENT

from deepinit.cli import main

TINY = TINY_EXPERIMENT
COMMANDS = (
    ("verify",),
    ("show",),
    ("show", "--json"),
    ("run",),
    ("merge",),
    ("verify", "--repair"),
    ("run", "--repair"),
)


@pytest.fixture
def experiment(tmp_path):
    """The tiny experiment without figures."""
    file = tmp_path / "mine.py"
    file.write_text(
        TINY.read_text().replace(
            "    return [figure_item(", "    return []\n    return [figure_item("
        )
    )
    return file


def late(number, frame):
    raise RuntimeError("this command hangs")


def ended(capsys, command, folder, experiment):
    """Exit code of a command, after checking what it printed."""
    given = (
        [str(folder)]
        if command[0] in ("show", "verify")
        else [str(experiment), "--out", str(folder), "--block-size", "100"]
    )
    signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    try:
        with pytest.raises(SystemExit) as end:
            main([command[0], *given, *command[1:]])
    finally:
        signal.alarm(0)
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", out + err)
    return end.value.code


@pytest.mark.exhaustive_cases("hostile_result-6")
@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(6), marks=pytest.mark.slow, id="6"),
        pytest.param(range(12), marks=pytest.mark.exhaustive, id="12"),
    ],
)
@pytest.mark.parametrize("hostile", KINDS)
def test_a08_hostile_files_of_every_kind(hostile, seeds, finished, tmp_path, experiment, capsys):
    import shutil

    codes = set()
    for seed in seeds:
        folder = shutil.copytree(finished, tmp_path / "run")
        hostile(folder, random.Random(seed))
        outside = sorted(tmp_path.parent.rglob("x"))
        for command in COMMANDS[:3] if seed % 6 else COMMANDS:
            code = ended(capsys, command, folder, experiment)
            assert code in (0, 3, 4), (seed, command)
            codes.add(code)
        assert sorted(tmp_path.parent.rglob("x")) == outside
        shutil.rmtree(folder)
    assert 4 in codes
