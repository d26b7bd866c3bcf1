"""Run directories: every file checked, nothing outside them touched."""

import os
import shutil

import numpy as np
import pytest
import xarray as xr

from deepinit import store
from deepinit.core.errors import ConflictError, DamagedError, SpecError
from deepinit.store.journal import checked_line

IDENTITY = {"experiment": "x", "cases": [{"name": "c", "quantity": "log_norm", "num_seeds": 3}]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    with store.open_run(folder, IDENTITY) as run:
        store.write_provenance(run, store.collect({}))
        for number in range(3):
            store.write_block(run, f"c/{number}", {"x": np.arange(number + 1)})
        result = store.result_bytes(xr.Dataset({"x": ("seed", np.ones(3))}))
        store.write_outputs(
            run, {"figures/a.svg": b"<svg/>", "report.html": b"<p>", "result.nc": result}
        )
    return folder


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)


def cut(file):
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def unlink(file):
    file.unlink()


def dangle(file):
    file.unlink()
    file.symlink_to("nowhere")


DERIVED = (
    "report.html",
    "figures/a.svg",
    "result.nc",
    "provenance.json",
    "outputs.zip",
    "manifest.json",
)


@pytest.mark.parametrize("damage", [flip, cut, unlink, dangle])
@pytest.mark.parametrize("name", DERIVED)
def test_a06_an_output_is_checked_and_written_again(copied, whole, name, damage):
    assert store.verify(copied).ok
    damage(copied / name)
    assert list(store.verify(copied).damaged_files) == [name]
    assert store.quarantine_damaged(copied).restored == (name,)
    assert store.verify(copied).ok
    if name not in ("manifest.json", "outputs.zip"):
        assert (copied / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("damage", [flip, cut, unlink])
def test_a06_a_damaged_journal_is_named_and_repaired(copied, damage):
    damage(copied / "journal.jsonl")
    assert "journal.jsonl" in store.verify(copied).damaged_files
    store.quarantine_damaged(copied)
    assert store.verify(copied).ok
    assert store.read_result(copied)["x"].size == 3


def test_a06_every_lost_line_and_every_flipped_bit_of_a_finished_journal_is_seen(copied):
    journal = copied / "journal.jsonl"
    data = journal.read_bytes()
    lines = data.splitlines(keepends=True)
    for number in range(len(lines)):
        for damaged in (
            b"".join(lines[:number]),
            b"".join(lines[:number] + lines[number + 1 :]),
            data[: -number - 1],
        ):
            journal.write_bytes(damaged)
            assert "journal.jsonl" in store.verify(copied).damaged_files
    for position in range(0, len(data), 97):
        journal.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert "journal.jsonl" in store.verify(copied).damaged_files


def test_a06_a_cut_journal_of_an_unfinished_run_is_seen(tmp_path):
    with store.open_run(tmp_path, IDENTITY) as run:
        for number in range(3):
            store.write_block(run, f"c/{number}", {"x": np.ones(1)})
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:2]))
    assert "lost the lines of 2 blocks" in store.verify(tmp_path).damaged_files["journal.jsonl"]
    with store.open_run(tmp_path, IDENTITY):  # finds them again
        pass
    assert store.verify(tmp_path).ok


def test_a06_without_a_copy_the_run_counts_as_not_concluded(copied):
    unlink(copied / "report.html")
    flip(copied / "outputs.zip")
    store.quarantine_damaged(copied)
    with store.open_run(copied, IDENTITY) as run:
        assert not store.is_finalized(run)


def test_a06_a_run_without_its_spec_is_damage(copied):
    unlink(copied / "spec.json")
    with pytest.raises(DamagedError, match=r"spec\.json is missing"):
        store.verify(copied)


def test_a06_a_directory_of_format_1_is_read(copied):
    identity = store.load_run(copied).identity
    record = {"format_version": 1, "identity": identity}
    spec = store.canonical_json({**record, "sha256": store.identity_hash(record)}) + "\n"
    (copied / "spec.json").write_text(spec)
    events = store.read_journal(copied)[:-1]
    result = store.read_journal(copied)[-1]["files"]["result.nc"]
    end = {"event": "result", "time": events[0]["time"], "start": "a", "shard": "0/1", **result}
    lines = [store.canonical_json(event) + "\n" for event in [*events, end]]
    (copied / "journal.jsonl").write_text("".join(lines))
    for name in ("manifest.json", "outputs.zip"):
        unlink(copied / name)
    assert store.verify(copied).ok
    assert store.read_result(copied)["x"].size == 3
    flip(copied / "result.nc")
    assert list(store.verify(copied).damaged_files) == ["result.nc"]


