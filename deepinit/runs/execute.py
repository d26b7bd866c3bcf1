"""Experiment -> finished run."""

import contextlib
import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from deepinit import store
from deepinit.core.errors import ConflictError, DeepinitError, SpecError, StoppedError
from deepinit.core.progress import bar, callback
from deepinit.devices import backend, numeric_flags, require_devices
from deepinit.runs import dispatch, tasks, work
from deepinit.runs.case_results import all_predictions, compared, predictions
from deepinit.runs.crew import Crew, crew_of
from deepinit.runs.cutting import settled, stored_plan, works
from deepinit.runs.experiment import Case, Experiment, checked_cases, identity
from deepinit.runs.measure import (
    Options,
    Part,
    case_control,
    measure_all,
    merge_parts,
    read_part,
    remark_on_first,
    stopped,
    wanted_block,
)
from deepinit.runs.outcome import Outcome, conclude
from deepinit.runs.work import Work
from deepinit.store.atomic import remove_file

_MOST_SHOWN = 5


def run(
    experiment: Experiment,
    config: Any,
    out: Path,
    options: Options | None = None,
    *,
    executor: Executor | Callable[[], Executor] | Crew | None = None,
    workers: int | None = None,
) -> Outcome | None:
    """Run or continue an experiment; None for one shard of several (see `merge`).

    Args:
        out: a new run directory, or of the same run.
        executor: any `concurrent.futures.Executor` (a process pool that spawns, dask's
            `client.get_executor()`), or a function that makes one, called again where workers were
            killed. Its tasks are blocks; the workers write into `out`, which they must see. The
            bytes are those of a run without it.
        workers: tasks at the same time; None asks the executor.

    Raises ConflictError, DamagedError, ResourceError: an unusable run directory; nothing is lost.
        StoppedError: a stop was requested; a later call continues.
    """
    from deepinit.ensembles import processes

    options = options or Options()
    if executor is not None:
        crew = executor if isinstance(executor, Crew) else crew_of(executor, workers)
        return _run_on(crew, experiment, config, out, options)
    requested = identity(experiment, config, options.block_size)
    cases = checked_cases(experiment, config)
    whole = options.shard[1] == 1
    require_devices()
    with contextlib.ExitStack() as stack:
        here = {"backend": backend(), "flags": numeric_flags(os.environ)}
        handle = processes.on_first(_open, stack, out, requested, options, here)
        if processes.on_any(handle is not None and whole and store.is_finalized(handle)):
            return Outcome.load(out) if handle is not None else None
        processes.on_first(_record_provenance, handle)
        finalizes = handle is not None and whole
        # Theory first, so that its refusals come before any simulation.
        predicted = all_predictions(cases) if finalizes else []
        shown = bar(experiment.name) if handle is not None else callback(lambda done, total: None)
        report = stack.enter_context(shown)
        # Only here do signals wait for a block; elsewhere they end the command at once, which is
        # safe: a file is intact or absent.
        with store.stop_on_signals(_remark_stopping) as stop:
            parts = list(measure_all(cases, handle, options, stop, report))
            if processes.on_any(stop.requested):  # after the last block
                raise stopped(handle, stop, cases[-1])
        report(1, 1, "networks are done; figures and report")
        if handle is None or not finalizes:
            return None
        results = [compared(*case) for case in zip(cases, predicted, parts, strict=True)]
        return conclude(experiment, config, results, handle, options.command)


def _run_on(
    crew: Crew, experiment: Experiment, config: Any, out: Path, options: Options
) -> Outcome:
    """`run` by the workers of an executor."""
    import jax

    if options.shard[1] > 1:
        given = f"an executor for shard {options.shard[0]}/{options.shard[1]}"
        raise SpecError(given, "one of the two", "Leave --shard out: the executor shares blocks.")
    requested = identity(experiment, config, options.block_size)
    cases = checked_cases(experiment, config)
    for case in cases:
        case_control(case)  # refusals come before any simulation
    task = dispatch.sent(experiment, config)
    require_devices()
    _refuse_other_blocks(out, requested)
    with contextlib.ExitStack() as stack:
        dispatcher = dispatch.Dispatcher(crew)
        workers = dispatcher.workers()
        handle = _open(stack, out, requested, options, workers.environment)
        if store.is_finalized(handle):
            return Outcome.load(out)
        _record_provenance(handle)
        predicted = all_predictions(cases)
        size = options.block_size
        plans = settled(handle, cases, size, crew.workers, workers.where)
        listed = works(cases, plans)
        task |= {
            "block_size": size,
            "environment": {} if options.allow_mixed else workers.environment,
            "cache": getattr(jax.config, "jax_compilation_cache_dir", None),
        }
        report = stack.enter_context(bar(experiment.name))
        with store.stop_on_signals(_remark_stopping) as stop:
            dispatch.compute_all(dispatcher, task, listed, handle, stop, report)
            if stop.requested:
                raise StoppedError(
                    f"Stopped by {stop.signal_name} after the workers' blocks; nothing is lost. "
                    "The same command continues."
                )
        report(1, 1, "networks are done; figures and report")
        parts = _stored_parts(handle, cases)
        results = [compared(*case) for case in zip(cases, predicted, parts, strict=True)]
        return conclude(experiment, config, results, handle, options.command)


