"""Experiment -> finished run directory: simulate in blocks, predict, take the limit, compare, store, plot, report."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepinit import store
from deepinit.core.errors import ConflictError, DeepinitError, StoppedError, refusal
from deepinit.core.results import Prediction
from deepinit.core.specs import Spec
from deepinit.core.terminal import remark
from deepinit.cores import numeric_flags, require_devices
from deepinit.ensembles import DRAW_SCHEME
from deepinit.experiment import Case, CaseResult, Experiment, checked_cases
from deepinit.inspection import block_name, plan_name, read_plan, read_statistics
from deepinit.outcome import Outcome, conclude
from deepinit.progress import Report, bar, callback
from deepinit.quantities.routes import evaluate, finished_estimate, measure_block, seed_bytes, seed_fn_of

_KEPT = "kept."  # in front of the names of arrays of single networks, in a block

Kept = dict[str, np.ndarray]
Theory = tuple[tuple[Prediction, ...], dict[str, str]]  # predictions, and why others do not apply
_COMPILE_COST = 2e8  # random numbers drawn in the time that compiling takes, for the time left
_MOST_SHOWN = 5


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


def identity(experiment: Experiment, config: Any, block_size: int | None = None) -> dict[str, Any]:
    """What a run computes, as JSON: its hash names the run. Needs no JAX."""
    return {
        "experiment": experiment.name,
        "config": dataclasses.asdict(config),
        "cases": [case.identity() for case in checked_cases(experiment, config)],
        "draw_scheme": DRAW_SCHEME,
        "block_size": block_size,
    }


def run(experiment: Experiment, config: Any, out: Path, options: Options = Options()) -> Outcome | None:
    """Carries an experiment out, or continues it.

    Args:
        experiment: what to do.
        config: its config.
        out: the run directory; created, or continued if it holds the same run.
        options: shard, block size, repair.

    Returns:
        The outcome, or None if this was one shard of several (then `merge` concludes).

    Raises:
        ConflictError, DamagedError, ResourceError: the run directory cannot be used; nothing in it is lost.
        StoppedError: asked to stop; a later call continues.
    """
    from deepinit.ensembles import processes

    asked = identity(experiment, config, options.block_size)
    cases = checked_cases(experiment, config)
    require_devices()
    with contextlib.ExitStack() as stack:
        handle = processes.on_first(_open, stack, out, asked, options)
        if processes.on_any(handle is not None and options.shard[1] == 1 and store.is_concluded(handle)):
            return Outcome.load(out) if handle is not None else None
        processes.on_first(_note_provenance, handle)
        concludes = handle is not None and options.shard[1] == 1
        # Theory first: what it refuses is refused before anything is simulated.
        predictions = _all_predictions(cases) if concludes else []
        shown = bar(experiment.name) if handle is not None else callback(lambda done, total: None)
        report = stack.enter_context(shown)
        # Elsewhere a signal ends the command at once: what is being written is whole or absent.
        with store.stop_on_signals(_say_stopping) as stop:
            measured = list(_measure_all(cases, handle, options, stop, report))
            if processes.on_any(stop.requested):  # after the last block
                raise StoppedError(_stopped(handle, stop, cases[-1]))
        report(1, 1, "networks are done; figures and report")
        if handle is None or not concludes:
            return None
        results = [_compare(*parts) for parts in zip(cases, predictions, measured, strict=True)]
        return conclude(experiment, config, results, handle, options.command)


def merge(experiment: Experiment, config: Any, out: Path, options: Options = Options()) -> Outcome:
    """Concludes a run whose shards have finished.

    Raises:
        SpecError: there is no run.
        ConflictError: blocks are missing (which ones, and the shards that owe them), and it was not asked to repair them.
    """
    store.load_run(out)
    asked = identity(experiment, config, options.block_size)
    if options.repair:
        outcome = run(experiment, config, out, dataclasses.replace(options, shard=(0, 1)))
        if outcome is None:
            raise DeepinitError("A run of the whole has no outcome.")  # of one process: it always has
        return outcome
    _refuse_other_blocks(out, asked)
    with store.open_run(out, asked, allow_mixed=options.allow_mixed) as handle:
        if store.is_concluded(handle):
            return Outcome.load(out)
        results = []
        for case in checked_cases(experiment, config):
            present = set(store.finished_blocks(handle))
            plan = stored_plan(handle, case)
            wanted = [] if plan is None else [_block_name(case, plan, block) for block in range(plan.num_blocks)]
            missing = [block for block, name in enumerate(wanted) if name not in present]
            if plan is None or missing:
                lacks = ", ".join(wanted[block] for block in missing[:_MOST_SHOWN]) or f"all of {case.name}"
                more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
                raise ConflictError(
                    refusal(
                        f"a run in {out} that lacks the blocks {lacks}{more}",
                        "a run whose shards have all finished",
                        f"Run {_owing(handle, missing)}, or merge with --repair, which computes them here.",
                    )
                )
            results.append(_compare(case, _predictions(case), _collect(_read(handle, name) for name in wanted)))
        return conclude(experiment, config, results, handle, options.command)


def _open(stack: contextlib.ExitStack, out: Path, asked: dict[str, Any], options: Options) -> store.Run:
    _refuse_other_blocks(out, asked)
    if options.repair and store.has_run(out):
        store.discard_damaged(out)
    return stack.enter_context(
        store.open_run(
            out,
            asked,
            backend=_backend(),
            flags=numeric_flags(os.environ),
            shard=options.shard,
            allow_mixed=options.allow_mixed,
        )
    )


def _refuse_other_blocks(out: Path, asked: dict[str, Any]) -> None:
    """A run that is the one asked for but for its block size."""
    if not store.has_run(out):
        return
    here = store.load_run(out).identity
    if [difference.partition(":")[0] for difference in store.differences(here, asked)] != ["block_size"]:
        return
    had, wanted = here.get("block_size"), asked["block_size"]
    as_before = "without --block-size" if had is None else f"with --block-size {had}"
    raise ConflictError(
        refusal(
            f"--block-size {wanted} for the run in {out}, which was begun {as_before}"
            if wanted is not None
            else f"no --block-size for the run in {out}, which was begun {as_before}",
            "the block size of its first start: finished blocks cover other ranges of networks, and batches of another size "
            "round otherwise",
            f"Go on {as_before}, or start anew with another --out; nothing here has been touched. Where memory is short, "
            "batches are made smaller by themselves, and blocks stay.",
        )
    )


def _owing(handle: store.Run, missing: list[int]) -> str:
    """Which shards have not written these blocks, as far as the journal tells how the run was shared out."""
    shards = [event["shard"] for event in store.read_journal(handle.path) if event["event"] == "start"]
    count = next((int(shard.split("/")[1]) for shard in reversed(shards) if not shard.endswith("/1")), 1)
    if count == 1 or not missing:
        return "the shards that are missing"
    return ", ".join(f"--shard {shard}/{count}" for shard in sorted({block % count for block in missing}))


def _measure_all(
    cases: tuple[Case, ...], handle: store.Run | None, options: Options, stop: store.Stop, report: Report
) -> Iterator[tuple[Any, Kept]]:
    total = sum(_COMPILE_COST + case.cost * case.num_seeds for case in cases)
    done = 0.0
    for case in cases:
        report(done, total, case.name)

        def told(seeds: int, case: Case = case, before: float = done) -> None:
            report(before + _COMPILE_COST + case.cost * seeds, total, case.name)

        yield _collect(_measure(case, handle, options, stop, told))
        done += _COMPILE_COST + case.cost * case.num_seeds


def _measure(
    case: Case, handle: store.Run | None, options: Options, stop: store.Stop, told: Callable[[int], None]
) -> Iterator[tuple[Any, Kept]]:
    """Statistics and samples of each block: finished ones are read and checked, the others computed and written.

    Nothing on another process than the first, which takes part in the computation only.
    """
    from deepinit.ensembles import blocks, keys, processes

    def halved(batch: int, smaller: int) -> None:
        _say(f"{case.name}: {blocks.in_halves(batch, smaller)}")
        if handle is not None:
            store.append_event(handle, "retry", case=case.name, reason="out of memory", batch=batch, smaller=smaller)

    plan = _shared_plan(handle, case)
    ensemble = None
    if plan is None:
        ensemble = compiled(case, None, options.block_size, halved)
        plan = ensemble.blocks
        processes.on_first(_write_plan, handle, case, plan)
        if options.block_size is not None and plan.block_size < min(options.block_size, case.num_seeds):
            _say(f"{case.name}: blocks of {plan.block_size} networks; memory has no room for {options.block_size}")
        plan = _shared_plan(handle, case)
    first, step = options.shard
    mine = range(first, plan.num_blocks, step)
    names = {block: _block_name(case, plan, block) for block in mine}
    there = processes.from_first([handle is not None and store.has_block(handle, names[block]) for block in mine])
    for block, finished in zip(mine, there, strict=True):
        if finished:
            part = processes.on_first(_read, handle, names[block])
        else:
            if ensemble is None or ensemble.blocks != plan:
                ensemble = compiled(case, plan, None, halved)
            measured = ensemble.block_fn(keys.root_key(case.key), block)
            part = processes.on_first(_finish, handle, names[block], measured, case, plan.seeds(block)[0])
        if part is not None:
            yield part
        told(plan.seeds(block)[1])
        if processes.on_any(stop.requested):
            raise StoppedError(_stopped(handle, stop, case))


def _stopped(handle: store.Run | None, stop: store.Stop, case: Case) -> str:
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
    at_hand = seed_bytes(case.spec, case.inputs, settings)
    alone = not isinstance(case.spec, Spec)
    return blocks.compile_ensemble(
        seed_fn, case.num_seeds, seed_bytes=at_hand, alone=alone, blocks=plan, block_size=block_size, halved=halved
    )


def stored_plan(handle: store.Run | None, case: Case) -> Any:
    """How the run directory's case was cut; None before its first block."""
    from deepinit.ensembles import blocks

    name = plan_name(case.name)
    if handle is None or not store.has_block(handle, name):
        return None
    return blocks.Blocks(*read_plan(handle, case.name))


