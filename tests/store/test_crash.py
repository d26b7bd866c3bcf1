"""Killed at every system call and at random times; a system call that fails."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
from crash_run import IDENTITY, counting, num_calls, products, work
from paths import SUPPORT

from deepinit.core.errors import ResourceError
from deepinit.store import open_run, verify

KILLER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import crash_run as crash
folder, total = sys.argv[2], int(sys.argv[3])
for kill_at in range(1, total + 1):
    child = os.fork()
    if not child:
        def kill(number, name, call, arguments):
            if number == kill_at:
                if name == "write":
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        for name, call in crash.counting(kill).items():
            setattr(os, name, call)
        crash.work(f"{folder}/{kill_at}")
        os._exit(0)
    print(os.WTERMSIG(os.waitpid(child, 0)[1]))
"""


@pytest.mark.exhaustive
def test_killed_at_any_system_call_nothing_is_damaged_and_the_next_start_ends_the_same(
    tmp_path, monkeypatch
):
    calls = num_calls(tmp_path / "whole", monkeypatch)
    assert {"open", "write", "fsync", "replace", "link", "mkdir"} <= set(calls)
    expected = products(tmp_path / "whole")
    command = [sys.executable, "-c", KILLER, str(SUPPORT), str(tmp_path), str(len(calls))]
    signals = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=100
    ).stdout.split()
    assert signals == ["9"] * len(calls)
    leftovers = blocks = 0
    for kill_at in range(1, len(calls) + 1):
        folder = tmp_path / str(kill_at)
        leftovers += len(list(folder.rglob(".deepinit-tmp*")))
        if (folder / "spec.json").exists():
            report = verify(folder)
            assert (dict(report.damaged), dict(report.damaged_files), report.missing) == (
                {},
                {},
                (),
            )
            blocks += len(report.intact)
        work(folder)
        assert products(folder) == expected, f"killed at call {kill_at}, {calls[kill_at - 1]}"
        assert verify(folder).ok
    assert leftovers > 10  # the kills did hit writers at work
    assert blocks > 10


RANDOM_KILLER = """
import os, random, signal, sys, time
sys.path.insert(0, sys.argv[1])
import crash_run as crash
from deepinit.store import verify
chance, folder = random.Random(0), sys.argv[2]
write_block = crash.write_block
for _ in range(int(sys.argv[3])):
    hears, tells = os.pipe()
    untouched, delay = chance.randrange(3), chance.uniform(0.0, 0.004)
    child = os.fork()
    if not child:
        written = 0

        def counted(*arguments):
            global written
            if written == untouched:
                os.write(tells, b"now")
            if written == untouched + 3:  # the parent may be late: never reach the end
                signal.pause()
            written += 1
            return write_block(*arguments)

        crash.write_block = counted
        crash.work(folder, num_blocks=int(sys.argv[4]), size=2000)
        os._exit(0)
    os.read(hears, 3)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    os.close(hears), os.close(tells)
    report = verify(folder)
    print(len(report.intact), len(report.damaged), len(report.damaged_files), len(report.missing))
"""


@pytest.mark.slow
def test_killed_at_fifty_random_times_the_run_ends_the_same(tmp_path):
    folder, num_kills, num_blocks = tmp_path / "killed", 50, 50 * 5 + 5
    with open_run(folder, IDENTITY):
        pass
    command = [
        sys.executable,
        "-c",
        RANDOM_KILLER,
        str(SUPPORT),
        str(folder),
        str(num_kills),
        str(num_blocks),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    good, *bad = np.array([line.split() for line in done.stdout.splitlines()], int).T
    assert len(good) == num_kills
    assert np.all(np.diff(good) >= 0)
    assert (
        num_kills / 2 < good[-1] < num_blocks
    )  # blocks were written between the kills, and the run was never whole
    assert not np.any(bad)
    for each in (folder, tmp_path / "whole"):
        work(each, num_blocks=num_blocks, size=2000)
    assert products(folder) == products(tmp_path / "whole")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
@pytest.mark.slow
def test_a_system_call_that_fails_leaves_no_trace_and_the_next_start_ends_the_same(
    tmp_path, monkeypatch, number
):
    calls = num_calls(tmp_path / "whole", monkeypatch)
    expected = products(tmp_path / "whole")
    holders_note = calls.index("write") + 1  # in the lock file: the lock holds without it
    for fail_at, failing in enumerate(calls, start=1):
        if failing in ("close", "unlink"):
            continue
        folder = tmp_path / str(fail_at)

        def fail(count, name, call, arguments, fail_at=fail_at):
            if count == fail_at:
                if name == "write":
                    call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            for name, call in counting(fail).items():
                patch.setattr(os, name, call)
            if fail_at == holders_note:
                work(folder)
            else:
                with pytest.raises(ResourceError, match="blocks are kept") as error:
                    work(folder)
                assert os.strerror(number) in str(error.value)
                assert error.value.exit_code == 5
        assert not list(folder.rglob(".deepinit-tmp*"))
        if (folder / "spec.json").exists():
            report = verify(folder)
            assert (dict(report.damaged), dict(report.damaged_files)) == ({}, {})
            whole = (
                (folder / "journal.jsonl").read_bytes()
                if (folder / "journal.jsonl").exists()
                else b"\n"
            )
            assert whole.endswith(b"\n") or not whole
        work(folder)
        assert products(folder) == expected


@pytest.mark.slow
def test_a_close_or_an_unlink_that_fails_loses_nothing(tmp_path, monkeypatch):
    calls = num_calls(tmp_path / "whole", monkeypatch)
    expected = products(tmp_path / "whole")
    refused = 0
    for fail_at, failing in enumerate(calls, start=1):
        if failing not in ("close", "unlink"):
            continue
        folder = tmp_path / str(fail_at)

        def fail(count, name, call, arguments, fail_at=fail_at):
            if count == fail_at:
                call(*arguments)  # the system closes a file even where it reports an error
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patch:
            for name, call in counting(fail).items():
                patch.setattr(os, name, call)
            try:
                work(folder)
            except ResourceError:
                refused += 1
        if (folder / "spec.json").exists():
            report = verify(folder)
            assert (dict(report.damaged), dict(report.damaged_files)) == ({}, {})
        work(folder)
        assert products(folder) == expected
        assert verify(folder).ok
    assert refused > 5
