"""Experiment -> finished run directory: simulate in blocks, predict, take the limit, compare, store, plot, report."""

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Any

from deepinit import store
from deepinit.core.errors import ConflictError, DeepinitError, StoppedError, refusal
from deepinit.core.results import Prediction
from deepinit.devices import numeric_flags, require_devices
from deepinit.ensembles import DRAW_SCHEME
from deepinit.runs.experiment import Case, CaseResult, Experiment, checked_cases
from deepinit.runs.measure import (
    WHOLE,
    Kept,
    Options,
    collect,
    measure_all,
    read_part,
    say,
    stopped,
    stored_plan,
    wanted_block,
)
from deepinit.runs.outcome import Outcome, conclude
from deepinit.core.progress import bar, callback
from deepinit.quantities.routes import evaluate, finished_estimate

Theory = tuple[tuple[Prediction, ...], dict[str, str]]  # predictions, and why others do not apply
_MOST_SHOWN = 5


def identity(experiment: Experiment, config: Any, block_size: int | None = None) -> dict[str, Any]:
    """What a run computes, as JSON: its hash names the run. Needs no JAX."""
    return {
        "experiment": experiment.name,
        "config": dataclasses.asdict(config),
        "cases": [case.identity() for case in checked_cases(experiment, config)],
        "draw_scheme": DRAW_SCHEME,
        "block_size": block_size,
    }


def run(experiment: Experiment, config: Any, out: Path, options: Options = WHOLE) -> Outcome | None:
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
        if processes.on_any(
            handle is not None and options.shard[1] == 1 and store.is_concluded(handle)
        ):
            return Outcome.load(out) if handle is not None else None
        processes.on_first(_note_provenance, handle)
        concludes = handle is not None and options.shard[1] == 1
        # Theory first: what it refuses is refused before anything is simulated.
        predictions = _all_predictions(cases) if concludes else []
        shown = bar(experiment.name) if handle is not None else callback(lambda done, total: None)
        report = stack.enter_context(shown)
        # Elsewhere a signal ends the command at once: what is being written is whole or absent.
        with store.stop_on_signals(_say_stopping) as stop:
            measured = list(measure_all(cases, handle, options, stop, report))
            if processes.on_any(stop.requested):  # after the last block
                raise StoppedError(stopped(handle, stop, cases[-1]))
        report(1, 1, "networks are done; figures and report")
        if handle is None or not concludes:
            return None
        results = [_compare(*parts) for parts in zip(cases, predictions, measured, strict=True)]
        return conclude(experiment, config, results, handle, options.command)


def merge(experiment: Experiment, config: Any, out: Path, options: Options = WHOLE) -> Outcome:
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
            raise DeepinitError(
                "A run of the whole has no outcome."
            )  # of one process: it always has
        return outcome
    _refuse_other_blocks(out, asked)
    with store.open_run(out, asked, allow_mixed=options.allow_mixed) as handle:
        if store.is_concluded(handle):
            return Outcome.load(out)
        results = []
        for case in checked_cases(experiment, config):
            present = set(store.finished_blocks(handle))
            plan = stored_plan(handle, case)
            wanted = (
                []
                if plan is None
                else [wanted_block(case, plan, block) for block in range(plan.num_blocks)]
            )
            missing = [block for block, name in enumerate(wanted) if name not in present]
            if plan is None or missing:
                lacks = (
                    ", ".join(wanted[block] for block in missing[:_MOST_SHOWN])
                    or f"all of {case.name}"
                )
                more = (
                    f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
                )
                raise ConflictError(
                    f"a run in {out} that lacks the blocks {lacks}{more}",
                    "a run whose shards have all finished",
                    f"Run {_owing(handle, missing)}, or merge with --repair, which computes them here.",
                )
            results.append(
                _compare(
                    case,
                    _predictions(case),
                    collect(read_part(handle, case, plan, block) for block in range(len(wanted))),
                )
            )
        return conclude(experiment, config, results, handle, options.command)


def _open(
    stack: contextlib.ExitStack, out: Path, asked: dict[str, Any], options: Options
) -> store.Run:
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
    if [difference.partition(":")[0] for difference in store.differences(here, asked)] != [
        "block_size"
    ]:
        return
    had, wanted = here.get("block_size"), asked["block_size"]
    as_before = "without --block-size" if had is None else f"with --block-size {had}"
    raise ConflictError(
        f"--block-size {wanted} for the run in {out}, which was begun {as_before}"
        if wanted is not None
        else f"no --block-size for the run in {out}, which was begun {as_before}",
        "the block size of its first start: finished blocks cover other ranges of networks, and batches of another size "
        "round otherwise",
        f"Go on {as_before}, or start anew with another --out; nothing here has been touched. Where memory is short, "
        "batches are made smaller by themselves, and blocks stay.",
    )


def _owing(handle: store.Run, missing: list[int]) -> str:
    """Which shards have not written these blocks, as far as the journal tells how the run was shared out."""
    shards = [
        event["shard"] for event in store.read_journal(handle.path) if event["event"] == "start"
    ]
    count = next(
        (int(shard.split("/")[1]) for shard in reversed(shards) if not shard.endswith("/1")), 1
    )
    if count == 1 or not missing:
        return "the shards that are missing"
    return ", ".join(
        f"--shard {shard}/{count}" for shard in sorted({block % count for block in missing})
    )


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
    dataset = comparison(estimate, predictions).dataset
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
    say(f"{signal_name}: finishing the block, then stopping (again to stop now)")