def _shared_plan(handle: store.Run | None, case: Case) -> Any:
    """The plan that the run directory holds, as the first process sees it; None if there is none yet."""
    from deepinit.ensembles import blocks, processes

    plan = stored_plan(handle, case)
    numbers = processes.from_first(np.asarray(plan if plan is not None else (0, 0, 0), np.int64))
    return blocks.Blocks(*(int(number) for number in numbers)) if numbers[0] else None


def _block_name(case: Case, plan: Any, block: int) -> str:
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


def _read(handle: store.Run, name: str) -> tuple[Any, Kept]:
    part, arrays = read_statistics(handle, name)
    kept = {key.removeprefix(_KEPT): array for key, array in arrays.items() if key.startswith((_KEPT, "samples"))}
    return part, kept


def _collect(parts: Iterable[tuple[Any, Kept]]) -> tuple[Any, Kept]:
    """Statistics of all blocks, merged as they come, and what is kept of single networks; (None, {}) without blocks."""
    from deepinit.ensembles import statistics

    merged = None
    collected: dict[str, list[np.ndarray]] = {}
    for part, kept in parts:
        merged = part if merged is None else statistics.merge(merged, part)
        for name, array in kept.items():
            collected.setdefault(name, []).append(array)
    return merged, {name: np.concatenate(arrays) for name, arrays in collected.items()}


