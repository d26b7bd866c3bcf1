"""Provenance of starts; never part of a run's identity."""

import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepinit.core.errors import DamagedError
from deepinit.store.atomic import replace_file
from deepinit.store.canonical import canonical_json, loads
from deepinit.store.entries import read_own
from deepinit.store.journal import append_event, read_journal
from deepinit.store.layout import JOURNAL, PROVENANCE, Run, require_writable

_PACKAGES = (
    "deepinit",
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "jax-cuda13-plugin",
    "libtpu",
    "flax",
    "optax",
    "neural-tangents",
    "numpy",
    "scipy",
    "xarray",
    "h5netcdf",
    "h5py",
)
_VARIABLES = (
    "XLA_FLAGS",
    "JAX_NUM_CPU_DEVICES",
    "LIBTPU_INIT_ARGS",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "SLURM_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_RESTART_COUNT",
)
_JAX_OPTIONS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_platforms",
    "jax_num_cpu_devices",
)


def collect(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance of this process, and `extra` entries (which take precedence).

    Time, host, python, platform, package versions, git state of deepinit's source and of the
    working folder, environment variables and JAX options that change numbers or speed, command
    line.
    """
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": _versions(),
        "git_deepinit": _git_state(Path(__file__).parent, Path(__file__).name),
        "git_working_folder": _git_state(Path(), None),
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name in _VARIABLES or name.startswith("JAX_")
        },
        "jax_options": _jax_options(),
        "command": list(sys.argv),
        **extra,
    }


def write_provenance(run: Run, record: Mapping[str, Any]) -> None:
    """Append this start's record; the first shard exports all: n would write n^2 records."""
    require_writable(run)
    if run.shard[0] == 0:
        # The file first: it then has every record of the first shard that the journal has.
        _export(run, [*provenance_records(read_journal(run.path)), record])
    append_event(run, "provenance", record=record)


def export_provenance(run: Run) -> None:
    """Write all starts' records to provenance.json."""
    _export(run, provenance_records(read_journal(run.path)))


def provenance_records(events: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Records of all starts in a journal."""
    return [
        event["record"] for event in events if event["event"] == "provenance" and "record" in event
    ]


def provenance_fault(run: Run, events: Sequence[Mapping[str, Any]]) -> str | None:
    """Fault of provenance.json against the journal, or None.

    A killed start may leave one more record; later shards export at the end.
    """
    by_first = [
        event
        for event in events
        if event["event"] == "provenance" and event["shard"].startswith("0/")
    ]
    # Records of lines that a damaged journal has lost.
    lost = any(event["event"] == "discarded" and event.get("name") == JOURNAL for event in events)
    try:
        data = read_own(run.path, PROVENANCE)
        records = loads(data)
        texts = [canonical_json(record) for record in records]
        known_first = {canonical_json(record) for record in provenance_records(by_first)}
        known = {canonical_json(record) for record in provenance_records(events)}
    except FileNotFoundError:
        return "is missing" if by_first and run.format_version > 1 else None
    except DamagedError as error:
        return f"is no file of its own ({error})"
    except (OSError, ValueError, TypeError):
        return "cannot be read as JSON"
    if not isinstance(records, list) or data != _file_bytes(records):
        return "is no list of starts as written"
    unknown = [number for number, text in enumerate(texts) if text not in known]
    if not lost and unknown not in ([], [len(texts) - 1]):
        return "contradicts the journal"
    if run.format_version > 1 and not known_first <= set(texts):
        return "lacks a start that the journal has"
    return None


def _export(run: Run, records: list[Any]) -> None:
    replace_file(run.path, PROVENANCE, _file_bytes(records), run.shard)


def _file_bytes(records: list[Any]) -> bytes:
    return (canonical_json(records) + "\n").encode("ascii")


def _versions() -> dict[str, str]:
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _jax_options() -> dict[str, Any]:
    # Without JAX in the process no option of JAX is in force.
    jax = sys.modules.get("jax")
    if jax is None:
        return {}
    values = {name: getattr(jax.config, name, None) for name in _JAX_OPTIONS}
    return {
        name: value if isinstance(value, bool | int | str) else str(value)
        for name, value in values.items()
    }


def _git_state(folder: Path, tracked: str | None) -> dict[str, Any] | None:
    """Commit, and whether tracked files differ; None outside git.

    `tracked` must be tracked: a package may lie in a foreign repository.
    """
    if tracked is not None and _git(folder, "ls-files", "--error-unmatch", tracked) is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    status = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return done.stdout.strip()
