"""Contents of a run directory, without its experiment file."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepinit import store
from deepinit.core.errors import DamagedError
from deepinit.core.result_views import with_error

_MOST_SHOWN = 5
_MOST_BLOCKS = 10**6
_CASE_NAME = r"[a-z0-9][a-z0-9._-]{0,99}"


class CaseProgress(NamedTuple):
    """Requested seeds and blocks of one case, and names of the `missing` ones.

    `block_size`: seeds; None without a valid plan.
    """

    name: str
    quantity: str
    num_seeds: int
    block_size: int | None
    missing: tuple[str, ...]
    num_blocks: int


def block_name(case: str, first: int, last: int) -> str:
    """Name of the block of seeds [first, last)."""
    return f"{case}/{first:09d}-{last - 1:09d}"


def plan_name(case: str) -> str:
    """Block with a case's plan."""
    return f"{case}/plan"


def case_progress(run: store.Run) -> list[CaseProgress]:
    """Missing blocks of every case."""
    present = set(store.finished_blocks(run))
    return [_case_progress(run, case, present) for case in _cases(run)]


def _cases(run: store.Run) -> list[dict[str, Any]]:
    """Validated cases in spec.json."""
    cases = run.identity.get("cases", [])
    if not isinstance(cases, list) or not all(map(_is_case, cases)):
        allowed = "cases with a name, a quantity and a number of networks"
        raise DamagedError(f"{run.path} with invalid cases in spec.json", allowed, "Remove it.")
    return cases


def _is_case(case: Any) -> bool:
    return (
        isinstance(case, dict)
        and isinstance(case.get("name"), str)
        and re.fullmatch(_CASE_NAME, case["name"]) is not None
        and isinstance(case.get("quantity"), str)
        and type(case.get("num_seeds")) is int
        and 1 <= case["num_seeds"] < 2**53
    )


def read_plan(run: store.Run, case: str, num_seeds: int | None = None) -> tuple[int, ...]:
    """Plan of a case: num_seeds, block size, batch size."""
    plan = store.read_block(run, plan_name(case)).get("plan")
    if plan is None or plan.shape != (3,) or plan.dtype.kind not in "iu" or not np.all(plan > 0):
        raise invalid_block(run, plan_name(case))
    seeds, block, batch = (int(number) for number in plan)
    fits = batch <= block <= 2 * seeds + _MOST_BLOCKS and seeds <= block * _MOST_BLOCKS
    if not fits or num_seeds not in (None, seeds):
        raise invalid_block(run, plan_name(case))
    return seeds, block, batch


def read_statistics(run: store.Run, name: str) -> tuple[Any, dict[str, np.ndarray]]:
    """Statistics and arrays of a block."""
    from deepinit.ensembles import controlled

    arrays = store.read_block(run, name)
    try:
        if _are_statistics(arrays) and _are_controls(arrays):
            return controlled.from_arrays(arrays), arrays
    except (KeyError, ValueError, TypeError, IndexError, OverflowError, MemoryError):
        pass
    raise invalid_block(run, name)


