"""The journal: one JSON line per event, of all starts and shards.

A line ends in a checksum of its other bytes and a newline. A torn line after the last newline is
ignored and later cut off; any other mismatch is damage.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from deepinit.core.errors import DamagedError, SpecError
from deepinit.store.atomic import system_refusals, write_all
from deepinit.store.canonical import canonical_json, loads
from deepinit.store.entries import has_own, open_own, read_own
from deepinit.store.layout import JOURNAL, SPEC, Run, is_portable, repair_remedy, require_writable
from deepinit.store.spec import read_spec

_OWN = ("event", "time", "start", "shard", "check")
_SHARD = re.compile(r"([0-9]{1,9})/([0-9]{1,9})", re.ASCII)
_CHECK = re.compile(rb',"check":"([0-9a-f]{16})"}')
_CHECK_LENGTH = len(b',"check":""}') + 16


class Journal(NamedTuple):
    """A parsed journal: intact lines without newlines, events, damaged line numbers from 1."""

    lines: list[bytes]
    events: list[dict[str, Any]]
    damaged: list[int]


def append_event(run: Run, event: str, **fields: Any) -> None:
    """Append one flushed line: event, time, start, shard, fields.

    SpecError for fields that are no JSON, or reserved.
    """
    require_writable(run)
    taken = sorted(set(fields) & set(_OWN))
    if taken:
        allowed = f"any names but {list(_OWN)}"
        raise SpecError(f"journal fields named {taken}", allowed, "Rename them.")
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {
        "event": event,
        "time": now,
        "start": run.start,
        "shard": f"{run.shard[0]}/{run.shard[1]}",
        **fields,
    }
    _append(run.path, checked_line(line) + b"\n")


def checked_line(event: dict[str, Any]) -> bytes:
    """Line of an event, without newline."""
    text = canonical_json(event).encode("ascii")
    return text[:-1] + b',"check":"' + _digest(text) + b'"}'


def read_journal(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """All events, oldest first; empty without a journal."""
    journal = parsed_journal(Path(path))
    if journal.damaged:
        given = f"line {journal.damaged[0]} of {Path(path) / JOURNAL}, not matching its checksum"
        remedy = f"{repair_remedy(Path(path))} The journal's other lines are kept."
        raise DamagedError(given, "the lines as written", remedy)
    return journal.events


def parsed_journal(path: Path) -> Journal:
    """Intact lines, and numbers of damaged ones."""
    with system_refusals(path / JOURNAL, 0):
        if not has_own(path, JOURNAL):
            return Journal([], [], [])
        unchecked = has_own(path, SPEC) and read_spec(path, 10**9).format_version == 1
        data = read_own(path, JOURNAL)
    lines, events, damaged = [], [], []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        event = _event(line, unchecked)
        if event is None:
            damaged.append(number)
        else:
            lines.append(line)
            events.append(event)
    return Journal(lines, events, damaged)


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode("ascii")


def _event(line: bytes, unchecked: bool) -> dict[str, Any] | None:
    """Event of a line; None if damaged. Format 1 has no checksums."""
    body, check = line[:-_CHECK_LENGTH] + b"}", _CHECK.fullmatch(line[-_CHECK_LENGTH:])
    if check is None and unchecked:
        body = line
    elif check is None or _digest(body) != check[1]:
        return None
    try:
        event = loads(body)
    except ValueError:
        return None
    return event if _is_event(event) else None


def _is_event(event: Any) -> bool:
    """Whether a value is a valid event."""
    names = _OWN[:-1]
    if not isinstance(event, dict) or not all(isinstance(event.get(name), str) for name in names):
        return False
    shard = _SHARD.fullmatch(event["shard"])
    if not shard or int(shard[1]) >= int(shard[2]):
        return False
    fields = _FIELDS.get(event["event"], {})
    return all(name not in event or is_valid(event[name]) for name, is_valid in fields.items())


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_text_record(value: Any) -> bool:
    return isinstance(value, dict) and all(
        text is None or isinstance(text, str) for text in value.values()
    )


def is_checks(value: Any) -> bool:
    """Whether a value is name -> bytes and SHA-256."""
    return isinstance(value, dict) and all(
        is_portable(name)
        and isinstance(check, dict)
        and type(check.get("bytes")) is int
        and isinstance(check.get("sha256"), str)
        for name, check in value.items()
    )


def _is_provenance(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    git = value.get("git_deepinit")
    return (
        _is_text_record(value.get("versions", {}))
        and _is_texts(value.get("command", []))
        and (git is None or (isinstance(git, dict) and isinstance(git.get("commit", ""), str)))
    )


_FIELDS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "start": {"environment": _is_text_record, "mixed": _is_texts},
    "block": {"name": lambda value: isinstance(value, str)},
    "result": {"sha256": lambda value: isinstance(value, str)},
    "provenance": {"record": _is_provenance},
    "concluded": {"files": is_checks},
    "discarded": {"name": lambda value: isinstance(value, str)},
}


def _append(folder: Path, line: bytes) -> None:
    import fcntl

    with system_refusals(folder / JOURNAL, len(line)):
        descriptor = open_own(folder, JOURNAL, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        try:
            # Shards share the journal: without a lock, one could cut another's unfinished line.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = _cut_torn_end(descriptor)
            try:
                write_all(descriptor, line)
                os.fsync(descriptor)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


def _cut_torn_end(descriptor: int) -> int:
    """Truncate after the last newline; returns the size."""
    size = os.fstat(descriptor).st_size
    end = size
    while end:
        begin = max(0, end - 65536)
        newline = os.pread(descriptor, end - begin, begin).rfind(b"\n")
        if newline >= 0:
            end = begin + newline + 1
            break
        end = begin
    if end < size:
        os.ftruncate(descriptor, end)
    return end
