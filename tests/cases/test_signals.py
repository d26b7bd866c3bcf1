"""A signal at any moment, once or twice, ends the command with 75."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepinit import store

TINY = str(Path(__file__).parents[1] / "engine" / "tiny_experiment.py")
SIGTERM = 1 << (signal.SIGTERM - 1)


def listening(process):
    """Waits until the process handles or ignores SIGTERM: from then on it is ours."""
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        masks = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Sig")}
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
def test_a05_a_signal_during_start_up_ends_with_75(tmp_path, twice):
    arguments = ["run", TINY, "--out", tmp_path / "run"]
    assert list(terminated(arguments, (0.0, 0.5, 1.5), twice)) == [75] * 3


STOPPING = """
import os, signal, sys
from deepinit import starting
starting.begin()
if sys.argv[1] == "end":
    import atexit
    @atexit.register
    def late():
        for number in range(3):
            os.kill(os.getpid(), signal.SIGTERM)
    starting.end(75)
os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit(1)
"""


@pytest.mark.parametrize("moment", ["begin", "end"])
def test_a05_handlers_hold_from_the_first_moment_to_the_last(moment):
    done = subprocess.run([sys.executable, "-c", STOPPING, moment], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (75, "")


@pytest.mark.slow
def test_a05_a_storm_of_signals_over_run_and_merge(tmp_path):
    folder = tmp_path / "run"
    options = [TINY, "--preset", "long", "--block-size", "20", "--out", folder]
    moments = [0.3 * number for number in range(25)]
    for twice in (False, True):
        codes = list(terminated(["run", *options, "--shard", "0/2"], moments, twice))
        assert set(codes) <= {75, 0}
    for shard in ("0/2", "1/2"):
        command = [sys.executable, "-m", "deepinit", "run", *map(str, options), "--shard", shard]
        subprocess.run(command, check=True, capture_output=True)
    codes = list(terminated(["merge", *options], moments, twice=True))
    assert codes[0] == 75
    assert set(codes) <= {75, 0}
    assert store.verify(folder).ok
