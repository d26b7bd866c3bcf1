"""Run directories: created or reopened."""

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepinit.core.errors import ConflictError, DamagedError, SpecError
from deepinit.store.atomic import create_file, make_folder, require_atomic_rename, system_refusals
from deepinit.store.blocks import block_fault, record_block
from deepinit.store.canonical import canonical_json, differences, identity_hash
from deepinit.store.entries import has_own, read_own
from deepinit.store.journal import append_event, read_journal
from deepinit.store.layout import FORMAT_VERSION, JOURNAL, SPEC, Run, block_file, block_names
from deepinit.store.locks import checked_shard, is_own_leftover, remove_leftovers, writer_lock
from deepinit.store.spec import read_spec, spec_bytes

_MOST_SHOWN = 20


@contextlib.contextmanager
def open_run(
    path: str | os.PathLike[str],
    identity: Mapping[str, Any],
    *,
    backend: str | None = None,
    flags: str | None = None,
    shard: tuple[int, int] = (0, 1),
    allow_mixed: bool = False,
    format_version: int = FORMAT_VERSION,
) -> Iterator[Run]:
    """Create or reopen a run directory, locked for writing.

    Removes temporary files of killed writers.

    Args:
        path: created with its parents.
        identity: everything that determines the stored numbers, as JSON; an entry `experiment`
            names the experiment.
        backend, flags: device ("gpu NVIDIA H200") and compiler flags that change numbers; compared
            with the first start's if known.
        shard: (i, n), concurrent part i of n; (0, 1) writes alone.
        allow_mixed: accept and record versions or a backend unlike the first start's.

    Raises ConflictError: another writer, other versions, another run or other files. ResourceError:
        no write access, or no atomic rename.
    """
    folder = Path(path)
    asked: dict[str, Any] = json.loads(canonical_json(identity))
    checked_shard(shard)
    _refuse_foreign(folder)
    make_folder(folder)
    with writer_lock(folder, shard):
        require_atomic_rename(folder, shard)
        if not has_run(folder):
            create_file(folder, SPEC, spec_bytes(asked, format_version), shard)
        here, version = read_spec(folder, format_version)
        _refuse_other_run(folder, here, asked)
        run = Run(folder, asked, identity_hash(asked), shard, secrets.token_hex(4), version)
        removed = remove_leftovers(folder, shard)
        environment = {**environment_of(backend), "flags": flags}
        mixed = _mixed(folder, environment)
        if mixed and not allow_mixed:
            raise ConflictError(
                f"a run in {folder} that was started otherwise: {'; '.join(mixed)}",
                "the versions and the backend of its first start, on which the last digits depend",
                "Continue with those, choose another directory, or record the mix: --allow-mixed.",
            )
        if shard[1] == 1:
            adopt_blocks(run)
        append_event(run, "start", environment=environment, mixed=mixed, leftovers_removed=removed)
        yield run


def load_run(path: str | os.PathLike[str]) -> Run:
    """Open a run directory for reading, without a lock."""
    folder = Path(path)
    if not has_run(folder):
        with system_refusals(folder, 0):
            is_run = folder.is_dir() and has_own(folder, JOURNAL)
        if is_run:
            remedy = "Restore a copy of the file; the blocks are untouched."
            raise DamagedError(f"{folder}, whose {SPEC} is missing", "a run directory", remedy)
        remedy = "Give the directory that a run was written to."
        raise SpecError(f"{folder}, which has no {SPEC}", "a run directory", remedy)
    identity, version = read_spec(folder)
    return Run(folder, identity, identity_hash(identity), format_version=version)


def has_run(path: str | os.PathLike[str]) -> bool:
    """Whether the path is a run directory."""
    folder = Path(path)
    with system_refusals(folder, 0):
        try:
            return has_own(folder, SPEC)
        except NotADirectoryError:
            return False


def adopt_blocks(run: Run) -> list[str]:
    """Add intact blocks without a line to the journal."""
    adopted = []
    for name in unrecorded_blocks(run.path, read_journal(run.path)):
        data = read_own(run.path, block_file(name))
        if block_fault(data, run.identity_hash, name) is None:
            record_block(run, name, data)
            adopted.append(name)
    return adopted


def unrecorded_blocks(path: Path, events: list[dict[str, Any]]) -> list[str]:
    """Names of blocks without a journal line."""
    recorded = {event.get("name") for event in events if event["event"] == "block"}
    return [name for name in block_names(path) if name not in recorded]


def _refuse_foreign(folder: Path) -> None:
    with system_refusals(folder, 0):
        if not folder.exists() or (folder.is_dir() and has_own(folder, SPEC)):
            return
        others = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in others if not is_own_leftover(name)]
    if folder.is_dir() and not others:
        return
    held = f"which holds {others[0]!r}" if others else "which is a file"
    raise ConflictError(
        f"{folder}, {held} and is no run directory",
        "a new or an empty directory, or that of an earlier start of the same run",
        "Choose another directory; nothing in this one has been changed.",
    )


def _refuse_other_run(folder: Path, here: dict[str, Any], asked: dict[str, Any]) -> None:
    changes = list(differences(here, asked))
    if not changes:
        return
    names = here.get("experiment"), asked.get("experiment")
    other = f"a directory of another experiment ({names[0]!r} here, {names[1]!r} asked), "
    other = other if names[0] != names[1] else ""
    rest = len(changes) - _MOST_SHOWN
    more = f"; and {rest} more" if rest > 0 else ""
    raise ConflictError(
        f"{other}{folder}, which holds another run: {'; '.join(changes[:_MOST_SHOWN])}{more}",
        "the run that the directory was made for",
        "Ask for that one, or choose another directory; nothing in this one has been changed.",
    )


def writing(run: Run, start: str) -> Run:
    """Handle by which a worker writes blocks of a run that another process holds open.

    `start`: of the holder. Blocks are the same bytes whoever writes them, so that a worker that
    outlives its holder does no harm.
    """
    return dataclasses.replace(run, start=start, shard=(1, 2))


def environment_of(backend: str | None) -> dict[str, str | None]:
    """Versions that numbers depend on, and the backend."""
    versions: dict[str, str | None] = {}
    for package in ("deepinit", "jax", "jaxlib"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {**versions, "backend": backend}


def _mixed(folder: Path, environment: dict[str, str | None]) -> list[str]:
    """Differences from what earlier starts were the first to know."""
    known: dict[str, Any] = {}
    for event in read_journal(folder):
        found = event.get("environment") if event["event"] == "start" else None
        for name, value in (found if isinstance(found, dict) else {}).items():
            if known.get(name) is None:
                known[name] = value
    return [
        f"{name} {known[name] or 'none'} then, {now or 'none'} now"
        for name, now in environment.items()
        if now is not None and known.get(name) not in (None, now)
    ]
