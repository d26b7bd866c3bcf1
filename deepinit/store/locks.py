"""One writer per shard: flock, released when its holder ends.

Shard (0, 1), the whole run, holds `.lock` exclusively; others share it and hold their own lock
file. Lock files are never deleted: a lock on a deleted file excludes nobody.
"""

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from deepinit.core.errors import ConflictError, ResourceError, SpecError
from deepinit.store.atomic import system_refusals, temporary_shard, write_all
from deepinit.store.canonical import loads
from deepinit.store.entries import open_own, own_files, read_own
from deepinit.store.layout import BLOCKS, FIGURES

_SHARD_LOCK = re.compile(r"\.lock-\d+-of-\d+")


def checked_shard(shard: tuple[int, int]) -> tuple[int, int]:
    """(i, n) with 0 <= i < n."""
    index, count = shard
    if not 0 <= index < count:
        raise SpecError(f"shard {index}/{count}", "i/n with 0 <= i < n", "Count shards from 0.")
    return index, count


def is_own_leftover(name: str) -> bool:
    """Whether this file can exist before spec.json."""
    return name == ".lock" or bool(_SHARD_LOCK.fullmatch(name)) or temporary_shard(name) is not None


@contextlib.contextmanager
def writer_lock(folder: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Hold a shard of a run directory.

    ConflictError has the holder's id, host and start time; ResourceError: no locks here.
    """
    index, count = checked_shard(shard)
    with contextlib.ExitStack() as stack:
        whole = stack.enter_context(_opened(folder, ".lock"))
        if not _acquired(whole, folder / ".lock", shared=count > 1):
            raise _second_writer(folder, shard, _holder(folder))
        own, path = whole, folder / ".lock"
        if count > 1:
            path = _shard_lock(folder, shard)
            own = stack.enter_context(_opened(folder, path.name))
            if not _acquired(own, path, shared=False):
                raise _second_writer(folder, shard, _read_holder(path))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "start": now,
            "shard": f"{index}/{count}",
        }
        # The holder's record serves messages only: on a full disk the lock holds without it.
        with contextlib.suppress(OSError):
            os.ftruncate(own, 0)
            write_all(own, json.dumps(holder).encode())
        yield


def remove_leftovers(folder: Path, shard: tuple[int, int]) -> int:
    """Remove dead writers' temporary files; returns their number."""
    removed = 0
    with system_refusals(folder, 0):
        names = [*own_files(folder), *own_files(folder, FIGURES), *own_files(folder, BLOCKS, 2)]
        for name in names:
            owner = temporary_shard(name.rpartition("/")[2])
            if owner is None:
                continue
            if shard[1] == 1 or owner == shard or not _is_held(_shard_lock(folder, owner)):
                (folder / name).unlink(missing_ok=True)
                removed += 1
    return removed


def _shard_lock(folder: Path, shard: tuple[int, int]) -> Path:
    return folder / (".lock" if shard[1] == 1 else f".lock-{shard[0]}-of-{shard[1]}")


@contextlib.contextmanager
def _opened(folder: Path, name: str) -> Iterator[int]:
    with system_refusals(folder / name, 0):
        descriptor = open_own(folder, name, os.O_RDWR | os.O_CREAT)
    try:
        yield descriptor
    finally:
        with contextlib.suppress(OSError):  # the lock is released all the same
            os.close(descriptor)


def _acquired(descriptor: int, path: Path, shared: bool) -> bool:
    try:
        import fcntl
    except ImportError:
        allowed = "Linux, macOS or another POSIX system"
        raise ResourceError("a system without flock", allowed, "Run there.") from None
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    # Retried: another process that reads the holder takes the lock for microseconds.
    for attempt in range(5):
        time.sleep(0.05 if attempt else 0.0)
        with system_refusals(path, 0), contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, mode)
            return True
    return False


def _is_held(path: Path) -> bool:
    import fcntl

    try:
        with system_refusals(path, 0):
            descriptor = open_own(path.parent, path.name, os.O_RDONLY)
    except ResourceError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return False
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def writers(folder: Path) -> str:
    """Current writers; empty without any."""
    paths = [folder / ".lock", *_shard_locks(folder)]
    return "; ".join(_read_holder(path) for path in paths if _is_held(path))


def _shard_locks(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob(".lock-*")) if _SHARD_LOCK.fullmatch(path.name)]


def _holder(folder: Path) -> str:
    """Holders of `.lock`: shards, or the whole run."""
    shards = [path for path in _shard_locks(folder) if _is_held(path)]
    return "; ".join(_read_holder(path) for path in shards or [folder / ".lock"])


def _read_holder(path: Path) -> str:
    try:
        holder = loads(read_own(path.parent, path.name))
        shard = f"shard {holder['shard']}, started {holder['start']}"
        return f"process {holder['pid']} on host {holder['host']} ({shard})"
    except (OSError, ValueError, KeyError, TypeError):
        return "a process that has only just started"


def _second_writer(folder: Path, shard: tuple[int, int], holder: str) -> ConflictError:
    return ConflictError(
        f"a second writer for {folder} (shard {shard[0]}/{shard[1]}), which is held by {holder}",
        "one writer per shard, or one of the whole run",
        "Wait until it ends, stop it, or choose another directory.",
    )
