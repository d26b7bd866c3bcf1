"""The journal: one JSON line per event, in the order of events, of every start and every shard.

A line counts once its newline is there. What a killed writer leaves after the last newline is passed over by the reader
and cut off by the next writer; anything else that is no JSON is damage.
"""

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepinit.core.errors import DamagedError, SpecError, refusal
from deepinit.store.atomic import system_refusals, write_all
from deepinit.store.canonical import canonical_json
from deepinit.store.layout import JOURNAL, Run, repair_remedy, require_writable

_OWN = ("event", "time", "start", "shard")


def append_event(run: Run, event: str, **fields: Any) -> None:
    """Append one line, flushed to the disk: the event, the time, which start and shard of the run, and the fields.

    Raises:
        SpecError: a field that JSON has no word for, or named as one of the journal's own.
        ConflictError: the run was opened for reading.
        ResourceError: the line could not be written; the journal is as it was before.
    """
    require_writable(run)
    taken = sorted(set(fields) & set(_OWN))
    if taken:
        raise SpecError(refusal(f"journal fields named {taken}", f"any names but {list(_OWN)}", "Rename them."))
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = {"event": event, "time": now, "start": run.start, "shard": f"{run.shard[0]}/{run.shard[1]}", **fields}
    _append(run.path / JOURNAL, canonical_json(line).encode("ascii") + b"\n")


def read_journal(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """All events of a run directory, oldest first; empty without a journal.

    Raises:
        DamagedError: a line other than an unfinished last one is no JSON object.
    """
    events, damaged = parsed_journal(Path(path))
    if damaged:
        raise DamagedError(
            refusal(
                f"line {damaged[0]} of {Path(path) / JOURNAL}, which is no JSON object",
                "the lines that were written",
                f"{repair_remedy(Path(path))} The journal's other lines are kept.",
            )
        )
    return events


def parsed_journal(path: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The events that can be read, and the numbers (from 1) of the finished lines that cannot."""
    try:
        data = (path / JOURNAL).read_bytes()
    except FileNotFoundError:
        return [], []
    events, damaged = [], []
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and all(isinstance(event.get(name), str) for name in _OWN):
            events.append(event)
        else:
            damaged.append(number)
    return events, damaged


def _append(path: Path, line: bytes) -> None:
    import fcntl

    with system_refusals(path, len(line)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            # Shards append to one journal: without a lock, cutting a torn end could cut another's line being written.
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
    """Truncate after the last newline. Returns the size that is left."""
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
