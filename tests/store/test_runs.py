import importlib.metadata
import json
import subprocess
import sys

import numpy as np
import pytest

from deepinit.core.errors import ConflictError, DamagedError, ResourceError, SpecError
from deepinit.store import (
    FORMAT_VERSION,
    finished_blocks,
    identity_hash,
    load_run,
    open_run,
    read_journal,
    write_block,
)

IDENTITY = {"experiment": "angles", "config": {"width": 64, "depths": [4, 8]}, "block": 256}


def test_import_loads_neither_jax_nor_xarray_nor_hdf5():
    code = "import sys, deepinit.store; modules = ('jax', 'xarray', 'h5py', 'h5netcdf')\n"
    code += "print([m for m in modules if m in sys.modules])"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_a_run_is_created_and_opened_again(tmp_path):
    folder = tmp_path / "deep/a run"
    with open_run(folder, IDENTITY) as run:
        assert run.identity == IDENTITY
        assert run.identity_hash == identity_hash(IDENTITY)
        write_block(run, "0", {"x": np.ones(1)})
    spec = (folder / "spec.json").read_bytes()
    with open_run(folder, {**IDENTITY, "config": {"depths": (4, 8), "width": 64}}) as run:
        assert finished_blocks(run) == ["0"]
    assert (folder / "spec.json").read_bytes() == spec
    assert json.loads(spec)["identity"] == IDENTITY
    starts = [event for event in read_journal(folder) if event["event"] == "start"]
    assert len({event["start"] for event in starts}) == 2
    assert starts[0]["environment"]["deepinit"] == importlib.metadata.version("deepinit")
    assert load_run(folder).identity_hash == identity_hash(IDENTITY)


def test_another_configuration_is_refused_field_by_field(tmp_path):
    with open_run(tmp_path, IDENTITY):
        pass
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name != ".lock"}
    asked = {"experiment": "angles", "config": {"width": 128, "depths": [4, 9]}, "block": 256}
    with pytest.raises(ConflictError) as error, open_run(tmp_path, asked):
        pass
    assert error.value.exit_code == 3
    assert "config.width: 64 here, 128 asked" in str(error.value)
    assert "config.depths[1]: 8 here, 9 asked" in str(error.value)
    assert "block" not in str(error.value)
    assert "another experiment" not in str(error.value)
    assert {
        file.name: file.read_bytes() for file in tmp_path.iterdir() if file.name != ".lock"
    } == before


def test_another_experiment_is_said_first(tmp_path):
    with open_run(tmp_path, IDENTITY):
        pass
    with (
        pytest.raises(ConflictError) as error,
        open_run(tmp_path, {**IDENTITY, "experiment": "lengths"}),
    ):
        pass
    assert str(error.value).startswith(
        "Got a directory of another experiment ('angles' here, 'lengths' asked)"
    )


def test_many_differences_are_abridged(tmp_path):
    with open_run(tmp_path, {"widths": list(range(100)), "text": "a" * 500}):
        pass
    with (
        pytest.raises(ConflictError, match="and 81 more") as error,
        open_run(tmp_path, {"widths": list(range(1, 101)), "text": "b" * 500}),
    ):
        pass
    assert len(str(error.value)) < 2000


def test_newer_format_is_refused_and_older_deepinit_told_to_update(tmp_path):
    with open_run(tmp_path, IDENTITY, format_version=FORMAT_VERSION + 1):
        pass
    for attempt in (lambda: open_run(tmp_path, IDENTITY).__enter__(), lambda: load_run(tmp_path)):
        with pytest.raises(ConflictError, match=r"newer deepinit.*Update deepinit"):
            attempt()


