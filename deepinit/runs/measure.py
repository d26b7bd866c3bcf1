"""Blocks of a run, read or computed."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from deepinit import store
from deepinit.core.errors import DamagedError, ResourceError, StoppedError
from deepinit.core.progress import Report
from deepinit.core.specs import NetworkSpec
from deepinit.core.terminal import remark
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.controls import Control
from deepinit.quantities.measured import measure_block
from deepinit.runs import work
from deepinit.runs.cutting import case_programs, device, settled, works
from deepinit.runs.experiment import Case
from deepinit.runs.inspect import block_name, invalid_block, read_statistics
from deepinit.runs.work import COMPILE_COST

_SAVED = "kept."  # prefix, in a block, of the names of arrays of single networks

Saved = dict[str, np.ndarray]  # arrays of single networks
Part = tuple[Any, Saved]  # statistics of one or more blocks, and what is saved of their networks


@dataclasses.dataclass(frozen=True)
class Options:
    """Execution options; none changes numbers beyond rounding.

    Attributes:
        shard: (i, n): share i of n of the list of work.
        block_size: seeds; None cuts by cost.
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
    """Merged statistics and saved arrays of each case in the shard; StoppedError after a block.

    The whole run goes by case, a shard by cost.
    """
    controls = [case_control(case)[0] for case in cases]  # refusals come before any simulation
    plans = shared_plans(cases, handle, options)
    own = _own_blocks(cases, plans, options.shard)
    costs = [COMPILE_COST + _cost(cases[part.case], plans[part.case], part) for part in own]
    total, done = sum(costs), 0.0
    for part, cost in zip(own, costs, strict=True):
        case, plan = cases[part.case], plans[part.case]
        report(done, total, case.name)

        def advance(
            block: int, case: Case = case, plan: Any = plan, part: Any = part, before: float = done
        ) -> None:
            finished = part._replace(last=block + 1)
            report(before + COMPILE_COST + _cost(case, plan, finished), total, case.name)

        blocks = range(part.first, part.last)
        measured = _measure(case, controls[part.case], plan, blocks, handle, stop, advance)
        yield merge_parts(measured)
        done += cost


def _own_blocks(
    cases: tuple[Case, ...], plans: list[Any], shard: tuple[int, int]
) -> list[work.Part]:
    if shard[1] == 1:
        return [work.Part(case, 0, plan.num_blocks) for case, plan in enumerate(plans)]
    return work.shares(works(cases, plans), shard[1])[shard[0]]


def _cost(case: Case, plan: Any, part: work.Part) -> float:
    """Random numbers of a part's networks."""
    return case.cost * (plan.seeds(part.last - 1)[1] - plan.seeds(part.first)[0])


def case_control(case: Case) -> tuple[Control | None, dict[str, str]]:
    """`choose_control` of a case."""
    return choose_control(case.spec, case.quantity, case.inputs, case.control)


def _measure(
    case: Case,
    control: Control | None,
    plan: Any,
    own: range,
    handle: store.Run | None,
    stop: store.Stop,
    advance: Callable[[int], None],
) -> Iterator[Part]:
    """Parts of the blocks; only in the first process."""
    from deepinit.ensembles import keys, processes

    ensemble = None
    names = {block: wanted_block(case, plan, block) for block in own}
    finished = processes.from_first(
        [handle is not None and store.has_block(handle, names[block]) for block in own]
    )
    for block, is_finished in zip(own, finished, strict=True):
        if is_finished:
            part = processes.on_first(read_part, handle, case, plan, block)
        else:
            ensemble = ensemble or compiled(case, plan, on_smaller_batches(handle, case), control)
            values = ensemble.block_fn(keys.root_key(case.key), block)
            start = plan.seeds(block)[0]
            part = processes.on_first(
                write_part, handle, names[block], values, case, start, control
            )
        if part is not None:
            yield part
        advance(block)
        if processes.on_any(stop.requested):
            raise stopped(handle, stop, case)


def on_smaller_batches(handle: store.Run | None, case: Case) -> Callable[[int, int], None]:
    """Says and records that a device ran out of memory."""
    from deepinit.ensembles import blocks

    def halved(batch: int, smaller: int) -> None:
        remark_on_first(f"{case.name}: {blocks.smaller_batches_text(batch, smaller)}")
        if handle is not None:
            fields = {"case": case.name, "batch": batch, "smaller": smaller}
            store.append_event(handle, "retry", reason="out of memory", **fields)

    return halved


def stopped(handle: store.Run | None, stop: store.Stop, case: Case) -> StoppedError:
    """Error of a stopped run, with a message in the first process."""
    by = stop.signal_name or "another process"
    text = f"Stopped by {by} after a finished block of {case.name}; nothing is lost."
    return StoppedError("" if handle is None else f"{text} The same command continues.")


def compiled(
    case: Case,
    plan: Any,
    halved: Callable[[int, int], None] | None = None,
    control: Control | None = None,
) -> Any:
    """Compiled ensemble in the plan's blocks, with batches that the memory budget has room for."""
    from deepinit.ensembles import blocks, cuts

    measured = case_programs(case, control)
    while True:
        ensemble = blocks.compile_ensemble(
            measured,
            case.num_seeds,
            batch_size_one=not isinstance(case.spec, NetworkSpec),
            blocks=plan,
            on_smaller_batches=halved,
        )
        over = ensemble.bytes_needed / cuts.MEMORY_BUDGET
        if over <= 1:
            return ensemble
        if plan.batch_size == 1:
            raise ResourceError(
                f"blocks of {plan.block_size} networks of {case.name} that need "
                f"{ensemble.bytes_needed / 2**20:.0f} MiB of memory",
                f"{cuts.MEMORY_BUDGET / 2**20:.0f} MiB",
                "Use conditional linear maps, smaller widths, or a smaller --block-size in a new "
                "directory.",
            )
        plan = plan._replace(batch_size=max(1, int(plan.batch_size / over / 1.1)))


def shared_plans(cases: tuple[Case, ...], handle: store.Run | None, options: Options) -> list[Any]:
    """`Blocks` of all cases, of the first process."""
    from deepinit.ensembles import cuts, processes

    arguments = cases, options.block_size, options.shard[1], device()
    plans = processes.on_first(settled, handle, *arguments)
    numbers = processes.from_first(np.array(plans or [(0, 0, 0)] * len(cases), np.int64))
    found = [cuts.Blocks(*(int(number) for number in row)) for row in numbers]
    for case, plan in zip(cases, found, strict=True):
        if options.block_size is not None and plan.block_size < min(
            options.block_size, case.num_seeds
        ):
            remark_on_first(
                f"{case.name}: {plan.block_size} networks per block; "
                f"memory has no room for {options.block_size}"
            )
    return found


def wanted_block(case: Case, plan: Any, block: int) -> str:
    """Name of a case's block."""
    return block_name(case.name, *plan.seeds(block))


def write_part(
    handle: store.Run, name: str, values: Any, case: Case, first_seed: int, control: Control | None
) -> Part:
    """Part of a computed block, written."""
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
