"""Blocks of a run, read or computed."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from deepinit import store
from deepinit.core.errors import DamagedError, StoppedError
from deepinit.core.progress import Report
from deepinit.core.specs import NetworkSpec
from deepinit.core.terminal import remark
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.controls import Control
from deepinit.quantities.measured import measure_block
from deepinit.quantities.routes import programs_of
from deepinit.runs.experiment import Case
from deepinit.runs.inspect import block_name, invalid_block, plan_name, read_plan, read_statistics

_SAVED = "kept."  # prefix, in a block, of the names of arrays of single networks
_COMPILE_COST = 2e8  # random numbers drawn in the time of one compilation, for progress

Saved = dict[str, np.ndarray]  # arrays of single networks
Part = tuple[Any, Saved]  # statistics of one or more blocks, and what is saved of their networks


@dataclasses.dataclass(frozen=True)
class Options:
    """Execution options; none changes numbers beyond rounding.

    Attributes:
        shard: (i, n): blocks i, i + n, i + 2n, ...
        block_size: seeds; None fits it to memory.
        allow_mixed: accept versions or a backend unlike the first start's.
        repair: quarantine damaged files and recompute; in `merge` also missing ones.
        command: for the report.
    """

    shard: tuple[int, int] = (0, 1)
    block_size: int | None = None
    allow_mixed: bool = False
    repair: bool = False
    command: str = ""


def measure_all(
    cases: tuple[Case, ...],
    handle: store.Run | None,
    options: Options,
    stop: store.Stop,
    report: Report,
) -> Iterator[Part]:
    """Merged statistics and saved arrays by case; StoppedError after a block."""
    controls = [case_control(case)[0] for case in cases]  # refusals come before any simulation
    total = sum(_COMPILE_COST + case.cost * case.num_seeds for case in cases)
    done = 0.0
    for case, control in zip(cases, controls, strict=True):
        report(done, total, case.name)

        def advance(seeds: int, case: Case = case, before: float = done) -> None:
            report(before + _COMPILE_COST + case.cost * seeds, total, case.name)

        yield merge_parts(_measure(case, control, handle, options, stop, advance))
        done += _COMPILE_COST + case.cost * case.num_seeds


def case_control(case: Case) -> tuple[Control | None, dict[str, str]]:
    """`choose_control` of a case."""
    return choose_control(case.spec, case.quantity, case.inputs, case.control)


def _measure(
    case: Case,
    control: Control | None,
    handle: store.Run | None,
    options: Options,
    stop: store.Stop,
    advance: Callable[[int], None],
) -> Iterator[Part]:
    """Parts of the shard; only in the first process."""
    from deepinit.ensembles import blocks, keys, processes

    def halved(batch: int, smaller: int) -> None:
        remark_on_first(f"{case.name}: {blocks.smaller_batches_text(batch, smaller)}")
        if handle is not None:
            fields = {"case": case.name, "batch": batch, "smaller": smaller}
            store.append_event(handle, "retry", reason="out of memory", **fields)

    plan = _shared_plan(handle, case)
    ensemble = None
    if plan is None:
        ensemble = compiled(case, None, options.block_size, halved, control)
        plan, requested = ensemble.blocks, options.block_size
        processes.on_first(_write_plan, handle, case, plan)
        if requested is not None and plan.block_size < min(requested, case.num_seeds):
            remark_on_first(
                f"{case.name}: {plan.block_size} networks per block; "
                f"memory has no room for {requested}"
            )
        plan = _shared_plan(handle, case)
    first, step = options.shard
    own = range(first, plan.num_blocks, step)
    names = {block: wanted_block(case, plan, block) for block in own}
    finished = processes.from_first(
        [handle is not None and store.has_block(handle, names[block]) for block in own]
    )
    for block, is_finished in zip(own, finished, strict=True):
        if is_finished:
            part = processes.on_first(read_part, handle, case, plan, block)
        else:
            if ensemble is None or ensemble.blocks != plan:
                ensemble = compiled(case, plan, None, halved, control)
            values = ensemble.block_fn(keys.root_key(case.key), block)
            start = plan.seeds(block)[0]
            part = processes.on_first(
                _write_part, handle, names[block], values, case, start, control
            )
        if part is not None:
            yield part
        advance(plan.seeds(block)[1])
        if processes.on_any(stop.requested):
            raise stopped(handle, stop, case)


def stopped(handle: store.Run | None, stop: store.Stop, case: Case) -> StoppedError:
    """Error of a stopped run, with a message in the first process."""
    by = stop.signal_name or "another process"
    text = f"Stopped by {by} after a finished block of {case.name}; nothing is lost."
    return StoppedError("" if handle is None else f"{text} The same command continues.")


def compiled(
    case: Case,
    plan: Any,
    block_size: int | None,
    halved: Callable[[int, int], None] | None = None,
    control: Control | None = None,
) -> Any:
    """Compiled ensemble, in blocks by plan or size."""
    from deepinit.ensembles import blocks

    programs, settings = programs_of(
        case.spec,
        case.quantity,
        case.inputs,
        linear_map=case.linear_map,
        dtype=case.dtype,
        precision=case.precision,
        keep=case.num_saved > 0,
        control=control,
    )
    return blocks.compile_ensemble(
        programs,
        case.num_seeds,
        seed_bytes=case.quantity.measurement.bytes(case.spec, case.inputs, settings),
        batch_size_one=not isinstance(case.spec, NetworkSpec),
        blocks=plan,
        block_size=block_size,
        on_smaller_batches=halved,
    )


def stored_plan(handle: store.Run | None, case: Case) -> Any:
    """`Blocks` of a case; None before its first."""
    from deepinit.ensembles import blocks

    if handle is None or not store.has_block(handle, plan_name(case.name)):
        return None
    return blocks.Blocks(*read_plan(handle, case.name, case.num_seeds))


def _shared_plan(handle: store.Run | None, case: Case) -> Any:
    """`stored_plan` of the first process."""
    from deepinit.ensembles import blocks, processes

    plan = stored_plan(handle, case)
    numbers = processes.from_first(np.asarray(plan if plan is not None else (0, 0, 0), np.int64))
    return blocks.Blocks(*(int(number) for number in numbers)) if numbers[0] else None


def wanted_block(case: Case, plan: Any, block: int) -> str:
    """Name of a case's block."""
    return block_name(case.name, *plan.seeds(block))


