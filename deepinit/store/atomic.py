"""Atomic file writes: a file is intact or absent.

A temporary file in the same folder is flushed (fsync), then renamed (or hard-linked, if the name
must be new); the folder is flushed last. The next start removes leftovers.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from deepinit.core.errors import ResourceError
from deepinit.store.entries import own_path

_TEMPORARY = re.compile(r"\.deepinit-tmp-(\d+)-of-(\d+)-[0-9a-f]{16}")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_COPYING = (
    "s3fs",
    "gcsfuse",
    "goofys",
    "geesefs",
    "rclone",
    "blobfuse",
    "mountpoint-s3",
    "ossfs",
    "cosfs",
    "obsfs",
)
_MOUNTS = Path("/proc/self/mounts")
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV)
_NO_FOLDER_FLUSH = (errno.EINVAL, errno.EBADF, errno.EOPNOTSUPP)  # of some file systems


def replace_file(root: Path, name: str, data: bytes, shard: tuple[int, int]) -> None:
    """Write or replace a file, with missing folders."""
    with system_refusals(root / name, len(data)):
        path = own_path(root, name)
        make_folder(path.parent)
        _write(path, data, shard, os.replace)


def create_file(root: Path, name: str, data: bytes, shard: tuple[int, int]) -> bool:
    """As `replace_file` for a new name; else False."""
    with system_refusals(root / name, len(data)):
        path = own_path(root, name)
        make_folder(path.parent)
        try:
            _write(path, data, shard, _link)
        except FileExistsError:
            return False
    return True


def remove_file(root: Path, name: str) -> None:
    """Remove a file if it exists, flushed."""
    with system_refusals(root / name, 0):
        path = own_path(root, name)
        path.unlink(missing_ok=True)
        _flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, flushed."""
    if path.is_dir():
        return
    with system_refusals(path, 0):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _flush_folder(folder.parent)


def require_atomic_rename(folder: Path, shard: tuple[int, int]) -> None:
    """Refuse file systems without atomic rename (object stores), by name or test."""
    name = _copying_file_system(folder)
    with system_refusals(folder, 0):
        try:
            if name is None and _renames_in_one_step(folder, shard):
                return
        except PermissionError:
            return  # a finished run can be read; writes are refused when they occur
    raise ResourceError(
        f"{folder}, on a file system ({name or 'unknown'}) without atomic rename",
        "a local disk, NFS, Lustre or another file system with atomic rename",
        "Write the run there, and copy the finished directory to the object store.",
    )


def _copying_file_system(folder: Path) -> str | None:
    """Name of a file system that copies instead of renaming."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return None
    place = folder.resolve()
    mounts = [
        (Path(point.replace("\\040", " ")), f"{source} {kind}")
        for source, point, kind, *_ in map(str.split, lines)
    ]
    on = [(point, kind) for point, kind in mounts if point == place or point in place.parents]
    kind = max(on, key=lambda mount: len(mount[0].parts))[1].lower() if on else ""
    return next((name for name in _COPYING if name in kind and "fuse" in kind), None)


def _renames_in_one_step(folder: Path, shard: tuple[int, int]) -> bool:
    """Whether rename keeps the inode, and open readers the old content."""
    old, new = (folder / _temporary_name(shard) for _ in range(2))
    reader = None
    try:
        for path, data in ((old, b"old"), (new, b"new")):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                write_all(descriptor, data)
            finally:
                os.close(descriptor)
        reader = os.open(old, os.O_RDONLY)
        renamed = new.stat().st_ino
        os.replace(new, old)
        same = old.stat().st_ino == renamed and old.read_bytes() == b"new" and not new.exists()
        return same and os.read(reader, 9) == b"old"
    finally:
        if reader is not None:
            os.close(reader)
        for path in (old, new):
            with contextlib.suppress(OSError):
                os.unlink(path)


def _temporary_name(shard: tuple[int, int]) -> str:
    return f".deepinit-tmp-{shard[0]}-of-{shard[1]}-{secrets.token_hex(8)}"


def temporary_shard(name: str) -> tuple[int, int] | None:
    """Shard of a temporary file; else None."""
    match = _TEMPORARY.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


@contextlib.contextmanager
def system_refusals(path: Path, num_bytes: int) -> Iterator[None]:
    """Turn OSError into ResourceError with path and size."""
    try:
        yield
    except OSError as error:
        raise _refused(path, num_bytes, error) from error


def _write(
    path: Path, data: bytes, shard: tuple[int, int], publish: Callable[[Path, Path], None]
) -> None:
    temporary = path.parent / _temporary_name(shard)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        publish(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(path.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """`os.write` until every byte is out."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links here. The caller's lock keeps others from creating the file in between.
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.replace(temporary, path)
        return
    os.unlink(temporary)


def _flush_folder(folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder that may be entered and not listed
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_FLUSH:
            raise
    finally:
        os.close(descriptor)


def _refused(path: Path, num_bytes: int, error: OSError) -> ResourceError:
    given = f"'{error.strerror or error}' at {path}"
    given += f" ({num_bytes:,} bytes to write)" if num_bytes else ""
    allowed, remedy = "a folder that takes files of this size and name", "Fix this"
    if error.errno in _FULL:
        given += f", where {_free(path)} bytes are free"
        allowed, remedy = "a disk and a quota with room for the run", "Free some space"
    elif error.errno in _FORBIDDEN:
        allowed = "files and folders that this user may read and write"
        remedy = "Change the permissions or the directory"
    return ResourceError(given, allowed, f"{remedy} and rerun the command; blocks are kept.")


def _free(path: Path) -> str:
    for folder in path.parents:
        with contextlib.suppress(OSError):
            return f"{shutil.disk_usage(folder).free:,}"
    return "an unknown number of"
