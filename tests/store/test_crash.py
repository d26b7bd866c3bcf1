"""Killed at every system call, at random times, and with a disk that fails at every system call."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepinit.core.errors import ResourceError
from deepinit.store import (
    finished_blocks,
    has_block,
    load_run,
    open_run,
    read_block,
    read_journal,
    verify,
    write_block,
    write_outputs,
)

IDENTITY = {"experiment": "crash", "seeds": 3}
CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "close")


def arrays(number, size=40):
    return {
        "x": np.random.default_rng(number).normal(size=size),
        "seed": np.arange(number, number + 3),
    }


def work(folder, num_blocks=2, size=40):
    """A run: the missing blocks, then the export."""
    with open_run(folder, IDENTITY) as run:
        names = [f"case/{number:03d}" for number in range(num_blocks)]
        for number, name in enumerate(names):
            if not has_block(run, name):
                write_block(run, name, arrays(number, size))
        total = sum(read_block(run, name)["x"].sum() for name in names)
        write_outputs(run, {"report.html": repr(float(total)).encode()})


def products(folder):
    """Everything but the journal, which has the history, and the locks."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(Path(folder).rglob("*"))
        if file.is_file() and file.name not in ("journal.jsonl", ".lock", "manifest.json")
    }


def counting(action):
    """System calls that change files, replaced by `action(number, name, call, arguments)`."""
    number = 0

    def replacement(name, call):
        def wrapped(*arguments, **keywords):
            nonlocal number
            if (
                name == "open"
                and arguments[1] & os.O_NOFOLLOW
                and not arguments[1] & (os.O_WRONLY | os.O_RDWR)
            ):
                return call(*arguments, **keywords)  # a file that is read
            number += 1
            action(number, name, call, arguments)
            return call(*arguments, **keywords)

        return wrapped

    return {name: replacement(name, getattr(os, name)) for name in CALLS}


def num_calls(folder, monkeypatch):
    seen = []
    with monkeypatch.context() as patch:
        for name, call in counting(lambda number, name, call, arguments: seen.append(name)).items():
            patch.setattr(os, name, call)
        work(folder)
    return seen


KILLER = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_crash as crash
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
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", KILLER, here, str(tmp_path), str(len(calls))]
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
import test_crash as crash
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
    report = crash.verify(folder)
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
        str(Path(__file__).parent),
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


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 kB."""
    mount = tmp_path / "small disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"mounting a file system is not permitted here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_is_a_clear_error_and_room_lets_the_run_go_on(small_disk, tmp_path):
    (small_disk / "filler").write_bytes(bytes(100_000))
    with pytest.raises(
        ResourceError, match=r"No space left on device.*case/\d+.npz \([\d,]+ bytes to write\)"
    ) as error:
        work(small_disk / "run", num_blocks=16, size=1000)
    assert "bytes are free" in str(error.value)
    assert "blocks are kept" in str(error.value)
    run = load_run(small_disk / "run")
    kept = finished_blocks(run)
    assert 5 < len(kept) < 16
    assert verify(small_disk / "run").ok
    assert not list(small_disk.rglob(".deepinit-tmp*"))
    assert all(event["event"] in ("start", "block") for event in read_journal(small_disk / "run"))
    (small_disk / "filler").unlink()
    work(small_disk / "run", num_blocks=16, size=1000)
    work(tmp_path / "whole", num_blocks=16, size=1000)
    assert products(small_disk / "run") == products(tmp_path / "whole")


def test_a_full_disk_at_export_leaves_no_result(small_disk):
    import xarray as xr

    from deepinit.store import has_result, result_bytes

    with open_run(small_disk / "run", IDENTITY) as run:
        with pytest.raises(ResourceError, match=r"result\.nc"):
            write_outputs(
                run,
                {
                    "result.nc": result_bytes(
                        xr.Dataset({"x": ("seed", np.random.default_rng(0).normal(size=50_000))})
                    )
                },
            )
        assert not has_result(run)
        assert not list(small_disk.rglob(".deepinit-tmp*"))
        write_outputs(run, {"result.nc": result_bytes(xr.Dataset({"x": ("seed", np.ones(10))}))})


def test_a_read_only_disk_can_be_read_and_refuses_writers(small_disk):
    work(small_disk / "run")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert verify(small_disk / "run").ok
    assert read_block(load_run(small_disk / "run"), "case/000")["seed"][0] == 0
    with pytest.raises(ResourceError, match="Read-only file system"):
        work(small_disk / "run")
    with pytest.raises(ResourceError, match="Read-only file system"):
        work(small_disk / "new")


LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import test_crash as crash
from deepinit.core.errors import DeepinitError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    crash.work(sys.argv[2], num_blocks=2, size=5_000)
except DeepinitError as error:
    print(error)
    raise SystemExit(error.exit_code)
"""


def test_a_limit_on_the_size_of_files_is_a_clear_error(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(Path(__file__).parent), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "File too large" in done.stdout
    assert not list(tmp_path.rglob(".deepinit-tmp*"))
    assert finished_blocks(load_run(tmp_path / "run")) == []
