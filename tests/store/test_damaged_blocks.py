"""Damaged, misplaced and foreign blocks are detected, named and set aside."""

import hashlib
import shutil

import numpy as np
import pytest

from deepinit.core.errors import DamagedError
from deepinit.store import (
    finished_blocks,
    load_run,
    open_run,
    quarantine_damaged,
    read_block,
    read_journal,
    verify,
    write_block,
)
from deepinit.store.blocks import block_bytes, block_fault

IDENTITY = {"experiment": "test", "config": {"width": 3}}
HASH = "0" * 64
ARRAYS = {
    "mean": np.linspace(0.0, 1.0, 7),
    "counts": np.arange(6, dtype=np.uint32).reshape(2, 3),
    "alive": np.array([True, False]),
    "names": np.array(["relu", "é"]),
    "scalar": np.float32(2.5),
    "empty": np.zeros((0, 4), np.int64),
    "z": np.array([1 + 2j]),
}


@pytest.mark.parametrize("arrays", [{"x": np.arange(50.0)}, {}])
def test_every_flipped_bit_and_every_truncation_is_detected(arrays):
    data = block_bytes(HASH, "b", arrays)
    assert block_fault(data, HASH, "b") is None
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        assert block_fault(bytes(damaged), HASH, "b")
        assert block_fault(data[:position], HASH, "b")
        assert block_fault(data[:position] + bytes(len(data) - position), HASH, "b")
    assert block_fault(data + b"\0", HASH, "b")
    assert block_fault(data + data, HASH, "b")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: bytes(len(data)),
        lambda data: data[:100] + bytes([data[100] ^ 4]) + data[101:],
    ],
)
def test_damaged_block_is_named_set_aside_and_written_again(tmp_path, damage):
    folder = tmp_path / "a run"
    with open_run(folder, IDENTITY) as run:
        for name in ("w3/0", "w3/1"):
            write_block(run, name, ARRAYS)
    file = folder / "blocks/w3/1.npz"
    whole = file.read_bytes()
    file.write_bytes(damage(whole))

    with pytest.raises(
        DamagedError, match=r"block 'w3/1' .*deepinit verify '.*a run' --repair"
    ) as error:
        read_block(load_run(folder), "w3/1")
    assert error.value.exit_code == 4
    report = verify(folder)
    assert (report.intact, list(report.damaged), report.missing, report.ok) == (
        ("w3/0",),
        ["w3/1"],
        (),
        False,
    )

    assert quarantine_damaged(folder) == report
    assert (folder / "blocks/damaged/w3/1.npz").read_bytes() == damage(whole)
    assert verify(folder).missing == ("w3/1",)
    with open_run(folder, IDENTITY) as run:
        assert finished_blocks(run) == ["w3/0"]
        write_block(run, "w3/1", ARRAYS)
    assert file.read_bytes() == whole
    assert verify(folder).ok
    assert "discarded" in [event["event"] for event in read_journal(folder)]


def test_a_block_damaged_twice_is_kept_twice(tmp_path):
    for content in (b"first", b"second"):
        with open_run(tmp_path, IDENTITY) as run:
            write_block(run, "b", ARRAYS)
        (tmp_path / "blocks/b.npz").write_bytes(content)
        quarantine_damaged(tmp_path)
    assert (tmp_path / "blocks/damaged/b.npz").read_bytes() == b"first"
    assert (tmp_path / "blocks/damaged/b.npz.1").read_bytes() == b"second"
    assert verify(tmp_path).intact == ()


def test_block_of_another_run_or_under_another_name_is_detected(tmp_path):
    with open_run(tmp_path / "one", IDENTITY) as run:
        write_block(run, "0", ARRAYS)
    with open_run(tmp_path / "two", {**IDENTITY, "block": 1}) as run:
        write_block(run, "1", ARRAYS)
    shutil.copy(tmp_path / "one/blocks/0.npz", tmp_path / "two/blocks/0.npz")
    shutil.copy(tmp_path / "two/blocks/1.npz", tmp_path / "two/blocks/2.npz")
    np.savez(tmp_path / "two/blocks/3.npz", x=np.ones(3))
    report = verify(tmp_path / "two")
    assert report.intact == ("1",)
    assert "belongs to another run" in report.damaged["0"]
    assert "holds the block '1'" in report.damaged["2"]
    assert "SHA-256" in report.damaged["3"]


def test_a_file_with_its_own_digest_that_is_no_block_is_detected():
    body = b"anything else"
    assert "not a block" in block_fault(body + hashlib.sha256(body).hexdigest().encode(), HASH, "b")


def test_strange_files_among_the_blocks_are_passed_over(tmp_path):
    with open_run(tmp_path, IDENTITY) as run:
        write_block(run, "0", ARRAYS)
        for name in ("Notes.npz", "readme.txt", ".hidden.npz"):
            (tmp_path / "blocks" / name).write_bytes(b"x")
        assert finished_blocks(run) == ["0"]
