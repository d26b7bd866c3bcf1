"""Process pools, dask and submitit for real: workers killed in the middle, the bytes of one."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from paths import SUPPORT

from deepinit import store
from deepinit.runs import tasks

UNEQUAL = str(SUPPORT / "unequal_experiment.py")
WORK = [UNEQUAL, "--config.num-seeds", "600", "--config.widths", "16", "96"]  # 65 blocks and more
PATIENCE = 240

pytestmark = pytest.mark.slow


def command(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "deepinit", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "JAX_NUM_CPU_DEVICES": "2"},
    )


def ended(process, code=0):
    """What the command said, after the expected exit code."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return out + err


def num_blocks(folder):
    return len(list(folder.glob("blocks/*/0*.npz")))


def wait(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def worker_ids(folder):
    """Processes that have begun to compute, from the journal."""
    journal = folder / "journal.jsonl"
    lines = journal.read_text().splitlines() if journal.exists() else []
    records = [json.loads(line) for line in lines if '"event":"provenance"' in line]
    return [each["record"]["worker"] for each in records if "worker" in each["record"]]


def is_stopped(process):
    """Whether all threads of a process have stopped: a signal that was sent takes a while."""
    states = (each.read_text() for each in pathlib.Path(f"/proc/{process}/task").glob("*/stat"))
    return all(state.rpartition(")")[2].split()[0] == "T" for state in states)


def stop_worker(process):
    os.kill(process, signal.SIGSTOP)
    wait("a stop", lambda: is_stopped(process))


def kill_one(folder, least):
    """SIGKILL to the second worker in its first block, while the run has so many blocks.

    It is stopped where it begins: under load it could otherwise end its share before it is killed.
    Not while it has the journal's lock, for which the others would wait.
    """
    wait("workers", lambda: len(worker_ids(folder)) >= 2)
    killed = worker_ids(folder)[-1]
    stop_worker(killed)
    lock = rf" {killed} \S+:{(folder / 'journal.jsonl').stat().st_ino} "
    while re.search(lock, pathlib.Path("/proc/locks").read_text()):
        os.kill(killed, signal.SIGCONT)
        time.sleep(0.001)
        stop_worker(killed)
    wait("blocks", lambda: num_blocks(folder) >= least)
    os.kill(killed, signal.SIGKILL)
    return killed


def contents(folder):
    files = [*folder.glob("blocks/**/*.npz"), folder / "result.nc"]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def assert_same_run(folder, whole):
    assert contents(folder) == contents(whole)
    assert store.verify(folder).ok
    assert not (folder / tasks.MARKER).exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    ended(command("run", *WORK, "--out", folder))
    assert num_blocks(folder) >= 64
    return folder


def test_a_worker_of_a_process_pool_is_killed(whole, tmp_path):
    folder = tmp_path / "pool"
    process = command("run", *WORK, "--out", folder, "--executor", "process:2")
    kill_one(folder, 8)
    assert "a worker was lost (BrokenProcessPool" in ended(process)
    assert_same_run(folder, whole)


@pytest.mark.exhaustive
def test_the_process_of_the_command_is_killed_and_its_workers_end(whole, tmp_path):
    folder = tmp_path / "pool"
    process = command("run", *WORK, "--out", folder, "--executor", "process:2")
    wait("blocks", lambda: num_blocks(folder) >= 8 and len(worker_ids(folder)) == 2)
    workers = worker_ids(folder)
    process.kill()
    process.communicate()
    wait("workers to end", lambda: not any(os.path.exists(f"/proc/{each}") for each in workers))
    kept = contents(folder) if (folder / "result.nc").exists() else None
    assert kept is None
    assert num_blocks(folder) < num_blocks(whole)
    ended(command("run", *WORK, "--out", folder))
    assert_same_run(folder, whole)


@pytest.mark.exhaustive
def test_a_stopped_command_lets_its_workers_finish_their_block(whole, tmp_path):
    folder = tmp_path / "pool"
    process = command("run", *WORK, "--out", folder, "--executor", "process:2")
    wait("blocks", lambda: num_blocks(folder) >= 8)
    process.send_signal(signal.SIGTERM)
    assert "Stopped by SIGTERM after the workers' blocks; nothing is lost" in ended(process, 75)
    assert 8 <= num_blocks(folder) < num_blocks(whole)
    ended(command("run", *WORK, "--out", folder, "--executor", "process:3"))
    assert_same_run(folder, whole)


@contextlib.contextmanager
def dask_cluster(workers, folder):
    """A scheduler and worker processes on loopback: its address, the workers, the scheduler."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    started = [subprocess.Popen([*dask, *words], **quiet)]
    words = ["worker", f"tcp://{address}", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    words += ["--local-directory", str(folder)]
    try:
        started += [subprocess.Popen([*dask, *words], **quiet) for _ in range(workers)]
        yield address, started[1:], started[0]
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


@pytest.mark.parametrize("workers", [4])
def test_a_dask_worker_of_four_is_killed(whole, tmp_path, workers):
    pytest.importorskip("distributed")
    folder = tmp_path / "dask"
    with dask_cluster(workers, tmp_path / "scratch") as (address, started, _):
        wait("the scheduler", lambda: answers(address))
        process = command("run", *WORK, "--out", folder, "--executor", f"dask://{address}")
        killed = kill_one(folder, 8)
        assert killed in {each.pid for each in started}
        ended(process)
    assert_same_run(folder, whole)
    assert len(set(worker_ids(folder))) >= 3


@pytest.mark.exhaustive
def test_a_scheduler_of_dask_is_killed(whole, tmp_path):
    pytest.importorskip("distributed")
    folder = tmp_path / "dask"
    with dask_cluster(2, tmp_path / "scratch") as (address, _, scheduler):
        wait("the scheduler", lambda: answers(address))
        process = command("run", *WORK, "--out", folder, "--executor", f"dask://{address}")
        wait("blocks", lambda: num_blocks(folder) >= 8)
        scheduler.kill()
        err = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 5, err
    assert "an executor that has closed, with its scheduler" in err
    ended(command("run", *WORK, "--out", folder))
    assert_same_run(folder, whole)


def answers(address):
    host, port = address.split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def test_tasks_of_ray_end_with_the_same_bytes(whole, tmp_path):
    pytest.importorskip("ray")
    ended(command("run", *WORK, "--out", tmp_path / "ray", "--executor", "ray"))
    assert_same_run(tmp_path / "ray", whole)


def test_a_local_job_of_submitit_is_killed(whole, tmp_path):
    pytest.importorskip("submitit")
    folder, config = tmp_path / "jobs", tmp_path / "jobs.toml"
    config.write_text(
        f"workers = 2\ncluster = 'local'\nfolder = '{tmp_path}/logs'\ntimeout_min = 10\n"
    )
    process = command("run", *WORK, "--out", folder, "--executor", f"submitit:{config}")
    kill_one(folder, 1)  # the share of the other may be the two blocks of width 16
    assert "a worker was lost (" in ended(process)
    assert_same_run(folder, whole)