WRITERS = (lambda folder: store.open_run(folder, IDENTITY).__enter__(), store.quarantine_damaged)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", [".lock", "journal.jsonl", "spec.json"])
def test_a04_no_link_is_followed(copied, tmp_path, name, write):
    target = tmp_path / "thesis.tex"
    target.write_bytes(b"no newline at its end")
    (copied / name).unlink(missing_ok=True)
    (copied / name).symlink_to(target)
    with pytest.raises(DamagedError, match="symbolic link") as error:
        write(copied)
    assert error.value.exit_code == 4
    assert target.read_bytes() == b"no newline at its end"


@pytest.mark.parametrize("name", ["blocks/damaged", "blocks"])
def test_a04_no_file_leaves_by_a_linked_folder(copied, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    flip(copied / "blocks/c/1.npz")
    if name == "blocks":
        shutil.move(copied / name, tmp_path / "moved")
    (copied / name).symlink_to(outside)
    with pytest.raises(DamagedError, match="symbolic link"):
        store.quarantine_damaged(copied)
    assert not list(outside.iterdir())


@pytest.mark.parametrize("folder", ["figures", "blocks/c"])
def test_a04_a_linked_folder_is_named_and_nothing_in_it_removed(copied, tmp_path, folder):
    outside = tmp_path / "outside"
    shutil.move(copied / folder, outside)
    (outside / ".deepinit-tmp-0-of-1-0123456789abcdef").write_text("x")
    before = sorted(outside.iterdir())
    (copied / folder).symlink_to(outside)
    assert folder in store.verify(copied).damaged_files

    def write():
        with store.open_run(copied, IDENTITY) as run:
            store.write_outputs(run, {"figures/a.svg": b"new"})
            store.write_block(run, "c/0", {"x": np.ones(1)})

    with pytest.raises(DamagedError):
        write()
    assert sorted(outside.iterdir()) == before


@pytest.mark.parametrize(
    "name", ["result.nc", "report.html", "blocks/c/1.npz", "manifest.json", "provenance.json"]
)
def test_a08_a_fifo_is_named_and_never_opened(copied, name):
    (copied / name).unlink()
    os.mkfifo(copied / name)
    assert "FIFO" in store.verify(copied).damaged_files[name]


def test_a08_a_fifo_as_journal_or_block_is_refused(copied):
    for name, attempt in (
        ("blocks/c/1.npz", lambda: store.read_block(store.load_run(copied), "c/1")),
        ("journal.jsonl", lambda: store.verify(copied)),
    ):
        (copied / name).unlink()
        os.mkfifo(copied / name)
        with pytest.raises(DamagedError, match="FIFO"):
            attempt()


@pytest.mark.parametrize(
    "fields",
    [
        {"event": 7},
        {"shard": "²/3"},
        {"event": "start", "mixed": 3},
        {"event": "start", "environment": [1]},
        {"event": "block", "name": ["c"]},
        {"event": "provenance", "record": {"command": 3}},
        {"event": "provenance", "record": {"versions": {"jax": {}}}},
        {"event": "concluded", "files": {"report.html": None}},
    ],
)
def test_a08_a_hostile_line_with_a_valid_checksum_is_damage(copied, fields):
    event = {
        "event": "note",
        "time": "2026-01-01T00:00:00+00:00",
        "start": "a",
        "shard": "0/1",
        **fields,
    }
    with (copied / "journal.jsonl").open("ab") as journal:
        journal.write(checked_line(event) + b"\n")
    assert "checksum: 7" in store.verify(copied).damaged_files["journal.jsonl"]


def test_a09_flags_that_change_numbers_are_compared_between_shards(tmp_path):
    from deepinit.devices import numeric_flags

    assert (
        numeric_flags({"XLA_FLAGS": "--xla_force_host_platform_device_count=2 --xla_dump_to=x"})
        == ""
    )
    flags = numeric_flags({"XLA_FLAGS": "--xla_b=1 --xla_a=2"})
    assert (
        flags
        == numeric_flags({"XLA_FLAGS": "--xla_a=2   --xla_b=1"})
        == "XLA_FLAGS=--xla_a=2 --xla_b=1"
    )
    with store.open_run(tmp_path, IDENTITY, flags="", shard=(0, 2)):
        pass
    with (
        pytest.raises(ConflictError, match="flags none then, XLA_FLAGS=--xla_a=2"),
        store.open_run(tmp_path, IDENTITY, flags=flags, shard=(1, 2)),
    ):
        pass


def test_names_of_outputs_are_checked(copied):
    with store.open_run(copied, IDENTITY) as run, pytest.raises(SpecError):
        store.write_outputs(run, {"x" * 300: b""})
