"""Stopped, killed or shared out at any moment, a run ends with the same bytes."""

import datetime
import itertools
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray
from tiny_runs import TINY, blocks, deepinit

from deepinit import store

LONG = [TINY, "--preset", "long", "--block-size", "20"]  # 200 blocks, and time to interrupt them

# A child for every start, forked after the slow imports and before JAX has a backend. The parent
# waits for the child's blocks, then sends the signal.
INTERRUPTER = """
import os, pathlib, signal, sys, time
import deepinit.cli, deepinit.runs.execute, deepinit.runs.report, xarray, h5netcdf, jax
folder, arguments = pathlib.Path(sys.argv[1]), sys.argv[2:]
blocks = lambda: len(list(folder.glob("blocks/tiny/0*.npz")))
for number, done in (
    (signal.SIGKILL, lambda: (folder / "spec.json").exists()),
    (signal.SIGKILL, lambda: blocks() >= 1),
    (signal.SIGTERM, lambda: blocks() >= 30),
    (signal.SIGKILL, lambda: blocks() >= 70),
    (signal.SIGINT, lambda: blocks() >= 110),
    (signal.SIGKILL, lambda: (folder / "report.html").exists() or list(folder.glob("figures/*"))),
):
    child = os.fork()
    if not child:
        try:
            deepinit.cli.main(["run", *arguments, "--out", str(folder)])
        except SystemExit as end:
            os._exit(end.code)
        os._exit(99)
    deadline = time.monotonic() + 200
    while not done() and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(child, number)
    status = os.waitpid(child, 0)[1]
    print(os.waitstatus_to_exitcode(status), blocks(), flush=True)
"""


def assert_same_run(folder, expected):
    assert blocks(folder) == blocks(expected)
    xarray.testing.assert_identical(store.read_result(folder), store.read_result(expected))
    for figure in expected.glob("figures/*"):
        assert (folder / "figures" / figure.name).read_bytes() == figure.read_bytes()
    assert store.verify(folder).ok


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert deepinit("run", *LONG, "--out", folder) == 0
    assert len(blocks(folder)) == 201
    return folder


@pytest.mark.exhaustive
@pytest.mark.slow
def test_stopped_and_killed_again_and_again_it_ends_with_the_same_bytes(whole, tmp_path, capsys):
    folder = tmp_path / "interrupted"
    command = [sys.executable, "-c", INTERRUPTER, str(folder), *LONG]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ)
    codes, counts = zip(*(map(int, line.split()) for line in done.stdout.splitlines()), strict=True)
    assert codes == (-signal.SIGKILL, -signal.SIGKILL, 75, -signal.SIGKILL, 75, -signal.SIGKILL), (
        done.stderr
    )
    assert list(counts) == sorted(counts)
    assert 1 <= counts[1] < 30 <= counts[2] < counts[3] < counts[4] < counts[5] == 200
    assert "SIGTERM: finishing the block" in done.stderr
    assert "Stopped by SIGINT" in done.stderr
    assert "Traceback" not in done.stderr
    assert deepinit("run", *LONG, "--out", folder) == 0
    assert_same_run(folder, whole)


RANDOM_KILLER = """
import os, pathlib, random, signal, sys, time
import deepinit.cli, deepinit.runs.execute, deepinit.runs.report, xarray, h5netcdf, jax
from deepinit import store
folder, kills, arguments = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
blocks = lambda: len(list(folder.glob("blocks/tiny/0*.npz")))
chance, write_block = random.Random(0), store.write_block

def three_blocks(run, name, arrays, written=[]):
    if name.startswith("tiny/0"):
        if len(written) == 3:  # the parent may be late: the child never reaches the end
            signal.pause()
        written.append(name)
    write_block(run, name, arrays)

for _ in range(kills):
    child = os.fork()
    if not child:
        try:
            store.write_block = three_blocks
            deepinit.cli.main(["run", *arguments, "--out", str(folder)])
        finally:
            os._exit(99)
    wanted, delay = blocks() + chance.randrange(4), chance.uniform(0, 0.01)
    deadline = time.monotonic() + 100
    while blocks() < wanted or not (folder / "spec.json").exists():
        if time.monotonic() > deadline:
            break
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    report = store.verify(folder)
    faults = len(report.damaged) + len(report.missing) + len(report.damaged_files)
    print(os.waitstatus_to_exitcode(status), blocks(), faults)
"""


@pytest.mark.exhaustive_cases("10")
@pytest.mark.parametrize(
    "kills",
    [pytest.param(10, marks=pytest.mark.slow), pytest.param(50, marks=pytest.mark.exhaustive)],
)
def test_killed_again_and_again_at_random_the_command_ends_with_the_same_bytes(
    whole, tmp_path, kills
):
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", RANDOM_KILLER, str(folder), str(kills), *LONG]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1500, env=os.environ)
    codes, counts, faults = zip(
        *(map(int, line.split()) for line in done.stdout.splitlines()), strict=True
    )
    assert codes == (-signal.SIGKILL,) * kills, done.stderr
    assert list(counts) == sorted(counts)
    assert kills < counts[-1] <= 150  # blocks were written between kills; never all of them
    assert not any(faults)
    assert deepinit("run", *LONG, "--out", folder) == 0
    assert_same_run(folder, whole)


