"""spec.json: identity, format and checksum."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deepinit.core.errors import ConflictError, DamagedError
from deepinit.store.atomic import system_refusals
from deepinit.store.canonical import canonical_json, identity_hash, loads
from deepinit.store.entries import read_own
from deepinit.store.layout import FORMAT_VERSION, SPEC


class Spec(NamedTuple):
    """Content of spec.json: the run's identity, the layout's version."""

    identity: dict[str, Any]
    format_version: int


def spec_bytes(identity: Mapping[str, Any], format_version: int) -> bytes:
    """Content of spec.json."""
    # Three entries in every format, so that any version can tell a newer file from a damaged one.
    record = {"format_version": format_version, "identity": identity}
    return (canonical_json({**record, "sha256": identity_hash(record)}) + "\n").encode("ascii")


def read_spec(folder: Path, format_version: int = FORMAT_VERSION) -> Spec:
    """Checked content of spec.json."""
    with system_refusals(folder / SPEC, 0):
        data = read_own(folder, SPEC)
    try:
        record = loads(data)
        identity, version = record["identity"], record["format_version"]
        intact = data == spec_bytes(identity, version) and type(version) is int
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact or not isinstance(identity, dict):
        given, allowed = f"{folder / SPEC}, which is torn or changed", "the file as first written"
        remedy = "Restore a copy of it, or choose a new directory; the blocks here are untouched."
        raise DamagedError(given, allowed, remedy)
    if version > format_version:
        given = f"{folder}, written in format {version} by a newer deepinit"
        remedy = "Update deepinit; nothing in the directory has been changed."
        raise ConflictError(given, f"formats up to {format_version}", remedy)
    return Spec(identity, version)
