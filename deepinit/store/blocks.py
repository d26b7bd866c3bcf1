"""Blocks: named groups of arrays, one checked file each.

An uncompressed npz file (for `numpy.load`); its zip comment names block and run and ends in the
SHA-256 of all bytes before. Bytes depend on name, run and arrays alone.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepinit.core.errors import DamagedError, SpecError
from deepinit.store.atomic import create_file, replace_file, system_refusals
from deepinit.store.canonical import canonical_json, loads
from deepinit.store.entries import UNREADABLE, has_own, read_own
from deepinit.store.journal import append_event
from deepinit.store.layout import Run, block_file, block_names, repair_remedy, require_writable

_DIGEST_LENGTH = 64


def write_block(run: Run, name: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a block and its journal line.

    `name`: portable, such as "000000-000255" or "relu-w64/000000-000255". Arrays are booleans,
    numbers or strings.
    """
    require_writable(run)
    file = block_file(name)
    data = block_bytes(run.identity_hash, name, arrays)
    replace_file(run.path, file, data, run.shard)
    record_block(run, name, data)


def create_block(run: Run, name: str, arrays: Mapping[str, np.ndarray]) -> bool:
    """As `write_block` for a new name; False, and nothing is written, where the block exists."""
    require_writable(run)
    if has_block(run, name):
        return False
    data = block_bytes(run.identity_hash, name, arrays)
    created = create_file(run.path, block_file(name), data, run.shard)
    if created:
        record_block(run, name, data)
    return created


def record_block(run: Run, name: str, data: bytes) -> None:
    """Record a block in the journal."""
    append_event(run, "block", name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def read_block(run: Run, name: str) -> dict[str, np.ndarray]:
    """Arrays of a block; every byte is checked."""
    try:
        data = read_own(run.path, block_file(name))
    except FileNotFoundError:
        given = f"the block {name!r}, missing in {run.path}"
        remedy = "Rerun the original command to compute missing blocks."
        raise SpecError(given, "blocks in finished_blocks(run)", remedy) from None
    except OSError as error:
        raise _damaged(run.path, name, f"cannot be read ({error.strerror})") from error
    fault = block_fault(data, run.identity_hash, name)
    if fault:
        raise _damaged(run.path, name, fault)
    try:
        return _arrays(data)
    except UNREADABLE as error:
        raise _damaged(run.path, name, f"cannot be decoded ({error})") from error


def has_block(run: Run, name: str) -> bool:
    """Whether the block exists, unread."""
    with system_refusals(run.path, 0):
        return has_own(run.path, block_file(name))


def finished_blocks(run: Run) -> list[str]:
    """Sorted names of finished blocks."""
    return block_names(run.path)


def block_bytes(identity_hash: str, name: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    """File of a block, determined by these arguments."""
    buffer = io.BytesIO()
    label = canonical_json({"block": name, "identity": identity_hash}).encode("ascii")
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for key in sorted(arrays):
            member = zipfile.ZipInfo(f"{_checked_key(key)}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3  # else the system that writes it
            archive.writestr(member, _npy_bytes(name, key, arrays[key]))
        archive.comment = label + bytes(_DIGEST_LENGTH)
    body = buffer.getvalue()[:-_DIGEST_LENGTH]
    return body + hashlib.sha256(body).hexdigest().encode("ascii")


def block_fault(data: bytes, identity_hash: str, name: str) -> str | None:
    """Fault of a block's bytes, or None."""
    body, digest = data[:-_DIGEST_LENGTH], data[-_DIGEST_LENGTH:]
    if hashlib.sha256(body).hexdigest().encode("ascii") != digest:
        return f"does not match its SHA-256 ({len(data):,} bytes on disk): truncated or changed"
    # From here on the bytes are as written, by this run or by another.
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            label = loads(archive.comment[:-_DIGEST_LENGTH])
        block, identity = str(label["block"]), str(label["identity"])
    except UNREADABLE:
        return "is not a block of deepinit"
    if identity != identity_hash:
        return f"belongs to another run (identity {identity[:8]}, here {identity_hash[:8]})"
    if block != name:
        return f"holds the block {block!r}"
    return None


def _arrays(data: bytes) -> dict[str, np.ndarray]:
    """Arrays of a block's bytes."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(data):
                raise ValueError("a member that is compressed or larger than the file")
            stream = io.BytesIO(archive.read(member))
            array = np.lib.format.read_array(stream, allow_pickle=False)
            arrays[member.filename.removesuffix(".npy")] = array
    return arrays


def _npy_bytes(name: str, key: str, array: np.ndarray) -> bytes:
    # Row-major, so that equal arrays give equal bytes.
    array = np.asarray(array, order="C")
    if array.dtype.kind not in "biufcSUmM" or array.dtype.isbuiltin == 2:
        raise SpecError(
            f"the array {key!r} of block {name!r}, of dtype {array.dtype}",
            "NumPy's booleans, integers, floats, complex numbers and fixed-length strings",
            "Convert it first, for example bfloat16 by .astype('float32').",
        )
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _checked_key(key: str) -> str:
    fits = isinstance(key, str) and key and key.isprintable()
    if not fits or key.startswith("/") or "\\" in key:
        allowed = "printable text without a backslash"
        raise SpecError(f"an array named {key!r}", allowed, "Rename the array.")
    return key


def _damaged(path: Path, name: str, fault: str) -> DamagedError:
    given = f"block {name!r} of {path}, which {fault}"
    return DamagedError(given, "blocks as they were written", repair_remedy(path))