def _write_plan(handle: store.Run, case: Case, plan: Any) -> None:
    # If another shard has written it meanwhile, its plan is used.
    if not store.has_block(handle, plan_name(case.name)):
        store.write_block(handle, plan_name(case.name), {"plan": np.asarray(plan, np.int64)})


def _write_part(
    handle: store.Run, name: str, values: Any, case: Case, first_seed: int, control: Control | None
) -> Part:
    from deepinit.ensembles import controlled

    num_saved = max(case.num_saved - first_seed, 0)
    part, saved = measure_block(case.quantity, values, case.sample_layers, num_saved, control)
    arrays = {key if key == "samples" else _SAVED + key: array for key, array in saved.items()}
    store.write_block(handle, name, {**controlled.to_arrays(part), **arrays})
    return part, saved


def read_part(handle: store.Run, case: Case, plan: Any, block: int) -> Part:
    """Part of a finished block."""
    from deepinit.ensembles import controlled

    name, (first, last) = wanted_block(case, plan, block), plan.seeds(block)
    part, arrays = read_statistics(handle, name)
    saved = {
        key.removeprefix(_SAVED): array
        for key, array in arrays.items()
        if key.startswith((_SAVED, "samples"))
    }
    axis = case.quantity.measurement.axis(case.spec, case.inputs)
    num_components = len(axis.entries)
    num_saved = min(max(case.num_saved - first, 0), last - first)
    samples = saved.get("samples", np.zeros((last - first, 0, num_components)))
    plain = controlled.plain_of(part)
    may_have_control = {"none": (False,), "theory": (True,), "auto": (False, True)}[case.control]
    fits = (
        plain.num_seeds == last - first
        and plain.mean.shape == (axis.length, num_components)
        and len(plain.events) == len(case.quantity.events)
        and (plain is not part) in may_have_control
        and samples.dtype.kind == "f"
        and samples.shape == (last - first, len(case.sample_layers), num_components)
        and all(array.shape[:1] == (num_saved,) for key, array in saved.items() if key != "samples")
    )
    if not fits:
        raise invalid_block(handle, name)
    return part, saved


def merge_parts(parts: Iterable[Part]) -> Part:
    """Merged parts; (None, {}) without any."""
    from deepinit.ensembles import controlled

    merged = None
    collected: dict[str, list[np.ndarray]] = {}
    for part, saved in parts:
        merged = part if merged is None else controlled.merge(merged, part)
        for name, array in saved.items():
            collected.setdefault(name, []).append(array)
    for name, arrays in collected.items():
        if len({(array.shape[1:], array.dtype) for array in arrays}) > 1:
            given = f"blocks whose arrays {name!r} differ in shape or type"
            remedy = "Remove the odd block; the original command computes it again."
            raise DamagedError(given, "blocks of one run", remedy)
    return merged, {name: np.concatenate(arrays) for name, arrays in collected.items()}


def remark_on_first(sentence: str) -> None:
    """Print to standard error from the first process."""
    from deepinit.ensembles import processes

    if processes.is_first():
        remark(f"{sentence}\n")