def _all_predictions(cases: tuple[Case, ...]) -> list[Any]:
    with bar("theory") as report:
        found = []
        for number, case in enumerate(cases):
            report(number, len(cases), f"theory of {case.name}")
            found.append(_predictions(case))
        return found


def _predictions(case: Case) -> Theory:
    return evaluate(case.spec, case.quantity, case.inputs, case.forms)


def _compare(case: Case, theory: Theory, measured: tuple[Any, Kept]) -> CaseResult:
    from deepinit.comparison.compare import comparison

    settings = {name: getattr(case, name) for name in ("linear_map", "dtype", "precision")}
    (predictions, not_applicable), (merged, kept) = theory, measured
    samples = kept.pop("samples", None)
    estimate = finished_estimate(case.spec, case.quantity, case.inputs, merged, samples, settings)
    entries = case.quantity.entry_names(case.spec, case.inputs)
    dataset = comparison(estimate, predictions, pairs=entries).dataset
    dataset.attrs.update(label=case.name, symbol=case.quantity.symbol)
    return CaseResult(case, estimate, predictions, dataset, kept, not_applicable)


def _backend() -> str:
    import jax

    # XLA compiles a program for one device otherwise than one for several, whose number makes no difference: the last digits differ.
    several = "several devices" if jax.device_count() > 1 else "one device"
    return f"{jax.default_backend()}, {jax.devices()[0].device_kind}, {several}"


def _note_provenance(handle: store.Run) -> None:
    import jax

    devices = {
        "device_kind": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
    }
    store.write_provenance(handle, store.collect(devices))


def _say_stopping(signal_name: str) -> None:
    _say(f"{signal_name}: finishing the block, then stopping (again to stop now)")


def _say(sentence: str) -> None:
    """A remark on standard error, from the first process only."""
    from deepinit.ensembles import processes

    if processes.is_first():
        remark(f"{sentence}\n")
