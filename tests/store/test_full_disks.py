"""A run on a full, read-only or limited disk: a clear error, and finished blocks kept."""

import subprocess
import sys

import numpy as np
import pytest
from crash_run import IDENTITY, products, work
from paths import SUPPORT

from deepinit.core.errors import ResourceError
from deepinit.store import (
    finished_blocks,
    load_run,
    open_run,
    read_block,
    read_journal,
    verify,
    write_outputs,
)


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
import crash_run as crash
from deepinit.core.errors import DeepinitError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    crash.work(sys.argv[2], num_blocks=2, size=5_000)
except DeepinitError as error:
    print(error)
    raise SystemExit(error.exit_code)
"""


def test_a_limit_on_the_size_of_files_is_a_clear_error(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(SUPPORT), str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 5, done.stderr
    assert "File too large" in done.stdout
    assert not list(tmp_path.rglob(".deepinit-tmp*"))
    assert finished_blocks(load_run(tmp_path / "run")) == []
