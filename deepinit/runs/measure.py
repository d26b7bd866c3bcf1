"""The blocks of a run: those that are finished are read and checked, the others computed and written."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from deepinit import store
from deepinit.core.errors import DamagedError, StoppedError, refusal
from deepinit.core.specs import Spec
from deepinit.core.terminal import remark
from deepinit.runs.experiment import Case
from deepinit.runs.inspect import block_name, no_record, plan_name, read_plan, read_statistics
from deepinit.core.progress import Report
from deepinit.quantities.measured import measure_block
from deepinit.quantities.routes import seed_fn_of

_KEPT = "kept."  # in front of the names of arrays of single networks, in a block
_COMPILE_COST = 2e8  # random numbers drawn in the time that compiling takes, for the time left

Kept = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Options:
    """How a run is carried out; nothing here changes its numbers beyond rounding.

    Attributes:
        shard: (i, n): compute blocks i, i + n, i + 2n, ... only.
        block_size: a wish in seeds per block; None chooses from the memory analysis.
        allow_mixed: go on under other versions or another backend than the first start's.
        repair: set damaged files aside first and compute them anew; merging, compute what is missing too.
        command: the command line, for the report.
    """

    shard: tuple[int, int] = (0, 1)
    block_size: int | None = None
    allow_mixed: bool = False
    repair: bool = False
    command: str = ""


WHOLE = Options()


def measure_all(
    cases: tuple[Case, ...], handle: store.Run | None, options: Options, stop: store.Stop, report: Report
) -> Iterator[tuple[Any, Kept]]:
    """Per case the merged statistics, and what is kept of single networks.

    Raises:
        StoppedError: a stop was requested; the block at hand has been finished.
    """
    total = sum(_COMPILE_COST + case.cost * case.num_seeds for case in cases)
    done = 0.0
    for case in cases:
        report(done, total, case.name)

        def told(seeds: int, case: Case = case, before: float = done) -> None:
            report(before + _COMPILE_COST + case.cost * seeds, total, case.name)

        yield collect(_measure(case, handle, options, stop, told))
        done += _COMPILE_COST + case.cost * case.num_seeds


def _measure(
    case: Case, handle: store.Run | None, options: Options, stop: store.Stop, told: Callable[[int], None]
) -> Iterator[tuple[Any, Kept]]:
    """Statistics and samples of each block: finished ones are read and checked, the others computed and written.

    Nothing on another process than the first, which takes part in the computation only.
    """
    from deepinit.ensembles import blocks, keys, processes

    def halved(batch: int, smaller: int) -> None:
        say(f"{case.name}: {blocks.smaller_batches_text(batch, smaller)}")
        if handle is not None:
            store.append_event(handle, "retry", case=case.name, reason="out of memory", batch=batch, smaller=smaller)

    plan = _shared_plan(handle, case)
    ensemble = None
    if plan is None:
        ensemble = compiled(case, None, options.block_size, halved)
        plan = ensemble.blocks
        processes.on_first(_write_plan, handle, case, plan)
        if options.block_size is not None and plan.block_size < min(options.block_size, case.num_seeds):
            say(f"{case.name}: blocks of {plan.block_size} networks; memory has no room for {options.block_size}")
        plan = _shared_plan(handle, case)
    first, step = options.shard
    mine = range(first, plan.num_blocks, step)
    names = {block: wanted_block(case, plan, block) for block in mine}
    there = processes.from_first([handle is not None and store.has_block(handle, names[block]) for block in mine])
    for block, finished in zip(mine, there, strict=True):
        if finished:
            part = processes.on_first(read_part, handle, case, plan, block)
        else:
            if ensemble is None or ensemble.blocks != plan:
                ensemble = compiled(case, plan, None, halved)
            measured = ensemble.block_fn(keys.root_key(case.key), block)
            part = processes.on_first(_finish, handle, names[block], measured, case, plan.seeds(block)[0])
        if part is not None:
            yield part
        told(plan.seeds(block)[1])
        if processes.on_any(stop.requested):
            raise StoppedError(stopped(handle, stop, case))


def stopped(handle: store.Run | None, stop: store.Stop, case: Case) -> str:
    """Said by the first of several processes; the others end without a word."""
    if handle is None:
        return ""
    by = stop.signal_name or "another process"
    return f"Stopped by {by} after a finished block of {case.name}; nothing is lost. The same command continues."


def compiled(case: Case, plan: Any, block_size: int | None, halved: Callable[[int, int], None] | None = None) -> Any:
    """The case's ensemble, compiled: cut as the plan says, or else by the block size."""
    from deepinit.ensembles import blocks

    seed_fn, settings = seed_fn_of(
        case.spec,
        case.quantity,
        case.inputs,
        linear_map=case.linear_map,
        dtype=case.dtype,
        precision=case.precision,
        keep=case.kept_networks > 0,
    )
    at_hand = case.quantity.measurement.bytes(case.spec, case.inputs, settings)
    alone = not isinstance(case.spec, Spec)
    return blocks.compile_ensemble(
        seed_fn, case.num_seeds, seed_bytes=at_hand, batch_size_one=alone, blocks=plan, block_size=block_size, on_smaller_batches=halved
    )


