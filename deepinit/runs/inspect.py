"""What a run directory holds so far, in words and numbers: blocks, holes, statistics, where they come from. Needs no experiment file."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepinit import store
from deepinit.comparison.compare import with_error
from deepinit.core.errors import DamagedError, refusal

_MOST_SHOWN = 5
_MOST_BLOCKS = 10**6


class Progress(NamedTuple):
    """One case of a run.

    Attributes:
        name: of the case.
        quantity: what is measured.
        num_seeds: networks wanted.
        block_size: seeds per block; None before the first block, and where the plan is damaged.
        missing: names of the blocks that are not there.
        num_blocks: blocks wanted.
    """

    name: str
    quantity: str
    num_seeds: int
    block_size: int | None
    missing: tuple[str, ...]
    num_blocks: int


def block_name(case: str, first: int, last: int) -> str:
    """Of the block of a case's seeds [first, last)."""
    return f"{case}/{first:09d}-{last - 1:09d}"


def plan_name(case: str) -> str:
    """Of the block that says how a case was cut."""
    return f"{case}/plan"


def progress(run: store.Run) -> list[Progress]:
    """How far each case is."""
    present = set(store.finished_blocks(run))
    return [_progress(run, case, present) for case in _cases(run)]


def _cases(run: store.Run) -> list[dict[str, Any]]:
    """The cases in spec.json, examined: a checksum says who wrote them last, not that they are sane."""
    cases = run.identity.get("cases", [])
    intact = isinstance(cases, list) and all(
        isinstance(case, dict)
        and isinstance(case.get("name"), str)
        and re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", case["name"])
        and isinstance(case.get("quantity"), str)
        and type(case.get("num_seeds")) is int
        and 1 <= case["num_seeds"] < 2**53
        for case in cases
    )
    if not intact:
        raise DamagedError(
            f"{run.path}, whose spec.json lists cases that no run has",
            "cases with a name, a quantity and a number of networks",
            "Choose another directory.",
        )
    return cases


def read_plan(run: store.Run, case: str, num_seeds: int | None = None) -> tuple[int, ...]:
    """How a case was cut: num_seeds, block size, batch size.

    Raises:
        DamagedError: the block holds no such numbers.
    """
    plan = store.read_block(run, plan_name(case)).get("plan")
    if plan is None or plan.shape != (3,) or plan.dtype.kind not in "iu" or not np.all(plan > 0):
        raise DamagedError(no_record(run, plan_name(case)))
    found, block, batch = (int(number) for number in plan)
    fits = batch <= block <= 2 * found + _MOST_BLOCKS and found <= block * _MOST_BLOCKS
    if not fits or num_seeds not in (None, found):
        raise DamagedError(no_record(run, plan_name(case)))
    return found, block, batch


def read_statistics(run: store.Run, name: str) -> tuple[Any, dict[str, np.ndarray]]:
    """The statistics of a block, and its arrays.

    Raises:
        DamagedError: the arrays are no statistics.
    """
    from deepinit.ensembles import statistics

    arrays = store.read_block(run, name)
    try:
        shape = arrays["mean"].shape
        real = ("mean", "moment2", "moment3", "moment4", "minimum", "maximum")
        counts = ("num_valid", "num_seeds", "events", "occupied", "counts")
        intact = (
            all(arrays[key].shape == shape and arrays[key].dtype.kind == "f" for key in real)
            and all(arrays[key].dtype.kind in "iu" and np.all(arrays[key] >= 0) for key in counts)
            and arrays["num_valid"].shape == shape
            and arrays.get("exponent", arrays["num_valid"]).shape == shape
            and arrays.get("exponent", arrays["num_valid"]).dtype.kind == "i"
            and arrays.get("size", arrays["mean"]).shape == shape
            and arrays.get("size", arrays["mean"]).dtype.kind == "f"
            and arrays["num_seeds"].shape == ()
            and arrays["occupied"].shape == arrays["counts"].shape
            and arrays["events"].ndim >= 1
            and arrays["events"].shape[1:] == shape
            and np.array_equal(
                arrays["num_valid"] + arrays["events"].sum(axis=0),
                np.full(shape, arrays["num_seeds"]),
            )
            and arrays["counts"].sum() == arrays["num_valid"].sum()
            and not np.any(arrays["moment2"] < 0)
        )
        if intact:
            return statistics.from_arrays(arrays), arrays
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError):
        pass
    raise DamagedError(no_record(run, name))


def no_record(run: store.Run, name: str) -> str:
    """The refusal of a block that holds other things than its name says."""
    return refusal(
        f"the block {name!r} of {run.path}, whose arrays are not those of a block of its kind",
        "a block as this deepinit writes it",
        "Run with --repair after removing it, or choose another directory.",
    )


def _progress(run: store.Run, case: dict[str, Any], present: set[str]) -> Progress:
    name, num_seeds = case["name"], case["num_seeds"]
    try:
        size = read_plan(run, name, num_seeds)[1] if plan_name(name) in present else None
    except DamagedError:
        size = None
    if size is None:
        return Progress(name, case["quantity"], num_seeds, None, (plan_name(name),), 0)
    names = [
        block_name(name, first, min(first + size, num_seeds)) for first in range(0, num_seeds, size)
    ]
    missing = tuple(block for block in names if block not in present)
    return Progress(name, case["quantity"], num_seeds, size, missing, len(names))


def holes(run: store.Run) -> list[str]:
    """A line per case that lacks blocks, with their names."""
    return [f"{case.name}: {_lacks(case)}" for case in progress(run) if case.missing]


def _lacks(case: Progress) -> str:
    if case.block_size is None:
        return "not begun"
    more = f" and {len(case.missing) - _MOST_SHOWN} more" if len(case.missing) > _MOST_SHOWN else ""
    return f"{len(case.missing)} of {case.num_blocks} blocks are missing: {', '.join(case.missing[:_MOST_SHOWN])}{more}"


