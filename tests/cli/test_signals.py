"""A signal at any moment, once or twice: exit code 75, and the next start ends the same."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import TINY_EXPERIMENT

from deepinit import store

TINY = str(TINY_EXPERIMENT)
SIGTERM = 1 << (signal.SIGTERM - 1)


def listening(process):
    """Waits until the process handles or ignores SIGTERM: from then on it is ours."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        masks = {
            line.split(":")[0]: line.split()[1]
            for line in status.splitlines()
            if line.startswith("Sig")
        }
        if int(masks["SigCgt"], 16) & SIGTERM:
            return
        time.sleep(0.001)


def terminated(arguments, delays, twice=False):
    """Exit codes of the command for a SIGTERM so many seconds after it listens."""
    for delay in delays:
        process = subprocess.Popen(
            [sys.executable, "-m", "deepinit", *map(str, arguments)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        listening(process)
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        if twice:
            time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=120)[1]
        assert "Traceback" not in errors
        yield process.returncode


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="reads /proc")
@pytest.mark.parametrize("twice", [False, True])
@pytest.mark.slow
def test_a05_a_signal_during_start_up_ends_with_75(tmp_path, twice):
    arguments = ["run", TINY, "--out", tmp_path / "run"]
    assert list(terminated(arguments, (0.0, 0.5, 1.5), twice)) == [75] * 3


STOPPING = """
import os, signal, sys
from deepinit import startup
startup.begin()
if sys.argv[1] == "end":
    import atexit
    @atexit.register
    def late():
        for number in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
    startup.end(75)
os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit(1)
"""


@pytest.mark.parametrize("moment", ["begin", "end"])
def test_a05_handlers_hold_from_the_first_moment_to_the_last(moment):
    done = subprocess.run([sys.executable, "-c", STOPPING, moment], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (75, "")


# A command in a child per moment, forked before JAX has threads: the child sends itself signals
# before the system call of that number that changes a file. Prints the exit code of each, and of
# the next start; ends after the moment that the command did not reach.
STORM = """
import itertools, os, shutil, signal, sys
from deepinit import startup
from deepinit.cli import main
from deepinit.devices import use_all_cores
use_all_cores()
import h5netcdf, jax, matplotlib.figure, scipy.special, xarray
import deepinit.comparison, deepinit.ensembles.blocks, deepinit.plots
import deepinit.runs.execute, deepinit.runs.outcome, deepinit.runs.report

template, folder, step, *arguments = sys.argv[1:]
KINDS = [("TERM",), ("INT", "INT"), ("TERM", "TERM"), ("INT",), ("INT", "TERM"), ("TERM", "INT")]
CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "ftruncate")

def command(moment, kind):
    number = 0
    def counted(name, call):
        def wrapped(*given, **options):
            nonlocal number
            if name != "open" or str(given[0]).startswith(folder):
                number += 1
                if number == moment:
                    for signal_name in kind:
                        os.kill(os.getpid(), getattr(signal, f"SIG{signal_name}"))
            return call(*given, **options)
        return wrapped
    for name in CALLS:
        setattr(os, name, counted(name, getattr(os, name)))
    startup.begin()
    code = 0
    try:
        main(arguments)
    except SystemExit as leaving:
        code = leaving.code
    sys.stdout.flush()
    os._exit(code if number >= moment else 99)

def exit_code(moment, kind):
    child = os.fork()
    if not child:
        command(moment, kind)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for number, moment in enumerate(itertools.count(1, int(step))):
    shutil.copytree(template, folder)
    codes = [exit_code(moment, KINDS[number % len(KINDS)])]
    shutil.copytree(folder, f"{folder}-{moment}-stopped")
    if number % 4 == 0 and codes != [99]:
        codes.append(exit_code(0, ()))
        shutil.copytree(folder, f"{folder}-{moment}-ended")
    shutil.rmtree(folder)
    print("codes", *codes, flush=True)
    if codes == [99]:
        break
"""


def storm(template, folder, step, arguments):
    """Exit codes of a command with signals at every step-th system call, and of the next starts."""
    line = [sys.executable, "-c", STORM, *map(str, (template, folder, step, *arguments))]
    done = subprocess.run(line, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    codes = [
        list(map(int, text.split()[1:]))
        for text in done.stdout.splitlines()
        if text.startswith("codes")
    ]
    assert codes.pop() == [99]
    return [code for code, *_ in codes], [code for _, *after in codes for code in after]


def command(*arguments):
    line = [sys.executable, "-m", "deepinit", *map(str, arguments)]
    subprocess.run(line, check=True, capture_output=True)


def products(folder):
    """Everything but the history."""
    history = ("journal.jsonl", "provenance.json", "manifest.json", "report.html", "outputs.zip")
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in history and not file.name.startswith(".")
    }


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A run of four blocks whose two shards have ended, and the same run merged."""
    folder = tmp_path_factory.mktemp("storm") / "shards"
    for shard in ("0/2", "1/2"):
        command("run", TINY, "--block-size", "100", "--out", folder, "--shard", shard)
    whole = shutil.copytree(folder, folder.parent / "whole")
    command("merge", TINY, "--block-size", "100", "--out", whole)
    return folder, products(whole)


@pytest.mark.exhaustive_cases("merge-20-4")
@pytest.mark.parametrize(
    ("name", "step", "least"),
    [
        pytest.param("merge", 20, 4, marks=pytest.mark.slow),
        pytest.param("merge", 5, 8, marks=pytest.mark.exhaustive),
        pytest.param("run", 12, 8, marks=pytest.mark.exhaustive),
    ],
)
def test_a05_a_storm_of_signals_over_run_and_merge(shards, tmp_path, name, step, least):
    template, whole = shards
    if name == "run":
        template = shutil.copytree(template, tmp_path / "template")
        (template / "blocks/tiny/000000300-000000399.npz").unlink()
    arguments = [name, TINY, "--block-size", "100", "--out", tmp_path / "run"]
    stopped, ended = storm(template, tmp_path / "run", step, arguments)
    assert len(stopped) > least
    assert set(stopped) == {75}
    assert set(ended) == {0}
    for folder in tmp_path.glob("run-*-stopped"):
        report = store.verify(folder)
        assert not report.damaged
        assert not report.damaged_files
    for folder in tmp_path.glob("run-*-ended"):
        assert store.verify(folder).ok
        assert products(folder) == whole