def merge(
    experiment: Experiment, config: Any, out: Path, options: Options | None = None
) -> Outcome:
    """Finalize a run whose shards have finished.

    Raises SpecError: no run. ConflictError: missing blocks without `repair`.
    """
    options = options or Options()
    store.load_run(out)
    requested = identity(experiment, config, options.block_size)
    if options.repair:
        outcome = run(experiment, config, out, dataclasses.replace(options, shard=(0, 1)))
        if outcome is None:
            raise DeepinitError("A run of all shards has no outcome.")  # in one process it has
        return outcome
    _refuse_other_blocks(out, requested)
    with store.open_run(out, requested, allow_mixed=options.allow_mixed) as handle:
        if store.is_finalized(handle):
            return Outcome.load(out)
        cases = checked_cases(experiment, config)
        parts = _stored_parts(handle, cases)
        results = [
            compared(case, predictions(case), part) for case, part in zip(cases, parts, strict=True)
        ]
        return conclude(experiment, config, results, handle, options.command)


def _stored_parts(handle: store.Run, cases: tuple[Case, ...]) -> list[Part]:
    """Merged blocks of every case; ConflictError for missing ones."""
    present = set(store.finished_blocks(handle))
    plans = [stored_plan(handle, case) for case in cases]
    missing = [
        (number, block)
        for number, plan in enumerate(plans)
        for block in range(plan.num_blocks if plan else 0)
        if wanted_block(cases[number], plan, block) not in present
    ]
    if missing or None in plans:
        names = [wanted_block(cases[number], plans[number], block) for number, block in missing]
        names += [
            f"of {case.name}" for case, plan in zip(cases, plans, strict=True) if plan is None
        ]
        rest = len(names) - _MOST_SHOWN
        given = f"a run in {handle.path} that lacks the blocks {', '.join(names[:_MOST_SHOWN])}"
        given += f" and {rest} more" if rest > 0 else ""
        shards = "the missing shards"
        if None not in plans:
            shards = _missing_shards(handle, works(cases, plans), missing)
        remedy = f"Run {shards}, or merge with --repair."
        raise ConflictError(given, "a run whose shards have all finished", remedy)
    return [
        merge_parts(read_part(handle, case, plan, block) for block in range(plan.num_blocks))
        for case, plan in zip(cases, plans, strict=True)
    ]


def _open(
    stack: contextlib.ExitStack,
    out: Path,
    requested: dict[str, Any],
    options: Options,
    environment: dict[str, Any],
) -> store.Run:
    _refuse_other_blocks(out, requested)
    if options.repair and store.has_run(out):
        store.quarantine_damaged(out)
    handle = stack.enter_context(
        store.open_run(
            out,
            requested,
            backend=environment.get("backend"),
            flags=environment.get("flags"),
            shard=options.shard,
            allow_mixed=options.allow_mixed,
        )
    )
    if options.shard[1] == 1:
        remove_file(out, tasks.MARKER)  # workers of a start that was killed stop
    return handle


def _refuse_other_blocks(out: Path, requested: dict[str, Any]) -> None:
    """Refuse another block size than the first."""
    if not store.has_run(out):
        return
    stored = store.load_run(out).identity
    differences = [line.partition(":")[0] for line in store.differences(stored, requested)]
    if differences != ["block_size"]:
        return
    before, now = stored.get("block_size"), requested["block_size"]
    as_before = "without --block-size" if before is None else f"with --block-size {before}"
    option = "no --block-size" if now is None else f"--block-size {now}"
    raise ConflictError(
        f"{option} for the run in {out}, which was begun {as_before}",
        "the block size of the first start, which fixes the blocks and their rounding",
        f"Continue {as_before}, or choose another --out. Where memory is short, batches shrink "
        "by themselves.",
    )


def _missing_shards(handle: store.Run, works: list[Work], missing: list[tuple[int, int]]) -> str:
    """Shards of these (case, block), if known."""
    events = store.read_journal(handle.path)
    shards = [event["shard"] for event in events if event["event"] == "start"]
    counts = [int(shard.split("/")[1]) for shard in shards if not shard.endswith("/1")]
    if not counts:
        return "the missing shards"
    owners = work.owners(work.shares(works, counts[-1]), missing)
    return ", ".join(f"--shard {shard}/{counts[-1]}" for shard in owners)


def _record_provenance(handle: store.Run) -> None:
    import jax

    devices = {
        "device_kind": jax.devices()[0].device_kind,
        "device_count": jax.device_count(),
        "process_count": jax.process_count(),
    }
    store.write_provenance(handle, store.collect(devices))


def _remark_stopping(signal_name: str) -> None:
    remark_on_first(f"{signal_name}: finishing the block, then stopping (again to stop now)")
