"""File systems: without hard links, locks, permission or atomic rename."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest

from deepinit.core.errors import ResourceError
from deepinit.store import finished_blocks, load_run, open_run, write_block
from deepinit.store.atomic import create_file

IDENTITY = {"experiment": "angles", "config": {"width": 64, "depths": [4, 8]}, "block": 256}


def failing(number):
    def call(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    return call


def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    with open_run(tmp_path, IDENTITY):
        assert not list(tmp_path.glob(".deepinit-tmp*"))
    with open_run(tmp_path, IDENTITY):
        pass
    assert load_run(tmp_path).identity == IDENTITY


@pytest.mark.parametrize("number", [errno.EPERM, None])
def test_a_file_that_is_there_is_not_created_again(tmp_path, monkeypatch, number):
    if number:
        monkeypatch.setattr(os, "link", failing(number))
    (tmp_path / "spec.json").write_text("first")
    assert not create_file(tmp_path, "spec.json", b"second", (0, 1))
    assert [file.name for file in tmp_path.iterdir()] == ["spec.json"]
    assert (tmp_path / "spec.json").read_text() == "first"


def test_a_disk_without_locks_is_refused(tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr(fcntl, "flock", failing(errno.ENOLCK))
    with pytest.raises(ResourceError, match="No locks available"), open_run(tmp_path, IDENTITY):
        pass
    assert not (tmp_path / "spec.json").exists()


@pytest.fixture
def unprivileged():
    """A folder, and the effective rights of a user whom permissions bind."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    shutil.rmtree(folder)


def test_a_folder_without_permission_is_a_clear_resource_error(unprivileged):
    run = unprivileged / "run"
    with open_run(run, IDENTITY) as handle:
        write_block(handle, "0", {"x": np.ones(1)})
    for folder in (run, run / "blocks"):
        folder.chmod(0o555)
    with (
        open_run(run, IDENTITY) as handle,
        pytest.raises(ResourceError, match=r"Permission denied.*permissions") as error,
    ):
        write_block(handle, "1", {"x": np.ones(1)})
    assert error.value.exit_code == 5
    assert finished_blocks(load_run(run)) == ["0"]
    with pytest.raises(ResourceError, match="Permission denied"), open_run(run / "new", IDENTITY):
        pass
    run.chmod(0o000)
    with pytest.raises(ResourceError, match="Permission denied"):
        load_run(run)
    with pytest.raises(ResourceError, match="Permission denied"), open_run(run, IDENTITY):
        pass
    run.chmod(0o755)
    (run / "blocks").chmod(0o755)


def copying(source, target):
    shutil.copyfile(source, target)
    Path(source).unlink()


def test_a_file_system_that_copies_instead_of_renaming_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", copying)
    with pytest.raises(ResourceError, match=r"without atomic rename") as error:
        open_run(tmp_path / "run", IDENTITY).__enter__()
    assert error.value.exit_code == 5
    assert [file.name for file in (tmp_path / "run").iterdir()] == [".lock"]
    monkeypatch.undo()
    with open_run(tmp_path / "run", IDENTITY):
        pass


@pytest.mark.parametrize(
    ("mounted", "refused"),
    [
        ("bucket {} fuse.gcsfuse rw 0 0", "gcsfuse"),
        ("s3fs {} fuse.s3fs rw 0 0", "s3fs"),
        ("mountpoint-s3 {} fuse rw 0 0", "mountpoint-s3"),
        ("rclone-backup:/x {} nfs4 rw 0 0", None),
        ("server:/home {} nfs4 rw 0 0\nbucket {}-elsewhere fuse.gcsfuse rw 0 0", None),
    ],
)
def test_object_stores_mounted_as_folders_are_refused_by_name(
    tmp_path, monkeypatch, mounted, refused
):
    point = tmp_path / "with space"
    table = tmp_path / "mounts"
    table.write_text(
        "root / ext4 rw 0 0\n" + mounted.replace("{}", str(point).replace(" ", "\\040")) + "\n"
    )
    monkeypatch.setattr("deepinit.store.atomic._MOUNTS", table)
    if refused is None:
        with open_run(point / "run", IDENTITY):
            return
    with pytest.raises(ResourceError, match=refused):
        open_run(point / "run", IDENTITY).__enter__()
