"""Processes joined into one program: the bits of one process, one output, clear ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from paths import TINY_EXPERIMENT

from deepinit import store
from deepinit.runs import distributed
from deepinit.runs.distributed import ProcessInfo, process_info

TINY = str(TINY_EXPERIMENT)
CUT = ["--block-size", "40"]  # 10 blocks of 8 batches of 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command(*arguments, devices):
    """A process of its own, with so many simulated devices."""
    free = {
        name: value
        for name, value in os.environ.items()
        if name not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")
    }
    return subprocess.Popen(
        [sys.executable, "-m", "deepinit", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**free, "JAX_NUM_CPU_DEVICES": str(devices)},
    )


def alone(*arguments, devices=2):
    process = command(*arguments, devices=devices)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def start(*arguments, processes, devices=1, counts=None):
    at = f"127.0.0.1:{free_port()}"
    return [
        command(
            "run", TINY, "--distributed", "--coordinator", at,
            "--num-processes", (counts or {}).get(number, processes),
            "--process-id", number, *arguments, devices=devices,
        )
        for number in range(processes)
    ]  # fmt: skip


def ended(started):
    """Exit codes, standard outputs and messages."""
    try:
        said = [process.communicate(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
    return (
        [process.returncode for process in started],
        [out for out, _ in said],
        [err for _, err in said],
    )


def blocks(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.glob("blocks/**/*.npz")
    }


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The run of a single process with two devices: blocks, and result.nc."""
    folder = tmp_path_factory.mktemp("runs") / "single"
    alone("run", TINY, *CUT, "--out", folder)
    assert len(blocks(folder)) == 11
    return folder


def assert_same_bits(folder, single):
    assert blocks(folder) == blocks(single)
    assert (folder / "result.nc").read_bytes() == (single / "result.nc").read_bytes()
    assert store.verify(folder).ok


@pytest.mark.slow
@pytest.mark.exhaustive
def test_eight_devices_and_four_shards_on_three_devices_end_with_the_bits_of_a_single_process(
    single, tmp_path
):
    alone("run", TINY, *CUT, "--out", tmp_path / "eight", devices=8)
    assert_same_bits(tmp_path / "eight", single)
    shards = [
        command("run", TINY, *CUT, "--out", tmp_path / "four", "--shard", f"{i}/4", devices=3)
        for i in range(4)
    ]
    codes, _, said = ended(shards)
    assert codes == [0] * 4, said
    alone("merge", TINY, *CUT, "--out", tmp_path / "four")
    assert_same_bits(tmp_path / "four", single)


