"""Verify a run directory; quarantine and restore damaged files."""

import dataclasses
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from deepinit.core.errors import DamagedError
from deepinit.store.atomic import make_folder, replace_file, system_refusals
from deepinit.store.blocks import block_fault
from deepinit.store.entries import foreign_entries, own_path, read_own
from deepinit.store.journal import append_event, parsed_journal
from deepinit.store.layout import BLOCKS, DAMAGED, JOURNAL, PROVENANCE, Run, block_file, block_names
from deepinit.store.locks import writer_lock
from deepinit.store.outputs import output_faults, restore_outputs
from deepinit.store.provenance import export_provenance, provenance_fault
from deepinit.store.runs import adopt_blocks, load_run, unrecorded_blocks


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """Result of checking a run directory.

    Attributes:
        intact, missing: blocks; those in the journal that do not exist.
        damaged, damaged_files: block, other file or foreign entry -> fault.
        restored: files rewritten by `quarantine_damaged`.
    """

    intact: tuple[str, ...]
    damaged: Mapping[str, str]
    missing: tuple[str, ...]
    damaged_files: Mapping[str, str]
    restored: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every written file is intact."""
        return not (self.damaged or self.missing or self.damaged_files)


def verify(path: str | os.PathLike[str]) -> VerifyReport:
    """Check blocks, journal and outputs; changes nothing.

    DamagedError only for spec.json, or a link or special file in place of the journal or `blocks`.
    """
    run = load_run(path)
    present = block_names(run.path)
    damaged = {name: fault for name in present if (fault := _fault(run, name))}
    journal = parsed_journal(run.path)
    events = journal.events
    written = {event["name"] for event in events if event["event"] == "block" and "name" in event}
    with system_refusals(run.path, 0):
        files = dict(foreign_entries(run.path, skip=f"{BLOCKS}/{DAMAGED}"))
    files = {**files, **output_faults(run, events), **files}  # foreign entries first
    files.update(_journal_fault(run, journal.damaged, damaged))
    fault = provenance_fault(run, events)
    if fault and not journal.damaged and JOURNAL not in files:
        files[PROVENANCE] = fault
    intact = tuple(name for name in present if name not in damaged)
    return VerifyReport(intact, damaged, tuple(sorted(written - set(present))), files)


def _journal_fault(
    run: Run, damaged_lines: list[int], damaged: Mapping[str, str]
) -> dict[str, str]:
    if damaged_lines:
        numbers = ", ".join(map(str, damaged_lines[:20]))
        return {JOURNAL: f"has lines that do not match their checksum: {numbers}"}
    if run.format_version == 1:
        return {}
    events = parsed_journal(run.path).events
    # A start killed between a block and its line leaves one block, which a whole start adopts.
    starts = 0
    for event in events:
        if event["event"] == "start":
            starts = 1 if event["shard"] == "0/1" else starts + 1
    lost = [name for name in unrecorded_blocks(run.path, events) if name not in damaged]
    if len(lost) > starts:
        return {JOURNAL: f"has lost the lines of {len(lost)} blocks, such as {lost[0]}"}
    return {}


def quarantine_damaged(path: str | os.PathLike[str]) -> VerifyReport:
    """Move damaged files to `blocks/damaged/`, to be computed again.

    A new journal begins with the intact lines. Provenance is rebuilt from the journal, outputs from
    their copy; without one the run becomes unfinished, and its command rewrites them. Returns the
    report of `verify` before, and the restored files.
    """
    run = load_run(path)
    with writer_lock(run.path, (0, 1)):
        run = dataclasses.replace(run, start=secrets.token_hex(4))
        report = verify(run.path)
        own_path(run.path, f"{BLOCKS}/{DAMAGED}", folder=True)
        restored: list[str] = []
        if JOURNAL in report.damaged_files:
            journal = parsed_journal(run.path)
            kept = None
            if journal.damaged:
                kept = _quarantine(run.path, JOURNAL)
                lines = b"".join(line + b"\n" for line in journal.lines)
                replace_file(run.path, JOURNAL, lines, run.shard)
            append_event(
                run, "discarded", name=JOURNAL, reason=report.damaged_files[JOURNAL], kept=kept
            )
        for name, fault in report.damaged_files.items():
            if name != JOURNAL:
                kept = _quarantine(run.path, name)
                append_event(run, "discarded", name=name, reason=fault, kept=kept)
        for name, fault in report.damaged.items():
            kept = _quarantine(run.path, block_file(name), f"{name}.npz")
            append_event(run, "discarded", name=name, reason=fault, kept=kept)
        if JOURNAL in report.damaged_files:
            adopt_blocks(run)
        if PROVENANCE in report.damaged_files:
            export_provenance(run)
            restored.append(PROVENANCE)
        outputs = {
            name: fault for name, fault in report.damaged_files.items() if name != PROVENANCE
        }
        restored += restore_outputs(run, outputs)
    return dataclasses.replace(report, restored=tuple(restored))


def _fault(run: Run, name: str) -> str | None:
    try:
        data = read_own(run.path, block_file(name))
    except DamagedError as error:
        return f"is no file of its own ({error})"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return block_fault(data, run.identity_hash, name)


def _quarantine(folder: Path, name: str, kept: str | None = None) -> str | None:
    """Rename an entry (a link itself) into `blocks/damaged/`; its new name, None if missing."""
    source = folder / name
    with system_refusals(source, 0):
        if not os.path.lexists(source):
            return None
        target = folder / BLOCKS / DAMAGED / (kept or name.removeprefix(f"{BLOCKS}/"))
        own_path(folder, target.parent.relative_to(folder).as_posix(), folder=True)
        make_folder(target.parent)
        number, free = 0, target
        while os.path.lexists(free):
            number += 1
            free = target.with_name(f"{target.name}.{number}")
        os.rename(source, free)
    return free.relative_to(folder).as_posix()
