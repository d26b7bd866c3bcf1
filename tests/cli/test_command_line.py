"""The command on bad input and bad streams: one sentence and the documented exit code."""

import os
import subprocess
import sys

import numpy as np
import pytest
from paths import TINY_EXPERIMENT

from deepinit import store
from deepinit.cli import main
from deepinit.core.terminal import printable
from deepinit.store.journal import checked_line

TINY = str(TINY_EXPERIMENT)


@pytest.fixture
def ended(capsys):
    """Runs the command in this process: exit code, output, message."""

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return end.value.code, out, err

    return run


@pytest.mark.slow_cases("command1")
@pytest.mark.parametrize("command", [["run"], ["run", "--repair"], ["merge"]])
@pytest.mark.slow_cases("command2")
@pytest.mark.exhaustive_cases("command0")
def test_a06_a_deleted_report_is_written_again(ended, copied, command):
    (copied / "report.html").unlink()
    assert ended("verify", copied)[0] == 4
    code, out, _ = ended(command[0], TINY, "--out", copied, "--block-size", "100", *command[1:])
    assert code == 0
    assert f"report: {copied / 'report.html'}" in out
    assert (copied / "report.html").read_text().startswith("<!")
    assert ended("verify", copied)[0] == 0


def test_a06_a_changed_report_is_refused_and_repaired(ended, copied):
    (copied / "report.html").write_text("forged")
    code, _, err = ended("run", TINY, "--out", copied, "--block-size", "100")
    assert code == 4
    assert "report.html" in err
    code, out, _ = ended("verify", copied, "--repair")
    assert code == 0
    assert "report.html" in out
    assert "written again" in out
    assert (copied / "report.html").read_text().startswith("<!")


def test_r14_a_directory_name_of_300_letters(ended):
    for options in ([], ["--repair"]):
        code, _, err = ended("run", TINY, "--out", "x" * 300, *options)
        assert code == 5
        assert "File name too long" in err
    for command in ("show", "verify"):
        assert ended(command, "x" * 300)[0] == 5


@pytest.mark.parametrize("shard", ["²/3", "1/³", "٣/4", "1" * 5000 + "/2", "0/" + "9" * 5000])
def test_a08_a_shard_of_other_digits(ended, tmp_path, shard):
    code, _, err = ended("run", TINY, "--out", tmp_path / "run", "--shard", shard)
    assert code == 2
    assert "0 <= i < n" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "SyntaxError"),
        ("x = 1\nraise RuntimeError('no luck')\n", "RuntimeError: no luck"),
        ("x = 1\nraise RuntimeError('no luck')\n", "mine.py, line 2)"),
        ("import no_such_module_at_all\n", "no_such_module_at_all"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("\0", "cannot be imported"),
    ],
)
def test_a08_an_experiment_that_does_not_import(ended, tmp_path, text, said):
    file = tmp_path / "mine.py"
    file.write_text(text)
    code, _, err = ended("run", file)
    assert code == 2
    assert said in err
    assert "mine.py" in err


def test_a08_an_experiment_name_of_300_letters(ended):
    assert ended("run", "x" * 300)[0] == 2


def test_a08_case_names_of_300_letters():
    import deepinit as di
    from deepinit.core.errors import SpecError
    from deepinit.runs.experiment import Case

    with pytest.raises(SpecError, match="1 to 100"):
        Case("x" * 300, di.MLP((3,)), di.quantities.log_norm, di.inputs.ones(2), 5)


def test_a08_escape_sequences_of_a_journal_do_not_reach_the_terminal(ended, tmp_path):
    folder = tmp_path / "run"
    with store.open_run(folder, {"experiment": "x"}) as run:
        store.write_provenance(
            run, {"host": "\x1b]0;owned\x07\n999 blocks are whole", "command": ["\x9b31m[bold]"]}
        )
    code, out, _ = ended("verify", folder)
    assert code == 0
    assert "\\x1b]0;owned\\x07" in out
    assert not {"\x1b", "\x07", "\x9b"} & set(out)
    assert not [
        line for line in out.splitlines() if line.startswith("999")
    ]  # stored newlines are no lines of ours
    assert printable("a\tb\nc") == "a\tb\nc"


HOSTILE = [
    {"cases": 3},
    {"cases": [3]},
    {"cases": [{"name": "../x", "quantity": "ntk", "num_seeds": 3}]},
    {"cases": [{"name": "a", "quantity": [], "num_seeds": 3}]},
    {"cases": [{"name": "a", "quantity": "ntk", "num_seeds": 10**400}]},
    {"cases": [{"name": "a", "quantity": "ntk", "num_seeds": True}]},
    {"cases": [{"name": "a", "quantity": "ntk", "num_seeds": -1}]},
    {"cases": [{"name": "a"}]},
]