def stored_plan(handle: store.Run | None, case: Case) -> Any:
    """How the run directory's case was cut; None before its first block."""
    from deepinit.ensembles import blocks

    name = plan_name(case.name)
    if handle is None or not store.has_block(handle, name):
        return None
    return blocks.Blocks(*read_plan(handle, case.name, case.num_seeds))


def _shared_plan(handle: store.Run | None, case: Case) -> Any:
    """The plan that the run directory holds, as the first process sees it; None if there is none yet."""
    from deepinit.ensembles import blocks, processes

    plan = stored_plan(handle, case)
    numbers = processes.from_first(np.asarray(plan if plan is not None else (0, 0, 0), np.int64))
    return blocks.Blocks(*(int(number) for number in numbers)) if numbers[0] else None


def wanted_block(case: Case, plan: Any, block: int) -> str:
    """The name of a case's block of this number."""
    return block_name(case.name, *plan.seeds(block))


def _write_plan(handle: store.Run, case: Case, plan: Any) -> None:
    # Another shard may have written it meanwhile; then that one counts.
    if not store.has_block(handle, plan_name(case.name)):
        store.write_block(handle, plan_name(case.name), {"plan": np.asarray(plan, np.int64)})


def _finish(handle: store.Run, name: str, measured: Any, case: Case, first_seed: int) -> tuple[Any, Kept]:
    from deepinit.ensembles import statistics

    part, kept = measure_block(case.quantity, measured, case.sample_layers, max(case.kept_networks - first_seed, 0))
    others = {key if key == "samples" else _KEPT + key: array for key, array in kept.items()}
    store.write_block(handle, name, {**statistics.to_arrays(part), **others})
    return part, kept


def read_part(handle: store.Run, case: Case, plan: Any, block: int) -> tuple[Any, Kept]:
    """Statistics and samples of a finished block.

    Raises:
        DamagedError: it is not as it was written, or holds other things than this block of this case.
    """
    name, (first, last) = wanted_block(case, plan, block), plan.seeds(block)
    part, arrays = read_statistics(handle, name)
    kept = {key.removeprefix(_KEPT): array for key, array in arrays.items() if key.startswith((_KEPT, "samples"))}
    axis = case.quantity.measurement.axis(case.spec, case.inputs)
    entries = len(axis.entries)
    num_kept = min(max(case.kept_networks - first, 0), last - first)
    fits = (
        part.num_seeds == last - first
        and part.mean.shape == (axis.length, entries)
        and len(part.events) == len(case.quantity.events)
        and (samples := kept.get("samples", np.zeros((last - first, 0, entries)))).dtype.kind == "f"
        and samples.shape == (last - first, len(case.sample_layers), entries)
        and all(array.shape[:1] == (num_kept,) for key, array in kept.items() if key != "samples")
    )
    if not fits:
        raise DamagedError(no_record(handle, name))
    return part, kept


def collect(parts: Iterable[tuple[Any, Kept]]) -> tuple[Any, Kept]:
    """Statistics of all blocks, merged as they come, and what is kept of single networks; (None, {}) without blocks."""
    from deepinit.ensembles import statistics

    merged = None
    collected: dict[str, list[np.ndarray]] = {}
    for part, kept in parts:
        merged = part if merged is None else statistics.merge(merged, part)
        for name, array in kept.items():
            collected.setdefault(name, []).append(array)
    for name, arrays in collected.items():
        if len({(array.shape[1:], array.dtype) for array in arrays}) > 1:
            raise DamagedError(
                f"blocks whose arrays {name!r} differ in shape or type",
                    "blocks of one run",
                    "Set the odd one aside, or choose another directory; the run's own command computes it anew."
            )
    return merged, {name: np.concatenate(arrays) for name, arrays in collected.items()}


def say(sentence: str) -> None:
    """A remark on standard error, from the first process only."""
    from deepinit.ensembles import processes

    if processes.is_first():
        remark(f"{sentence}\n")
