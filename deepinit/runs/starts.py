"""Starts of a run, from its journal."""

from typing import Any

from deepinit import store


def provenance(run: store.Run) -> list[str]:
    """A line per start and per difference."""
    lines = []
    mixed: dict[str, None] = {}
    for event in store.read_journal(run.path):
        if event["event"] == "start":
            mixed.update(dict.fromkeys(event.get("mixed") or ()))
        if event["event"] == "provenance":
            lines.append(_format_start(event))
    return [*lines, *(f"mixed: {difference}" for difference in mixed)]


def _format_start(event: dict[str, Any]) -> str:
    record = event.get("record") or {}
    versions, git = record.get("versions") or {}, record.get("git_deepinit") or {}
    dirty = " (changed)" if git.get("dirty") else ""
    commit = f", commit {git.get('commit', '')[:10]}{dirty}" if git else ""
    shown = [name for name in ("deepinit", "jax", "numpy") if name in versions]
    packages = ", ".join(f"{name} {versions[name]}" for name in shown)
    devices = f"{record.get('device_count', '?')} x {record.get('device_kind', 'device')}"
    processes = record.get("process_count", 1)
    worker = record.get("worker")
    part = f"shard {event['shard']}" if worker is None else f"worker {worker}"
    return (
        f"start {record.get('time', event['time'])}, {part}, "
        f"on {record.get('host', '?')}: {packages}{commit}; Python {record.get('python', '?')}; "
        f"{devices}{f' in {processes} processes' if processes != 1 else ''}; "
        f"{' '.join(record.get('command') or ())}"
    )