@pytest.mark.exhaustive
def test_shards_merge_to_the_whole(whole, tmp_path, capsys):
    folder = tmp_path / "shared"
    assert deepinit("run", *LONG, "--out", folder, "--shard", "1/3") == 0
    assert "deepinit merge" in capsys.readouterr().out
    assert deepinit("run", *LONG, "--out", folder, "--shard", "0/3") == 0
    capsys.readouterr()
    assert deepinit("merge", *LONG, "--out", folder) == 3
    message = capsys.readouterr().err
    assert "lacks the blocks tiny/000002680-000002699, tiny/000002700-000002719" in message
    assert "Run --shard 2/3, or merge with --repair." in message
    assert not (folder / "result.nc").exists()
    assert deepinit("run", *LONG, "--out", folder, "--shard", "2/3") == 0
    assert deepinit("merge", *LONG, "--out", folder) == 0
    assert_same_run(folder, whole)


@pytest.mark.slow
def test_shards_in_directories_of_their_own_merge_when_their_blocks_are_put_together(
    whole, tmp_path
):
    together = tmp_path / "together"
    for shard in range(2):
        folder = tmp_path / str(shard)
        assert deepinit("run", *LONG, "--out", folder, "--shard", f"{shard}/2") == 0
        shutil.copytree(
            folder, together, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".lock*")
        )
    assert deepinit("merge", *LONG, "--out", together) == 0
    assert_same_run(together, whole)


@pytest.mark.exhaustive
def test_merging_with_repair_computes_holes_and_damaged_blocks(whole, tmp_path, capsys):
    folder = tmp_path / "holes"
    shutil.copytree(whole, folder)
    for file in (
        "result.nc",
        "report.html",
        "blocks/tiny/000000040-000000059.npz",
        "blocks/tiny/000003980-000003999.npz",
    ):
        (folder / file).unlink()
    torn = folder / "blocks/tiny/000000100-000000119.npz"
    torn.write_bytes(torn.read_bytes()[:1000])
    assert deepinit("merge", *LONG, "--out", folder) == 3
    assert deepinit("merge", *LONG, "--out", folder, "--repair") == 0
    assert (folder / "blocks/damaged/tiny/000000100-000000119.npz").stat().st_size == 1000
    shutil.rmtree(folder / "blocks/damaged")
    assert_same_run(folder, whole)


@pytest.mark.exhaustive
def test_a_clock_that_goes_backwards_changes_nothing(tmp_path, monkeypatch, capsys):
    class Backwards(datetime.datetime):
        hours = itertools.count()

        @classmethod
        def now(cls, tz=None):
            return datetime.datetime(2030, 1, 1, tzinfo=tz) - datetime.timedelta(
                hours=next(cls.hours)
            )

    short = [TINY, "--block-size", "100"]
    assert deepinit("run", *short, "--out", tmp_path / "forwards") == 0
    monkeypatch.setattr("deepinit.store.journal.datetime", Backwards)
    monkeypatch.setattr("deepinit.store.provenance.datetime", Backwards)
    assert deepinit("run", *short, "--out", tmp_path / "backwards", "--shard", "0/2") == 0
    assert "by a clock that has been set back since" in shown(capsys, tmp_path / "backwards")
    assert deepinit("run", *short, "--out", tmp_path / "backwards") == 0
    times = [event["time"] for event in store.read_journal(tmp_path / "backwards")]
    assert times == sorted(times, reverse=True)
    assert_same_run(tmp_path / "backwards", tmp_path / "forwards")


def shown(capsys, folder):
    capsys.readouterr()
    assert deepinit("show", folder) == 0
    return capsys.readouterr().out


@pytest.mark.exhaustive
def test_shards_and_a_whole_run_finish_one_another(whole, tmp_path):
    folder = tmp_path / "mixed"
    assert deepinit("run", *LONG, "--out", folder, "--shard", "1/2") == 0
    assert deepinit("run", *LONG, "--out", folder) == 0
    assert_same_run(folder, whole)


def times(folder):
    """When the files were written, but for the journal's and the lock's."""
    return {
        file: file.stat().st_mtime_ns
        for file in folder.rglob("*")
        if file.is_file() and ".jsonl" not in file.name and file.name != ".lock"
    }


@pytest.mark.slow
def test_a_finished_run_is_shown_and_left_as_it_is(whole, capsys, monkeypatch):
    before = times(whole)
    monkeypatch.setattr("deepinit.ensembles.blocks.compile_ensemble", None)  # nothing is computed
    assert deepinit("run", *LONG, "--out", whole) == 0
    assert "second_order" in capsys.readouterr().out
    assert deepinit("merge", *LONG, "--out", whole) == 0
    assert times(whole) == before


def test_merging_what_was_never_started_makes_no_directory(tmp_path, capsys):
    assert deepinit("merge", *LONG, "--out", tmp_path / "nothing") == 2
    assert "Got" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


@pytest.mark.slow
def test_samples_are_kept_in_the_order_of_seeds(whole):
    samples = store.read_result(whole)["samples"].values[0]
    assert samples.shape == (4000, 1, 1)
    last = store.read_block(store.load_run(whole), "tiny/000003980-000003999")
    np.testing.assert_array_equal(samples[3980:], last["samples"])
