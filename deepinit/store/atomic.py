"""Files that are there whole or not at all.

Bytes go to a temporary name in the same folder, to the disk (fsync), and take their final name in one step (rename,
or a hard link where the name must be new); the folder is flushed last. Killed at any point, this leaves a finished file,
or none and a temporary file that the next start recognises by its name and removes.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from deepinit.core.errors import ResourceError, refusal
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


def replace_file(root: Path, name: str, data: bytes, shard: tuple[int, int]) -> None:
    """Write a whole file under its final name below `root`, in place of an earlier one.

    Folders on the way to it are created.

    Raises:
        DamagedError: a link or a special file stands there or on the way.
        ResourceError: the disk is full, the folder is read-only, or any other refusal of the
            system; nothing of the new file stays and an earlier file is untouched.
    """
    with system_refusals(root / name, len(data)):
        path = own_path(root, name)
        make_folder(path.parent)
        _write(path, data, shard, os.replace)


def create_file(root: Path, name: str, data: bytes, shard: tuple[int, int]) -> bool:
    """As `replace_file`, but only if no file has that name: False, and nothing done, if one has.

    Raises:
        DamagedError, ResourceError: as `replace_file`.
    """
    with system_refusals(root / name, len(data)):
        try:
            _write(own_path(root, name), data, shard, _link)
        except FileExistsError:
            return False
    return True


def remove_file(root: Path, name: str) -> None:
    """Remove a file below `root`, if it is there, flushed to the disk.

    Raises:
        DamagedError, ResourceError: as `replace_file`.
    """
    with system_refusals(root / name, 0):
        path = own_path(root, name)
        path.unlink(missing_ok=True)
        _flush_folder(path.parent)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, flushed to the disk.

    Raises:
        ResourceError: as `replace_file`.
    """
    if path.is_dir():
        return
    with system_refusals(path, 0):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            _flush_folder(folder.parent)


def require_atomic_rename(folder: Path, shard: tuple[int, int]) -> None:
    """Refuse a file system on which a file can be there in part under its final name: object stores mounted as folders.

    Raises:
        ResourceError: such a file system, by its name or by how a rename turned out; or as `replace_file`.
    """
    name = _copying_file_system(folder)
    with system_refusals(folder, 0):
        try:
            if name is None and _renames_in_one_step(folder, shard):
                return
        except PermissionError:
            return  # a finished run may be looked at; what is to be written is refused where it is
    raise ResourceError(
        f"{folder}, on a file system ({name or 'unknown'}) that copies files instead of renaming them in one step, so that a "
        "run killed meanwhile would leave half a block under its final name",
        "a local disk, NFS, Lustre or another file system with atomic rename",
        "Write the run there, and copy the finished directory to the object store.",
    )


def _copying_file_system(folder: Path) -> str | None:
    """Its name, if the folder's mount is one of those known to copy; None where the system does not tell."""
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
    """Whether a file renamed onto another stays itself, while who has the other one open goes on reading that."""
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
    """Which shard a temporary file belongs to; None for a name that this package did not give."""
    match = _TEMPORARY.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


@contextlib.contextmanager
def system_refusals(path: Path, num_bytes: int) -> Iterator[None]:
    """Turn the system's refusals within into a ResourceError that says where, how much, and what is kept."""
    try:
        yield
    except OSError as error:
        raise ResourceError(_refused(path, num_bytes, error)) from error


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
        if error.errno not in (
            errno.EPERM,
            errno.ENOSYS,
            errno.EOPNOTSUPP,
            errno.EMLINK,
            errno.EXDEV,
        ):
            raise
        # No hard links here. The caller holds a lock, so that nobody creates the file between these two steps.
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
        if error.errno not in (
            errno.EINVAL,
            errno.EBADF,
            errno.EOPNOTSUPP,
        ):  # some file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def _refused(path: Path, num_bytes: int, error: OSError) -> str:
    needed = f" ({num_bytes:,} bytes to write)" if num_bytes else ""
    given = f"'{error.strerror or error}' at {path}{needed}"
    kept = "Finished blocks are kept and nothing half-written stands under a final name"
    if error.errno in _FULL:
        return refusal(
            f"{given}, where {_free(path)} bytes are free",
            "a disk with room, and a quota, for what the run writes",
            f"{kept}: free some space there and run the same command again.",
        )
    if error.errno in _FORBIDDEN:
        return refusal(
            given,
            "files and folders that this user may read and write",
            f"{kept}: change the folder's permissions, or choose another directory, and run the same command again.",
        )
    return refusal(
        given,
        "a folder that takes files of this size and name",
        f"{kept}: mend this and run the same command again.",
    )


def _free(path: Path) -> str:
    for folder in path.parents:
        with contextlib.suppress(OSError):
            return f"{shutil.disk_usage(folder).free:,}"
    return "an unknown number of"
