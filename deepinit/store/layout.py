"""Where things stand in a run directory, what they may be called, and the handle that names one."""

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepinit.core.errors import ConflictError, SpecError
from deepinit.store.entries import own_files

FORMAT_VERSION = 2  # 1: without checksums of journal lines and outputs; it is read
SPEC = "spec.json"
JOURNAL = "journal.jsonl"
PROVENANCE = "provenance.json"
RESULT = "result.nc"
MANIFEST = "manifest.json"
COPY = "outputs.zip"
MARKER = ".concluding"
BLOCKS = "blocks"
FIGURES = "figures"
DAMAGED = "damaged"

_PART = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,99}")
# Names that some file systems keep for devices, whatever the extension.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run directory that has been opened.

    Attributes:
        path: the directory.
        identity: what the run computes, as it stands in spec.json.
        identity_hash: SHA-256 of its canonical JSON.
        shard: (i, n): this writer has part i of n; (0, 1) has the whole.
        start: identifies this start in the journal; None when the run was opened for reading.
        format_version: of the directory's layout.
    """

    path: Path
    identity: Mapping[str, Any]
    identity_hash: str
    shard: tuple[int, int] = (0, 1)
    start: str | None = None
    format_version: int = FORMAT_VERSION


def require_writable(run: Run) -> None:
    """Refuse to write through a handle that holds no lock."""
    if run.start is None:
        raise ConflictError(
            f"something to write into {run.path}, which was opened for reading",
            "writing under the lock that open_run takes",
            "Use `with open_run(path, identity) as run`.",
        )


def checked_name(name: str, what: str) -> str:
    """The name, if it is a file or a folder and a file on every common file system; else a refusal.

    Lower case only: where file names ignore case, `A` and `a` would be one file.
    """
    parts = name.split("/")
    fits = all(
        _PART.fullmatch(part) and not part.endswith(".") and not _DEVICE.fullmatch(part)
        for part in parts
    )
    if len(parts) > 2 or not fits:
        raise SpecError(
            f"the {what} name {name!r}",
            "at most one folder, then a name, each of 1 to 100 lower-case letters, digits, '_', '-' and '.', "
            "not starting with '-' or '.', not ending in '.', no device name such as 'con' or 'nul'",
            "portable_name(text) turns any text into such a name.",
        )
    return name


def is_portable(name: str) -> bool:
    """Whether `checked_name` takes the name."""
    try:
        return bool(checked_name(name, "file"))
    except SpecError:
        return False


def portable_name(text: str) -> str:
    """A file name for any text: the text itself where it is portable, else its letters and eight digits of its hash.

    Two texts never share a name, short of a collision of 32 bits of SHA-256.
    """
    if "/" not in text and is_portable(text):
        return text
    letters = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:80].rstrip("-") or "x"
    return f"{letters}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def block_file(name: str) -> str:
    """The file of a block, relative to the run directory."""
    checked_name(name, "block")
    if name.split("/")[0] == DAMAGED:
        raise SpecError(
            f"the block name {name!r}",
            f"any folder but {DAMAGED!r}",
            "Damaged blocks are kept there: rename it.",
        )
    return f"{BLOCKS}/{name}.npz"


def block_names(path: Path) -> list[str]:
    """Names of the blocks that stand in a run directory, sorted; other files are passed over.

    Raises:
        DamagedError: a link or a special file in place of the folder of the blocks.
    """
    names = []
    for file in own_files(path, BLOCKS, depth=2):
        name = file.removeprefix(f"{BLOCKS}/").removesuffix(".npz")
        try:
            if block_file(name) == file:
                names.append(name)
        except SpecError:
            continue
    return sorted(names)


def repair_remedy(path: Path) -> str:
    """What to do about a damaged file."""
    return (
        f"`deepinit verify {shlex.quote(str(path))} --repair` sets the damaged file aside; the run's own command then "
        "computes only what is missing."
    )
