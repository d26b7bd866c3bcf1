"""Layout of a run directory: names, and the handle `Run`."""

import dataclasses
import hashlib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepinit.core.errors import ConflictError, SpecError
from deepinit.store.entries import own_files

FORMAT_VERSION = 2  # format 1, without checksums of journal lines and outputs, is read too
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
# Names that some file systems reserve for devices, with any extension.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """An open run directory.

    Attributes:
        identity, identity_hash: what the run computes, from spec.json; SHA-256 of its canonical
            JSON.
        shard: (i, n): part i of n.
        start: id in the journal; None for reading.
    """

    path: Path
    identity: Mapping[str, Any]
    identity_hash: str
    shard: tuple[int, int] = (0, 1)
    start: str | None = None
    format_version: int = FORMAT_VERSION


def require_writable(run: Run) -> None:
    """Refuse a handle without a lock."""
    if run.start is None:
        given, remedy = f"a write to {run.path}, opened for reading", "Use open_run."
        raise ConflictError(given, "`with open_run(path, identity) as run`", remedy)


def checked_name(name: str, what: str) -> str:
    """A lower-case `file` or `folder/file` name valid on common file systems (`A` can be `a`)."""
    parts = name.split("/")
    fits = all(
        _PART.fullmatch(part) and not part.endswith(".") and not _DEVICE.fullmatch(part)
        for part in parts
    )
    if len(parts) > 2 or not fits:
        raise SpecError(
            f"the {what} name {name!r}",
            "at most one folder, then a name, each 1 to 100 of a-z, 0-9, '_', '-' and '.', not "
            "starting with '-' or '.', not ending in '.', no device name such as 'con' or 'nul'",
            "portable_name(text) turns any text into such a name.",
        )
    return name


def is_portable(name: str) -> bool:
    """Whether `checked_name` accepts the name."""
    try:
        return bool(checked_name(name, "file"))
    except SpecError:
        return False


def portable_name(text: str) -> str:
    """A portable text; else its letters and 32 bits of SHA-256."""
    if "/" not in text and is_portable(text):
        return text
    letters = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:80].rstrip("-") or "x"
    return f"{letters}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def block_file(name: str) -> str:
    """File of a block."""
    checked_name(name, "block")
    if name.split("/")[0] == DAMAGED:
        remedy = "Quarantined blocks are stored there: rename it."
        raise SpecError(f"the block name {name!r}", f"any folder but {DAMAGED!r}", remedy)
    return f"{BLOCKS}/{name}.npz"


def block_names(path: Path) -> list[str]:
    """Sorted names of blocks; other files are ignored."""
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
    """Remedy for a damaged file."""
    command = f"deepinit verify {shlex.quote(str(path))} --repair"
    return f"`{command}` quarantines it; then rerun the original command."
