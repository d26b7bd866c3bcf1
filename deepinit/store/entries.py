"""Files of a run directory, opened without following links.

Links (except to the directory itself), FIFOs, devices and sockets are refused unopened: a link
leads elsewhere, a FIFO can block forever. OSErrors pass unchanged.
"""

import os
import stat
import struct
import tokenize
import zipfile
from collections.abc import Iterator
from pathlib import Path

from deepinit.core.errors import DamagedError

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISREG, "a file"),
)


# Errors of NumPy and zipfile on arbitrary bytes.
UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    OSError,
    OverflowError,
    MemoryError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
)


def kind(mode: int) -> str:
    """File type of a mode, with article."""
    return next((name for test, name in _KINDS if test(mode)), "of an unknown kind")


def own_path(root: Path, name: str, *, folder: bool = False) -> Path:
    """Path of `name` (relative, with `/`) below `root`, a file or a `folder`.

    DamagedError: a part is a link, special or of another kind, or leads upwards.
    """
    path = root
    parts = name.split("/")
    if not {"", ".", ".."}.isdisjoint(parts):
        raise _foreign(root / name, "no name of a file in it")
    for number, part in enumerate(parts, start=1):
        path = path / part
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return root / name
        if not (stat.S_ISDIR if number < len(parts) or folder else stat.S_ISREG)(mode):
            raise _foreign(path, kind(mode))
    return path


def open_own(root: Path, name: str, flags: int) -> int:
    """`os.open` of a regular file below `root`."""
    path = own_path(root, name)
    # The entry may change before it is opened: O_NOFOLLOW and O_NONBLOCK hold anyway.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise _foreign(path, kind(mode))
    return descriptor


def read_own(root: Path, name: str) -> bytes:
    """Bytes of a regular file."""
    with os.fdopen(open_own(root, name, os.O_RDONLY), "rb") as file:
        return file.read()


def has_own(root: Path, name: str) -> bool:
    """Whether `root` has this regular file."""
    return own_path(root, name).exists()


def own_files(root: Path, folder: str = "", depth: int = 1) -> Iterator[str]:
    """Names of regular files, down to `depth`."""
    try:
        place = own_path(root, folder, folder=True) if folder else root
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    for entry in entries:
        name = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_file(follow_symlinks=False):
            yield name
        elif depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from own_files(root, name, depth - 1)


def foreign_entries(
    root: Path, folder: str = "", depth: int = 3, skip: str = ""
) -> Iterator[tuple[str, str]]:
    """Names and faults of entries that are no folder or regular file, outside `skip`."""
    for entry in sorted(os.scandir(root / folder), key=lambda entry: entry.name):
        name = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            if depth > 1 and name != skip:
                yield from foreign_entries(root, name, depth - 1, skip)
        elif not entry.is_file(follow_symlinks=False):
            mode = entry.stat(follow_symlinks=False).st_mode
            yield name, f"is {kind(mode)}, not a file or folder"


def _foreign(path: Path, description: str) -> DamagedError:
    return DamagedError(
        f"{path}, which is {description}",
        "in a run directory files and folders of its own, no links or special files",
        "Replace it by the file itself or remove it; the original command computes missing blocks.",
    )
