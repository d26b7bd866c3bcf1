"""Outputs of a finished run, with checksums here and in the journal.

.concluding     exists while the files below are written
report.html, figures/, result.nc
outputs.zip     a copy, for repair
manifest.json   written last: sizes and SHA-256 of these files and of the journal so far
"""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

from deepinit.core.errors import DamagedError, SpecError
from deepinit.store.atomic import remove_file, replace_file, system_refusals
from deepinit.store.canonical import canonical_json, identity_hash, loads
from deepinit.store.entries import UNREADABLE, has_own, read_own
from deepinit.store.journal import append_event, is_checks, read_journal
from deepinit.store.layout import (
    BLOCKS,
    COPY,
    JOURNAL,
    MANIFEST,
    MARKER,
    PROVENANCE,
    RESULT,
    SPEC,
    Run,
    block_names,
    checked_name,
    require_writable,
)

Checks = dict[str, dict[str, Any]]
_RESERVED = (SPEC, JOURNAL, PROVENANCE, MANIFEST, COPY, BLOCKS)


def write_outputs(run: Run, files: Mapping[str, bytes]) -> None:
    """Write the outputs, name -> bytes; if killed, the run is unfinished."""
    require_writable(run)
    for name in files:
        checked_name(name, "file")
        if name.split("/")[0] in _RESERVED:
            allowed = "any name that the run does not use itself"
            raise SpecError(f"the file name {name!r}", allowed, "Rename it.")
    replace_file(run.path, MARKER, b"", run.shard)
    for name, data in files.items():
        replace_file(run.path, name, data, run.shard)
    _seal(run, files)


def recorded_outputs(run: Run) -> Checks | None:
    """Checksums in the journal; None for an unfinished run."""
    return outputs_of(read_journal(run.path))


def outputs_of(events: list[dict[str, Any]]) -> Checks | None:
    """Checksums of outputs in journal events."""
    for event in reversed(events):
        if event["event"] == "concluded":
            return event.get("files")
        if event["event"] == "result" and "sha256" in event:  # format 1 has no others
            return {RESULT: event}
    return None


def is_finalized(run: Run) -> bool:
    """Whether every output and recorded block exists."""
    events = read_journal(run.path)
    recorded = outputs_of(events)
    blocks = {event.get("name") for event in events if event["event"] == "block"}
    with system_refusals(run.path, 0):
        if not blocks <= set(block_names(run.path)):
            return False
        if recorded is None or has_own(run.path, MARKER):
            return False
        names = [*recorded, *([MANIFEST] if run.format_version > 1 else [])]
        if not all(has_own(run.path, name) for name in names):
            return False
    for name, check in recorded.items():
        fault = output_fault(run, name, check)
        if fault:
            given, remedy = f"{run.path / name}, which {fault}", "Add --repair to write it again."
            raise DamagedError(given, "the files that the run exported", remedy)
    return True


def output_fault(run: Run, name: str, check: Mapping[str, Any] | None) -> str | None:
    """Fault of an output; None if intact."""
    try:
        data = read_own(run.path, name)
    except FileNotFoundError:
        return "is missing"
    except DamagedError as error:
        return f"is no file of its own ({error})"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if check is None or hashlib.sha256(data).hexdigest() != check["sha256"]:
        return f"does not match the SHA-256 in the journal ({len(data):,} bytes on disk)"
    return None