def _are_controls(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the arrays of control variates, if any, are of the block's shape."""
    from deepinit.ensembles.controlled import control_arrays

    if (groups := control_arrays(arrays)) is None:
        return True
    shape, fit = arrays["mean"].shape, groups.fit
    own = [(groups.centre, shape)]
    if fit:  # none in blocks of older runs
        own += [(fit["mean"], (2, *shape)), (fit["products"], (3, *shape))]
    sound = all((each.shape, each.dtype.kind) == (whole, "f") for each, whole in own)
    return sound and all(
        _are_moments(part)
        and "occupied" not in part
        and part["events"].shape == arrays["events"].shape
        and part["num_seeds"] == arrays["num_seeds"]
        for part in groups.statistics
    )


def _are_statistics(arrays: dict[str, np.ndarray]) -> bool:
    counts, occupied = arrays["counts"], arrays["occupied"]
    integers = all(array.dtype.kind in "iu" and np.all(array >= 0) for array in (counts, occupied))
    fits = occupied.shape == counts.shape and counts.sum() == arrays["num_valid"].sum()
    return bool(integers and fits and _are_moments(arrays))


def _are_moments(arrays: dict[str, np.ndarray]) -> bool:
    mean, num_valid, num_seeds = arrays["mean"], arrays["num_valid"], arrays["num_seeds"]
    exponent, size = arrays.get("exponent", num_valid), arrays.get("size", mean)
    events = arrays["events"]
    moments = [arrays[key] for key in ("moment2", "moment3", "moment4", "minimum", "maximum")]
    return bool(
        all(array.shape == mean.shape and array.dtype.kind == "f" for array in (mean, *moments))
        and all(
            array.dtype.kind in "iu" and np.all(array >= 0)
            for array in (num_valid, num_seeds, events)
        )
        and num_valid.shape == exponent.shape == size.shape == mean.shape
        and (exponent is num_valid or exponent.dtype.kind == "i")
        and size.dtype.kind == "f"
        and num_seeds.shape == ()
        and events.ndim >= 1
        and events.shape[1:] == mean.shape
        and np.all(num_valid + events.sum(axis=0) == num_seeds)
        and not np.any(arrays["moment2"] < 0)
    )


def invalid_block(run: store.Run, name: str) -> DamagedError:
    """Error for unfit arrays."""
    return DamagedError(
        f"the block {name!r} of {run.path}, whose arrays are not those of a block of its kind",
        "a block as this deepinit writes it",
        "Remove it and run with --repair, or choose another directory.",
    )


def _case_progress(run: store.Run, case: dict[str, Any], present: set[str]) -> CaseProgress:
    name, quantity, num_seeds = case["name"], case["quantity"], case["num_seeds"]
    try:
        size = read_plan(run, name, num_seeds)[1] if plan_name(name) in present else None
    except DamagedError:
        size = None
    if size is None:
        return CaseProgress(name, quantity, num_seeds, None, (plan_name(name),), 0)
    starts = range(0, num_seeds, size)
    names = [block_name(name, first, min(first + size, num_seeds)) for first in starts]
    missing = tuple(block for block in names if block not in present)
    return CaseProgress(name, quantity, num_seeds, size, missing, len(names))


def missing_blocks(run: store.Run) -> list[str]:
    """A line per case with missing blocks."""
    return [f"{case.name}: {_missing(case)}" for case in case_progress(run) if case.missing]


def _missing(case: CaseProgress) -> str:
    if case.block_size is None:
        return "not begun"
    names, rest = ", ".join(case.missing[:_MOST_SHOWN]), len(case.missing) - _MOST_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return f"{len(case.missing)} of {case.num_blocks} blocks: {names}{more}"


def progress(path: Path) -> dict[str, Any]:
    """Statistics so far, last block's age, writers."""
    run = store.load_run(path)
    return {
        "directory": str(path),
        "finished": False,
        "cases": [_case_record(run, case) for case in case_progress(run)],
        "seconds_since_last_block": seconds_since_last_block(run),
        "writers": store.writers(path),
    }


def _case_record(run: store.Run, case: CaseProgress) -> dict[str, Any]:
    from deepinit import quantities
    from deepinit.ensembles import controlled

    whole: Any = None
    for part in _parts(run, case):
        if len({controlled.plain_of(each).mean.shape for each in (whole or part, part)}) > 1:
            raise invalid_block(run, case.name)
        whole = controlled.merge(whole, part) if whole else part
    merged = whole and controlled.plain_of(whole)
    record: dict[str, Any] = {
        "case": case.name,
        "quantity": case.quantity,
        "blocks": case.num_blocks - len(case.missing) if case.block_size else 0,
        "of": case.num_blocks or None,
        "networks": merged.num_seeds if merged is not None else 0,
        "wanted": case.num_seeds,
    }
    quantity = quantities.BUILTIN.get(case.quantity)
    # A statistic of the whole ensemble is not the mean over its blocks.
    is_mean = quantity is None or quantity.measurement.statistic is None
    if merged is None or not is_mean or not merged.mean.size:
        return record
    last = (-1, *([0] * (merged.mean.ndim - 1))) if merged.mean.ndim else ()
    num_valid = int(merged.num_valid[last])
    estimate = controlled.best(*controlled.estimates(case.quantity, whole, ()))
    return {
        **record,
        "mean": float(estimate.mean[last]) if num_valid else None,
        "standard_error": float(estimate.standard_error[last]) if num_valid > 1 else None,
        "excluded": merged.num_seeds - num_valid,
    }


def _parts(run: store.Run, case: CaseProgress) -> Iterator[Any]:
    """Statistics of finished blocks, in seed order."""
    if case.block_size is None:
        return
    for first in range(0, case.num_seeds, case.block_size):
        name = block_name(case.name, first, min(first + case.block_size, case.num_seeds))
        if name not in case.missing:
            yield read_statistics(run, name)[0]


def seconds_since_last_block(run: store.Run, now: datetime | None = None) -> float | None:
    """By the journal's clock; negative if set back."""
    times = [event["time"] for event in store.read_journal(run.path) if event["event"] == "block"]
    try:
        last = datetime.fromisoformat(times[-1])
        return ((now or datetime.now(UTC)) - last).total_seconds()
    except (IndexError, ValueError, TypeError):
        return None


def progress_table(record: dict[str, Any]) -> tuple[list[str], list[list[str]], list[str]]:
    """Columns, rows, remarks."""
    measured = "measured so far (last layer, first component)"
    columns = ["case", "quantity", "blocks", "networks", measured, "excluded"]
    rows = []
    for case in record["cases"]:
        mean, error = case.get("mean"), case.get("standard_error")
        value = "" if mean is None else with_error(mean, np.nan if error is None else error)
        blocks = f"{case['blocks']} of {case['of']}" if case["of"] else "not begun"
        networks, excluded = f"{case['networks']} of {case['wanted']}", case.get("excluded", "")
        rows.append([case["case"], case["quantity"], blocks, networks, value, str(excluded)])
    age, writers = record["seconds_since_last_block"], record["writers"]
    remarks = [
        "No finished block." if age is None else f"Last block: {_format_age(age)}.",
        f"Writing: {writers}." if writers else "No writer.",
    ]
    if all(case["of"] and case["blocks"] == case["of"] for case in record["cases"]):
        remarks.append("All blocks are finished: rerun the original command, or `deepinit merge`.")
    elif not writers:
        remarks.append("Rerun the original command to continue.")
    return columns, rows, remarks


def _format_age(seconds: float) -> str:
    if seconds < -1:
        return f"{-seconds:.0f} s in the future (the clock has been set back)"
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit} ago"
    return f"{max(seconds, 0.0):.0f} s ago"
