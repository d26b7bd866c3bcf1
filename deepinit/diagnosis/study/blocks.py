"""Blocks of the study: one JSON file a network and stage, written whole or not at all.

Blocks that were committed with the package (`results.jsonl`) count as present.
"""

import functools
import importlib.resources
import json
from pathlib import Path
from typing import Any

from deepinit.store.atomic import replace_file
from deepinit.store.canonical import canonical_json, loads


class Blocks:
    """Committed blocks and those of a folder; without one they are read only."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self.known = dict(committed())
        if self.folder is not None:
            for file in sorted((self.folder / "blocks").glob("*.json")):
                self.known[file.stem] = loads(file.read_bytes())

    def get(self, name: str) -> Any:
        """Content, or None."""
        return self.known.get(name)

    def put(self, name: str, content: Any) -> None:
        """Write a block."""
        assert self.folder is not None
        data = canonical_json(content).encode("ascii")
        replace_file(self.folder, f"blocks/{name}.json", data + b"\n", (0, 1))
        self.known[name] = loads(data)


@functools.cache
def committed() -> dict[str, Any]:
    """Blocks by name."""
    file = importlib.resources.files(__package__) / "results.jsonl"
    if not file.is_file():
        return {}
    return dict(unpacked(json.loads(line)) for line in file.read_text("ascii").splitlines())


def unpacked(line: dict[str, Any]) -> tuple[str, Any]:
    """(name, content) of a line."""
    return line["block"], line["content"]


def lines(known: dict[str, Any]) -> str:
    """All blocks as lines of canonical JSON, sorted."""
    rows = [{"block": name, "content": known[name]} for name in sorted(known)]
    return "".join(canonical_json(row) + "\n" for row in rows)
