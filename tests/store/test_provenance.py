import importlib.metadata
import json
import os
import platform
import subprocess
import sys

import pytest

from deepinit.store import (
    canonical_json,
    collect,
    export_provenance,
    open_run,
    read_journal,
    write_provenance,
)

IDENTITY = {"experiment": "test"}


def git(folder, *arguments):
    settings = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_record_names_versions_machine_flags_and_command(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    monkeypatch.setenv("JAX_ENABLE_X64", "0")
    monkeypatch.setenv("SECRET_TOKEN", "not for the record")
    monkeypatch.setattr(sys, "argv", ["deepinit", "run", "angles"])
    record = collect({"device_kind": "cpu", "device_count": 2, "precision": "float32"})
    assert record["versions"]["numpy"] == importlib.metadata.version("numpy")
    assert record["versions"]["deepinit"] == importlib.metadata.version("deepinit")
    assert record["python"] == platform.python_version()
    assert record["environment"]["XLA_FLAGS"] == "--xla_force_host_platform_device_count=2"
    assert record["environment"]["JAX_ENABLE_X64"] == "0"
    assert record["command"] == ["deepinit", "run", "angles"]
    assert (record["device_kind"], record["device_count"], record["precision"]) == (
        "cpu",
        2,
        "float32",
    )
    assert "not for the record" not in canonical_json(record)


def test_options_of_jax_are_recorded_where_jax_is_loaded():
    import jax

    options = collect({})["jax_options"]
    assert options["jax_enable_x64"] is bool(jax.config.jax_enable_x64)
    assert options["jax_threefry_partitionable"] is True


def test_git_state_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert collect({})["git_working_folder"] is None
    git(tmp_path, "init", "-q")
    assert collect({})["git_working_folder"] is None  # no commit yet
    (tmp_path / "study.py").write_text("1")
    git(tmp_path, "add", "study.py")
    git(tmp_path, "commit", "-qm", "Add study")
    commit = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/untracked").write_text("x")
    assert collect({})["git_working_folder"] == {"commit": commit, "dirty": False}
    (tmp_path / "study.py").write_text("2")
    assert collect({})["git_working_folder"] == {"commit": commit, "dirty": True}


def test_without_git_the_record_is_still_made(monkeypatch):
    monkeypatch.setenv("PATH", "")
    record = collect({})
    assert (record["git_deepinit"], record["git_working_folder"]) == (None, None)
    assert record["host"]


def test_every_start_adds_its_record(tmp_path):
    for device in ("cpu", "gpu"):
        with open_run(tmp_path, IDENTITY) as run:
            write_provenance(run, collect({"device_kind": device}))
    records = json.loads((tmp_path / "provenance.json").read_text())
    assert [record["device_kind"] for record in records] == ["cpu", "gpu"]
    journalled = [
        event["record"] for event in read_journal(tmp_path) if event["event"] == "provenance"
    ]
    assert journalled == records


def test_shards_note_their_starts_and_the_export_has_them_all(tmp_path):
    for shard in range(3):
        with open_run(tmp_path, IDENTITY, shard=(shard, 3)) as run:
            write_provenance(run, collect({"shard": shard}))
    file = tmp_path / "provenance.json"
    assert [record["shard"] for record in json.loads(file.read_text())] == [0]
    with open_run(tmp_path, IDENTITY) as run:
        export_provenance(run)
    assert [record["shard"] for record in json.loads(file.read_text())] == [0, 1, 2]


@pytest.mark.parametrize("name", ["time", "python"])
def test_the_caller_has_the_last_word(name):
    assert collect({name: "given"})[name] == "given"
