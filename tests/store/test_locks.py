import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepinit.core.errors import ConflictError
from deepinit.store import (
    finished_blocks,
    open_run,
    quarantine_damaged,
    read_journal,
    verify,
    write_block,
)

IDENTITY = {"experiment": "test"}

HOLDER = """
import sys
from deepinit.store import open_run
with open_run(sys.argv[1], {"experiment": "test"}, shard=(int(sys.argv[2]), int(sys.argv[3]))):
    print("held", flush=True)
    sys.stdin.read()
"""

SHARD = """
import sys
import numpy as np
from deepinit.store import append_event, open_run, write_block
index, count = int(sys.argv[2]), int(sys.argv[3])
with open_run(sys.argv[1], {"experiment": "test"}, shard=(index, count)) as run:
    for number in range(index, 60, count):
        write_block(run, f"{number:06d}", {"x": np.full(100, number)})
        append_event(run, "note", text="x" * 3000)
"""


@pytest.fixture
def hold(tmp_path):
    held = []

    def start(index=0, count=1):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), str(index), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        held.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in held:
        process.kill()
        process.communicate()


def test_second_writer_is_refused_with_the_holder_and_let_in_after_its_death(tmp_path, hold):
    holder = hold()
    with pytest.raises(ConflictError) as error, open_run(tmp_path, IDENTITY):
        pass
    message = str(error.value)
    assert error.value.exit_code == 3
    assert f"process {holder.pid} on host {socket.gethostname()}" in message
    assert json.loads((tmp_path / ".lock").read_text())["start"] in message
    with pytest.raises(ConflictError):
        quarantine_damaged(tmp_path)
    assert verify(tmp_path).ok  # readers need no lock
    holder.kill()
    holder.wait()
    with open_run(tmp_path, IDENTITY):
        pass


def test_second_writer_in_the_same_process_is_refused(tmp_path):
    with (
        open_run(tmp_path, IDENTITY),
        pytest.raises(ConflictError, match="a second writer"),
        open_run(tmp_path, IDENTITY),
    ):
        pass
    with open_run(tmp_path, IDENTITY):
        pass


def test_shards_exclude_their_double_and_a_writer_of_the_whole_only(tmp_path, hold):
    holder = hold(0, 2)
    with open_run(tmp_path, IDENTITY, shard=(1, 2)):
        with pytest.raises(ConflictError, match=rf"shard 0/2.*process {holder.pid} on"):
            open_run(tmp_path, IDENTITY, shard=(0, 2)).__enter__()
        with pytest.raises(
            ConflictError, match=rf"process {holder.pid} on .*shard 0/2.*; process .*shard 1/2"
        ):
            open_run(tmp_path, IDENTITY).__enter__()
    holder.kill()
    holder.wait()
    with open_run(tmp_path, IDENTITY), pytest.raises(ConflictError, match="shard 0/1, started"):
        open_run(tmp_path, IDENTITY, shard=(0, 2)).__enter__()


def test_a_shard_leaves_the_temporary_files_of_a_living_shard_alone(tmp_path, hold):
    holder = hold(0, 2)
    living = tmp_path / ".deepinit-tmp-0-of-2-0123456789abcdef"
    gone = [
        tmp_path / f".deepinit-tmp-{shard}-0123456789abcdef"
        for shard in ("1-of-2", "0-of-1", "3-of-8")
    ]
    for file in (living, *gone):
        file.write_text("x")
    with open_run(tmp_path, IDENTITY, shard=(1, 2)):
        assert living.exists()
        assert not any(file.exists() for file in gone)
    holder.kill()
    holder.wait()
    with open_run(tmp_path, IDENTITY, shard=(1, 2)):
        assert not living.exists()


@pytest.mark.slow
def test_shards_starting_together_write_one_directory(tmp_path):
    folder = tmp_path / "one run"
    command = [sys.executable, "-c", SHARD, str(folder)]
    shards = [
        subprocess.Popen([*command, str(index), "3"], stderr=subprocess.PIPE, text=True)
        for index in range(3)
    ]
    for shard in shards:
        _, errors = shard.communicate(timeout=60)
        assert shard.returncode == 0, errors
    report = verify(folder)
    assert report.ok
    assert report.intact == tuple(f"{number:06d}" for number in range(60))
    events = read_journal(folder)
    counts = {
        kind: sum(event["event"] == kind for event in events) for kind in ("start", "block", "note")
    }
    assert counts == {"start": 3, "block": 60, "note": 60}
    with open_run(folder, IDENTITY) as run:  # merging opens the whole
        assert len(finished_blocks(run)) == 60
        write_block(run, "merged", {"x": np.ones(1)})
    assert not list(Path(folder).rglob(".deepinit-tmp*"))