@pytest.mark.parametrize("identity", HOSTILE)
def test_a08_a_hostile_spec_with_a_valid_checksum_is_damage(ended, tmp_path, identity):
    with store.open_run(tmp_path, identity):
        pass
    for command in ("show", "verify"):
        assert ended(command, tmp_path)[0] == 4


def mutations(arrays):
    """Arrays of other shapes, types and values, one at a time."""
    for key, array in arrays.items():
        yield key, {name: value for name, value in arrays.items() if name != key}
        for other in (
            np.zeros(0),
            np.zeros((2, 2, 2, 2)),
            np.array("text"),
            array.astype(np.float64) * np.nan if array.dtype.kind in "iu" else array.astype("S8"),
            np.full(array.shape, -1, np.int64),
            np.full(array.shape, 2**62, np.int64),
        ):
            yield key, {**arrays, key: other}


@pytest.mark.parametrize("block", ["plan", "000000000-000000099"])
@pytest.mark.slow_cases("000000000-000000099")
@pytest.mark.exhaustive_cases("000000000-000000099")
def test_a08_hostile_blocks_with_valid_checksums_are_never_a_traceback(ended, copied, block):
    for name in ("result.nc", "manifest.json"):
        (copied / name).unlink()
    run = store.load_run(copied)
    arrays = store.read_block(run, f"tiny/{block}")
    for key, mutated in mutations(arrays):
        with store.open_run(copied, run.identity) as writer:
            store.write_block(writer, f"tiny/{block}", mutated)
        code = ended("show", copied)[0]
        assert code in (0, 4), key
        assert key != "mean" or code == 4


@pytest.mark.parametrize("drop", ["verdicts", "failures", "mean", "z"])
@pytest.mark.slow
def test_a08_a_hostile_result_with_a_valid_checksum_is_damage(ended, copied, drop):
    data = store.read_result(copied)
    if drop in data.attrs:
        del data.attrs[drop]
    else:
        data = data.drop_vars(drop)
    with store.open_run(copied, store.load_run(copied).identity) as run:
        store.write_outputs(run, {"result.nc": store.result_bytes(data)})
    assert ended("show", copied)[0] == 4


def test_a08_a_fifo_as_result_ends_at_once(ended, copied):
    (copied / "result.nc").unlink()
    os.mkfifo(copied / "result.nc")
    for command in (
        ["show", copied],
        ["verify", copied],
        ["run", TINY, "--block-size", "100", "--out", copied],
    ):
        assert ended(*command)[0] == 4


SHELL = {
    "{} verify {} | true": 0,
    "{} verify {} >&-": 0,
    "{} verify {} 2>&-": 0,
    "{} verify {} >&- 2>&- <&-": 0,
    "{} verify {} > /dev/full": 5,
    "{} verify {} > /dev/full 2> /dev/full": 5,
    "{} --help > /dev/full": 5,
    "ulimit -v 300000; {} run " + TINY + " --out {}": 5,
    "ulimit -v 1600000; {} run " + TINY + " --out {}": 5,
    "ulimit -v 1600000; {} merge " + TINY + " --out {}": 5,
}


@pytest.mark.parametrize("line", SHELL)
@pytest.mark.slow_cases(
    "{} --help > /dev/full",
    "{} verify {} 2>&-",
    "{} verify {} > /dev/full",
    "{} verify {} > /dev/full 2> /dev/full",
    "{} verify {} >&-",
    "{} verify {} >&- 2>&- <&-",
    "{} verify {} | true",
)
def test_a08_closed_and_full_streams_and_little_memory(copied, line):
    command = line.replace("{}", f"{sys.executable} -m deepinit", 1).replace("{}", str(copied))
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == SHELL[line], done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.slow
def test_r13_a_platform_without_a_device(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "deepinit", "run", TINY, "--out", str(tmp_path / "run")],
        env={**os.environ, "JAX_PLATFORMS": "cuda"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 5, done.stderr
    assert "JAX_PLATFORMS='cuda'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", ["", "relative"])
def test_a09_an_empty_cache_home_counts_as_unset(given, tmp_path, monkeypatch):
    import jax

    from deepinit.cli.commands import _compilation_cache

    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setenv("HOME", str(tmp_path))
    before = (
        jax.config.jax_compilation_cache_dir,
        jax.config.jax_persistent_cache_min_compile_time_secs,
    )
    try:
        with _compilation_cache():
            assert jax.config.jax_compilation_cache_dir == str(tmp_path / ".cache/deepinit/jax")
    finally:
        jax.config.update("jax_compilation_cache_dir", before[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])


def test_a08_a_line_of_the_journal_that_json_cannot_nest(ended, tmp_path):
    with store.open_run(tmp_path, {"experiment": "x"}):
        pass
    line = checked_line({"event": "note"})
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b"[" * 100_000 + line + b"\n")
    assert ended("verify", tmp_path)[0] == 4