def so_far(path: Path) -> dict[str, Any]:
    """A run that is not finished: cases, merged statistics of the finished blocks, age of the last one, who is at work.

    Raises:
        SpecError, ConflictError, DamagedError: no run directory, one of a newer version, a damaged block.
    """
    run = store.load_run(path)
    return {
        "directory": str(path),
        "finished": False,
        "cases": [_case_so_far(run, case) for case in progress(run)],
        "seconds_since_last_block": seconds_since_last_block(run),
        "writers": store.writers(path),
    }


def _case_so_far(run: store.Run, case: Progress) -> dict[str, Any]:
    from deepinit import quantities
    from deepinit.ensembles import statistics

    merged = None
    for part in _parts(run, case):
        if merged is not None and part.mean.shape != merged.mean.shape:
            raise DamagedError(no_record(run, case.name))
        merged = part if merged is None else statistics.merge(merged, part)
    record: dict[str, Any] = {
        "case": case.name,
        "quantity": case.quantity,
        "blocks": case.num_blocks - len(case.missing) if case.block_size else 0,
        "of": case.num_blocks or None,
        "networks": merged.num_seeds if merged is not None else 0,
        "wanted": case.num_seeds,
    }
    if merged is None:
        return record
    # A statistic that only a whole ensemble has is not the mean of what its blocks hold.
    known = quantities.BUILTIN.get(case.quantity)
    if known is not None and known.measurement.statistic is not None:
        return record
    last = (-1, *([0] * (merged.mean.ndim - 1))) if merged.mean.ndim else ()
    if not merged.mean.size:
        return record
    valid, found = int(merged.num_valid[last]), statistics.estimate(case.quantity, merged, ())
    mean, error = float(found.mean[last]), float(found.standard_error[last])
    excluded = merged.num_seeds - valid
    return {
        **record,
        "mean": mean if valid else None,
        "standard_error": error if valid > 1 else None,
        "excluded": excluded,
    }


def _parts(run: store.Run, case: Progress) -> Iterator[Any]:
    """Statistics of the finished blocks in the order of seeds."""
    size = case.block_size or case.num_seeds
    for first in range(0, case.num_seeds, size):
        name = block_name(case.name, first, min(first + size, case.num_seeds))
        if case.block_size is not None and name not in case.missing:
            yield read_statistics(run, name)[0]


def seconds_since_last_block(run: store.Run, now: datetime | None = None) -> float | None:
    """By the journal's clock; negative where that clock has been set back since."""
    times = [event["time"] for event in store.read_journal(run.path) if event["event"] == "block"]
    try:
        last = datetime.fromisoformat(times[-1])
        return ((now or datetime.now(UTC)) - last).total_seconds()
    except (IndexError, ValueError, TypeError):
        return None


def in_words(record: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """Columns, rows and closing sentences of `so_far`."""
    columns = [
        "case",
        "quantity",
        "blocks",
        "networks",
        "measured so far (last layer, first component)",
        "excluded",
    ]
    rows = []
    for case in record["cases"]:
        mean, error = case.get("mean"), case.get("standard_error")
        measured = "" if mean is None else with_error(mean, np.nan if error is None else error)
        blocks = f"{case['blocks']} of {case['of']}" if case["of"] else "not begun"
        networks = f"{case['networks']} of {case['wanted']}"
        rows.append(
            [
                case["case"],
                case["quantity"],
                blocks,
                networks,
                measured,
                str(case.get("excluded", "")),
            ]
        )
    age, writers = record["seconds_since_last_block"], record["writers"]
    sentences = [
        "No block has been finished yet."
        if age is None
        else f"The last block was finished {_ago(age)}."
    ]
    sentences.append(f"At work: {writers}." if writers else "Nobody is at work.")
    if all(case["of"] and case["blocks"] == case["of"] for case in record["cases"]):
        sentences.append(
            "All blocks are there: the run's own command, or `deepinit merge`, concludes."
        )
    elif not writers:
        sentences.append("The run's own command continues.")
    return columns, rows, sentences


def _ago(seconds: float) -> str:
    if seconds < -1:
        return f"{-seconds:.0f} s from now, by a clock that has been set back since"
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit} ago"
    return f"{max(seconds, 0.0):.0f} s ago"


def provenance(run: store.Run) -> list[str]:
    """Where the numbers come from: a line per start, and how later starts differed."""
    lines = []
    mixed: dict[str, None] = {}
    for event in store.read_journal(run.path):
        if event["event"] == "start":
            mixed.update(dict.fromkeys(event.get("mixed") or ()))
        if event["event"] == "provenance":
            lines.append(_start_in_words(event))
    return [*lines, *(f"mixed: {difference}" for difference in mixed)]


def _start_in_words(event: dict[str, Any]) -> str:
    record = event.get("record") or {}
    versions = record.get("versions") or {}
    git = record.get("git_deepinit") or {}
    commit = (
        f", commit {git.get('commit', '')[:10]}{' (changed)' if git.get('dirty') else ''}"
        if git
        else ""
    )
    packages = ", ".join(
        f"{name} {versions[name]}" for name in ("deepinit", "jax", "numpy") if name in versions
    )
    devices = f"{record.get('device_count', '?')} x {record.get('device_kind', 'device')}"
    processes = record.get("process_count", 1)
    joined = f" in {processes} processes" if processes != 1 else ""
    return (
        f"start {record.get('time', event['time'])}, shard {event['shard']}, on {record.get('host', '?')}: {packages}{commit}; "
        f"Python {record.get('python', '?')}; {devices}{joined}; {' '.join(record.get('command') or ())}"
    )