def test_every_flipped_bit_and_truncation_of_spec_json_is_detected(tmp_path):
    with open_run(tmp_path, {"w": 1}):
        pass
    data = (tmp_path / "spec.json").read_bytes()
    for position in range(len(data)):
        for damaged in (
            data[:position] + bytes([data[position] ^ (1 << position % 8)]) + data[position + 1 :],
            data[:position],
        ):
            (tmp_path / "spec.json").write_bytes(damaged)
            with pytest.raises(DamagedError, match="torn or changed") as error:
                load_run(tmp_path)
    assert error.value.exit_code == 4
    with pytest.raises(DamagedError, match="Restore a copy"), open_run(tmp_path, {"w": 1}):
        pass


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with (
        pytest.raises(ConflictError, match=r"holds 'thesis.tex' and is no run directory"),
        open_run(tmp_path, IDENTITY),
    ):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("x")
    with (
        pytest.raises(ConflictError, match="which is a file"),
        open_run(tmp_path / "run", IDENTITY),
    ):
        pass
    with (
        pytest.raises(ResourceError, match="Not a directory"),
        open_run(tmp_path / "run/inside", IDENTITY),
    ):
        pass


def test_a_start_killed_before_spec_json_is_no_obstacle(tmp_path):
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".deepinit-tmp-0-of-1-0123456789abcdef").write_text("half")
    with open_run(tmp_path, IDENTITY):
        assert not list(tmp_path.glob(".deepinit-tmp*"))


def test_leftovers_of_killed_writers_go_and_what_is_not_ours_stays(tmp_path):
    with open_run(tmp_path, IDENTITY) as run:
        write_block(run, "case/0", {"x": np.ones(1)})
    ours = [
        tmp_path / ".deepinit-tmp-0-of-1-0123456789abcdef",
        tmp_path / "blocks/.deepinit-tmp-0-of-1-0123456789abcdef",
        tmp_path / "blocks/case/.deepinit-tmp-3-of-8-0123456789abcdef",
    ]
    strange = [
        tmp_path / ".deepinit-tmp-0-of-1-short",
        tmp_path / "blocks/.deepinit-tmp",
        tmp_path / "blocks/case/0.npz.tmp",
        tmp_path / "notes.txt",
    ]
    for file in ours + strange:
        file.write_text("x")
    with open_run(tmp_path, IDENTITY):
        pass
    assert not [file for file in ours if file.exists()]
    assert all(file.exists() for file in strange)
    assert read_journal(tmp_path)[-1]["leftovers_removed"] == 3


def test_other_versions_or_backends_are_refused_unless_mixing_is_allowed(tmp_path, monkeypatch):
    with open_run(tmp_path, IDENTITY, backend="cpu"):
        pass
    with (
        pytest.raises(ConflictError, match="backend cpu then, gpu NVIDIA H200 now") as error,
        open_run(tmp_path, IDENTITY, backend="gpu NVIDIA H200"),
    ):
        pass
    assert error.value.exit_code == 3
    with open_run(tmp_path, IDENTITY):  # a start that names no backend is not told from the first
        pass
    true_version = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "99.0" if name == "jax" else true_version(name)
    )
    with (
        pytest.raises(ConflictError, match=r"jax \S+ then, 99.0 now"),
        open_run(tmp_path, IDENTITY, backend="cpu"),
    ):
        pass
    with open_run(tmp_path, IDENTITY, backend="cpu", allow_mixed=True) as run:
        write_block(run, "0", {"x": np.ones(1)})
    start, block = read_journal(tmp_path)[-2:]
    assert [text.startswith("jax ") for text in start["mixed"]] == [True]
    assert (block["event"], block["start"]) == ("block", start["start"])
    # The first start stays the measure.
    monkeypatch.undo()
    with open_run(tmp_path, IDENTITY, backend="cpu"):
        assert read_journal(tmp_path)[-1]["mixed"] == []


@pytest.mark.parametrize("shard", [(1, 1), (-1, 2), (0, 0)])
def test_impossible_shards_are_refused(tmp_path, shard):
    with pytest.raises(SpecError, match="0 <= i < n"), open_run(tmp_path, IDENTITY, shard=shard):
        pass
    assert not list(tmp_path.iterdir())


def test_reading_what_is_no_run_directory_is_refused(tmp_path):
    with pytest.raises(SpecError, match=r"has no spec\.json"):
        load_run(tmp_path / "nothing")