def output_faults(run: Run, events: list[dict[str, Any]]) -> dict[str, str]:
    """Faults of outputs, manifest and journal length."""
    with system_refusals(run.path, 0):
        if has_own(run.path, MARKER):
            return {}  # killed during export, which the original command repeats
        manifest, fault = _read_manifest(run)
    recorded = outputs_of(events)
    faults = {} if fault is None or (recorded is None and fault == _MISSING) else {MANIFEST: fault}
    if recorded is None and manifest is not None:
        recorded = manifest["files"]
    if run.format_version == 1:
        faults.pop(MANIFEST, None)
        if recorded is None or not has_own(run.path, RESULT):
            return {}
    for name, check in (recorded or {}).items():
        output = output_fault(run, name, check)
        if output:
            faults[name] = output
    if manifest is not None:
        with system_refusals(run.path, 0):
            journal = read_own(run.path, JOURNAL) if has_own(run.path, JOURNAL) else b""
        expected = manifest["journal"]
        if _check(journal[: expected["bytes"]]) != expected:
            recorded_bytes = f"{expected['bytes']:,} bytes recorded in {MANIFEST}"
            faults[JOURNAL] = f"has lost or changed lines of the {recorded_bytes}"
        elif manifest["files"] != recorded:
            faults[MANIFEST] = "contradicts the journal"
    return faults


def restore_outputs(run: Run, faults: Mapping[str, str]) -> tuple[str, ...]:
    """Restore outputs from their copy (names of files); without one the run becomes unfinished.

    The journal is intact; `faults` of `output_faults` are quarantined.
    """
    if not faults:
        return ()
    manifest, _ = _read_manifest(run)
    recorded = recorded_outputs(run) or (manifest["files"] if manifest is not None else None)
    if recorded is None:
        replace_file(run.path, MARKER, b"", run.shard)
        return ()
    copies = _read_copies(run, recorded)
    files = {}
    for name, check in recorded.items():
        if name == COPY:
            continue
        data = copies.get(name) if name in faults else read_own(run.path, name)
        expected = {"bytes": check.get("bytes"), "sha256": check["sha256"]}
        if data is not None and _check(data) == expected:
            files[name] = data
    replace_file(run.path, MARKER, b"", run.shard)
    written = [name for name in files if name in faults]
    for name in written:
        replace_file(run.path, name, files[name], run.shard)
    if files.keys() == recorded.keys() - {COPY}:
        _seal(run, files)
        written += [name for name in (COPY, MANIFEST) if name in faults]
    return tuple(written)


def _seal(run: Run, files: Mapping[str, bytes]) -> None:
    """Write copy, checksums and manifest."""
    copy = _copy_bytes(files)
    replace_file(run.path, COPY, copy, run.shard)
    checks = {name: _check(data) for name, data in {**files, COPY: copy}.items()}
    append_event(run, "concluded", files=checks)
    with system_refusals(run.path / JOURNAL, 0):
        record = {"files": checks, "journal": _check(read_own(run.path, JOURNAL))}
    replace_file(run.path, MANIFEST, _manifest_bytes(record), run.shard)
    remove_file(run.path, MARKER)


def _manifest_bytes(record: dict[str, Any]) -> bytes:
    return f"{canonical_json({**record, 'sha256': identity_hash(record)})}\n".encode("ascii")


def _check(data: bytes) -> dict[str, Any]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


_MISSING = "is missing"


def _read_manifest(run: Run) -> tuple[dict[str, Any] | None, str | None]:
    """Record in manifest.json, and its fault."""
    try:
        data = read_own(run.path, MANIFEST)
        record = loads(data)
        digest = record.pop("sha256")
        checks = {**record["files"], JOURNAL: record["journal"]}
        if data == _manifest_bytes(record) and isinstance(digest, str) and is_checks(checks):
            return record, None
    except FileNotFoundError:
        return None, _MISSING
    except DamagedError as error:
        return None, f"is no file of its own ({error})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None, "is torn or changed"


def _copy_bytes(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(member, files[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _read_copies(run: Run, recorded: Checks) -> dict[str, bytes]:
    """Copies of recorded size, with checksums unchecked."""
    copies: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(read_own(run.path, COPY))) as archive:
            for member in archive.infolist():
                if member.file_size == recorded.get(member.filename, {}).get("bytes"):
                    copies[member.filename] = archive.read(member)
    except (DamagedError, zlib.error, *UNREADABLE):
        pass  # the copies read so far are returned
    return copies
