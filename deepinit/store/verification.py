"""Check a run directory byte by byte, and set what is damaged aside."""

import dataclasses
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepinit.core.errors import DamagedError
from deepinit.store.atomic import make_folder, replace_file, system_refusals
from deepinit.store.blocks import block_fault
from deepinit.store.canonical import canonical_json
from deepinit.store.journal import append_event, parsed_journal
from deepinit.store.layout import BLOCKS, DAMAGED, JOURNAL, PROVENANCE, RESULT, Run, block_names, block_path
from deepinit.store.locks import writer_lock
from deepinit.store.provenance import export_provenance
from deepinit.store.results import result_fault
from deepinit.store.runs import load_run


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """What a check of a run directory found.

    Attributes:
        good: names of the blocks that hold what was written.
        damaged: name of a block -> what is wrong with it.
        missing: names of the blocks that the journal has as written and that are not there.
        damaged_files: name of another file (result.nc, journal.jsonl, provenance.json) -> what is wrong with it.
    """

    good: tuple[str, ...]
    damaged: Mapping[str, str]
    missing: tuple[str, ...]
    damaged_files: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether everything that was written is there, as it was written."""
        return not (self.damaged or self.missing or self.damaged_files)


def verify(path: str | os.PathLike[str]) -> VerifyReport:
    """Read and check every block, the journal and result.nc. Changes nothing.

    Raises:
        SpecError: no run directory.
        ConflictError: a newer deepinit wrote it.
        DamagedError: spec.json is damaged, so that nothing can be checked against it.
    """
    run = load_run(path)
    present = block_names(run.path)
    damaged = {name: fault for name in present if (fault := _fault(run, name))}
    events, damaged_lines = parsed_journal(run.path)
    written = {event["name"] for event in events if event["event"] == "block" and isinstance(event.get("name"), str)}
    files = {}
    if damaged_lines:
        files[JOURNAL] = f"has lines that are no JSON object: {', '.join(map(str, damaged_lines[:20]))}"
    try:
        fault = result_fault(run)
    except DamagedError:
        fault = None  # the journal that has its check is itself damaged, and named
    if fault:
        files[RESULT] = fault
    fault = _provenance_fault(run.path, events)
    if fault and not damaged_lines:
        files[PROVENANCE] = fault
    good = tuple(name for name in present if name not in damaged)
    return VerifyReport(good, damaged, tuple(sorted(written - set(present))), files)


def discard_damaged(path: str | os.PathLike[str]) -> VerifyReport:
    """Move what is damaged to `blocks/damaged/`, where nothing is lost and nothing is in the way of computing it anew.

    A damaged journal is set aside likewise, and a new one begins with the lines that can be read; provenance.json is made
    again from the journal.

    Returns:
        What `verify` found before.

    Raises:
        ConflictError: a writer is at work.
        SpecError, DamagedError, ResourceError: as `verify` and the writing of any file.
    """
    run = load_run(path)
    with writer_lock(run.path, (0, 1)):
        run = dataclasses.replace(run, start=secrets.token_hex(4))
        report = verify(run.path)
        if JOURNAL in report.damaged_files:
            lines = "".join(canonical_json(event) + "\n" for event in parsed_journal(run.path)[0])
            kept = _set_aside(run.path, run.path / JOURNAL, JOURNAL)
            replace_file(run.path / JOURNAL, lines.encode("ascii"), run.shard)
            append_event(run, "discarded", name=JOURNAL, reason=report.damaged_files[JOURNAL], kept=kept)
        if RESULT in report.damaged_files:
            kept = _set_aside(run.path, run.path / RESULT, RESULT)
            append_event(run, "discarded", name=RESULT, reason=report.damaged_files[RESULT], kept=kept)
        if PROVENANCE in report.damaged_files:
            kept = _set_aside(run.path, run.path / PROVENANCE, PROVENANCE)
            export_provenance(run)
            append_event(run, "discarded", name=PROVENANCE, reason=report.damaged_files[PROVENANCE], kept=kept)
        for name, fault in report.damaged.items():
            kept = _set_aside(run.path, block_path(run.path, name), f"{name}.npz")
            append_event(run, "discarded", name=name, reason=fault, kept=kept)
    return report


def _fault(run: Run, name: str) -> str | None:
    try:
        data = block_path(run.path, name).read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return block_fault(data, run.identity_hash, name)


def _provenance_fault(folder: Path, events: list[dict[str, Any]]) -> str | None:
    """What is wrong with provenance.json: its records are the journal's, of which a killed start may have one more."""
    try:
        records = json.loads((folder / PROVENANCE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return "cannot be read as JSON"
    known = {
        canonical_json(event["record"]) for event in events if event["event"] == "provenance" and "record" in event
    }
    if not isinstance(records, list):
        return "is no list of starts"
    lost = any(event["event"] == "discarded" and event.get("name") == JOURNAL for event in events)
    if not lost and any(canonical_json(record) not in known for record in records):
        return "says otherwise than the journal"
    return None


def _set_aside(folder: Path, file: Path, name: str) -> str:
    """Rename a file into `blocks/damaged/`, never onto an earlier one. Returns its new place in the directory."""
    target = folder / BLOCKS / DAMAGED / name
    make_folder(target.parent)
    number = 0
    while target.exists():
        number += 1
        target = folder / BLOCKS / DAMAGED / f"{name}.{number}"
    with system_refusals(target, 0):
        os.rename(file, target)
    return target.relative_to(folder).as_posix()