@pytest.mark.parametrize(
    ("processes", "devices"),
    [
        pytest.param(2, 3, marks=pytest.mark.slow),
        pytest.param(2, 1, marks=pytest.mark.exhaustive),
        pytest.param(4, 1, marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.exhaustive
def test_joined_processes_end_with_the_bits_of_a_single_one_and_only_the_first_prints(
    single, tmp_path, processes, devices
):
    arguments = (*CUT, "--out", tmp_path / "joined", "--json")
    codes, outputs, said = ended(start(*arguments, processes=processes, devices=devices))
    assert codes == [0] * processes, said
    assert json.loads(outputs[0])["failures"] == []
    assert outputs[1:] == [""] * (processes - 1)
    assert all("deepinit" not in error and "%" not in error for error in said[1:]), said
    assert_same_bits(tmp_path / "joined", single)
    # A refusal is told by the first alone, and ends all.
    codes, outputs, said = ended(
        start("--out", tmp_path / "joined", processes=processes, devices=devices)
    )
    assert codes == [3] * processes, said
    assert "begun with --block-size 40" in said[0]
    assert all("deepinit" not in error for error in said[1:]), said


@pytest.mark.parametrize(
    "victim",
    [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.exhaustive)],
)
@pytest.mark.exhaustive
def test_one_of_two_processes_dies_and_the_same_command_continues(tmp_path, victim):
    folder, arguments = tmp_path / "run", ("--preset", "long", "--block-size", "40")  # 100 blocks
    started = start(*arguments, "--out", folder, processes=2)
    wait_for(lambda: len(blocks(folder)) >= 10)
    started[victim].kill()
    codes, _, said = ended(started)
    assert codes[victim] == -signal.SIGKILL
    if victim == 1:
        assert codes[0] == 75
        assert "lost the connection to another process" in said[0]
        assert "the same command on every process continues" in said[0]
    else:  # JAX may abort first where the process that coordinates is gone
        assert codes[1] in (75, -signal.SIGABRT)
        assert "another process" in said[1] or "another task died" in said[1]
    kept = blocks(folder)
    assert 10 <= len(kept) < 101
    assert store.verify(folder).ok
    codes, _, said = ended(start(*arguments, "--out", folder, processes=2))
    assert codes == [0, 0], said
    alone("run", TINY, *arguments, "--out", tmp_path / "whole")
    assert blocks(folder) == blocks(tmp_path / "whole")
    assert kept.items() <= blocks(folder).items()
    np.testing.assert_array_equal(
        *(store.read_result(run)["mean"].values for run in (folder, tmp_path / "whole"))
    )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_sigterm_at_one_of_two_processes_stops_both_after_the_block(tmp_path):
    folder, arguments = tmp_path / "run", ("--preset", "long", "--block-size", "40")
    started = start(*arguments, "--out", folder, processes=2)
    wait_for(lambda: len(blocks(folder)) >= 10)
    started[1].terminate()
    codes, _, said = ended(started)
    assert codes == [75, 75], said
    assert "Stopped by another process after a finished block of tiny; nothing is lost." in said[0]
    assert "deepinit" not in said[1]
    assert 10 <= len(blocks(folder)) < 101
    assert store.verify(folder).ok


def wait_for(done):
    deadline = time.monotonic() + 200
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_processes_that_disagree_about_their_number_are_told(tmp_path):
    started = start("--out", tmp_path / "run", "--join-timeout", 15, processes=2, counts={1: 3})
    codes, _, said = ended(started)
    assert codes[1] in (2, 5)
    assert "--num-processes 3 in a program that has 2" in said[1] or "not all of 3" in said[1]
    assert codes[0] in (5, 75)
    assert "deepinit: " in said[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_process_whose_others_do_not_come_says_so_in_time(tmp_path):
    process = command(
        "run", TINY, "--distributed", "--coordinator", f"127.0.0.1:{free_port()}",
        "--num-processes", 2, "--process-id", 0,
        "--join-timeout", 1, "--out", tmp_path / "run", devices=1,
    )  # fmt: skip
    out, err = process.communicate(timeout=100)
    assert process.returncode == 5
    assert out == ""
    assert "after 1 s not all of 2 processes have joined at 127.0.0.1:" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ValueError("UNKNOWN: Gloo AllGather failed: Connection reset by peer"),
            75,
            "lost the connection to another",
        ),
        (
            RuntimeError("UNAVAILABLE: Task 1 heartbeat timeout"),
            75,
            "the same command on every process continues",
        ),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 5, "smaller --block-size"),
        (KeyboardInterrupt(), 75, "stopped at once"),
        (ZeroDivisionError("division by zero"), 1, "one of several joined processes failed"),
    ],
)
def test_the_end_of_one_joined_process_is_printed_and_no_other_is_waited_for(
    monkeypatch, capsys, error, code, said
):
    def ends(message, code):
        raise SystemExit(f"{code} {message}")

    monkeypatch.setattr(distributed, "_exit", ends)
    with pytest.raises(SystemExit, match=rf"^{code} .*{said}"):
        distributed._abort(error)
    assert (type(error).__name__ in capsys.readouterr().err) == (
        code == 1
    )  # our bug: where it happened


def test_process_info_comes_from_options_then_variables_then_the_cluster():
    variables = {
        "JAX_COORDINATOR_ADDRESS": "first:1",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "1",
    }
    assert process_info(ProcessInfo("here:9", 4, 3), variables) == ProcessInfo("here:9", 4, 3)
    assert process_info(ProcessInfo(), variables) == ProcessInfo("first:1", 2, 1)
    assert process_info(ProcessInfo(), {"JAX_COORDINATOR_ADDRESS": "first:1"}) == ProcessInfo()
    slurm = {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_NTASKS": "2"}
    assert process_info(ProcessInfo(), slurm) == ProcessInfo()
    assert process_info(ProcessInfo("here:9", 2, 0), slurm) == ProcessInfo("here:9", 2, 0)
    assert process_info(ProcessInfo("here:9", 4, 0), {"SLURM_NTASKS": "2"}) == ProcessInfo(
        "here:9", 4, 0
    )  # in a batch script, not a step
