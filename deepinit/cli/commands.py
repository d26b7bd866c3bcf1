"""The commands run, merge, show, verify, list, new, diagnose; each returns its exit code."""

import contextlib
import errno
import json
import os
import shlex
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deepinit.cli.arguments import (
    Diagnose,
    Merge,
    New,
    Run,
    Show,
    Verify,
    config_of,
    merge_command,
    shard_of,
)
from deepinit.cli.printing import print_outcome, print_rows
from deepinit.core import validate
from deepinit.core.errors import DeepinitError, ResourceError, SpecError
from deepinit.core.terminal import remark, write, write_line
from deepinit.runs import user_code
from deepinit.runs.distributed import ProcessInfo, joined, process_info
from deepinit.runs.experiment import Experiment, checked_cases
from deepinit.runs.load import known_names, load_experiment

_LEAST_ADDRESS_SPACE = 2 * 2**30


def run(command: Run, rest: list[str], line: str) -> int:
    """Run an experiment, or print its plan."""
    experiment, config, out = _requested(command, rest)
    options = _options(command, line)
    info = _process_info(command)
    if command.executor is not None and (info is not None or options.shard[1] > 1):
        allowed = "one of --executor, --shard and --distributed"
        raise SpecError("--executor with another of its kind", allowed, "Leave the others out.")
    if command.timed and not command.dry_run:
        raise SpecError("--timed", "it with --dry-run", "Add --dry-run, or leave --timed out.")
    if command.timed or not command.dry_run:
        _require_address_space()
    if command.dry_run:
        _print_plan(experiment, config, out, options if command.timed else None)
        return 0
    with _joined(info, command.join_timeout) as is_first, _compilation_cache():
        if is_first() and not command.json:
            remark(f"deepinit: {experiment.title}\n-> {out}\n")
        from deepinit.runs import execute, executors

        with contextlib.ExitStack() as stack:
            crew = command.executor and stack.enter_context(executors.opened(command.executor))
            outcome = execute.run(experiment, config, out, options, executor=crew or None)
        if not is_first():
            return 0
        if outcome is None:
            merge_line = merge_command(command, rest, out)
            write_line(f"shard {command.shard} is done; when all are: {merge_line}")
            return 0
        return print_outcome(outcome, command.json)


def merge(command: Merge, rest: list[str], line: str) -> int:
    """Finalize a run whose shards have finished."""
    experiment, config, out = _requested(command, rest)
    _require_address_space()
    from deepinit.runs import execute

    outcome = execute.merge(experiment, config, out, _options(command, line))
    return print_outcome(outcome, command.json)


def show(command: Show) -> int:
    """Print a finished run, or the progress of a running one."""
    from deepinit import store
    from deepinit.runs import inspect
    from deepinit.runs.outcome import Outcome

    if store.has_result(store.load_run(command.directory)):
        return print_outcome(Outcome.load(command.directory), command.json)
    record = inspect.progress(command.directory)
    if command.json:
        write(json.dumps(record, indent=1) + "\n")
        return 0
    columns, rows, remarks = inspect.progress_table(record)
    print_rows(f"{command.directory}: not finished", columns, rows)
    for line in remarks:
        write_line(line)
    return 0


def verify(command: Verify) -> int:
    """Check a run directory, and repair it with --repair."""
    from deepinit import store
    from deepinit.runs import inspect, starts

    check = store.quarantine_damaged if command.repair else store.verify
    report = check(command.directory)
    handled = "; quarantined" if command.repair else ""
    for name, fault in {**report.damaged, **report.damaged_files}.items():
        action = "; written again" if name in report.restored else handled
        write_line(f"damaged: {name} {fault}{action}")
    for name in report.missing:
        write_line(f"missing: {name}, recorded in the journal")
    run = store.load_run(command.directory)
    is_finished = store.has_result(run) and report.ok
    missing = [] if is_finished else inspect.missing_blocks(run)
    for line in missing:
        write_line(f"missing: {line}")
    if store.JOURNAL not in report.damaged_files or command.repair:
        for line in starts.provenance(run):
            write_line(line)
    intact = f"{len(report.intact)} blocks intact"
    if not report.ok and not command.repair:
        write_line(f"{intact}; identity {run.identity_hash}")
        directory = shlex.quote(str(command.directory))
        write_line(f"repair with: deepinit verify {directory} --repair")
        return 4
    rerun = "rerun the original command to compute missing blocks, or `deepinit merge --repair`"
    write_line(f"{intact}; {f'{rerun}; ' if missing else ''}identity {run.identity_hash}")
    return 0


def list_known() -> int:
    """Print the shipped and installed experiments."""
    rows = []
    for name in known_names():
        experiment = load_experiment(name)
        rows.append([name, experiment.question, ", ".join(experiment.preset_texts)])
    print_rows("Experiments", ("experiment", "question", "presets"), rows)
    write_line("Minutes: on two quiet cores, where they were measured.")
    write_line("deepinit run NAME --preset PRESET --dry-run prints the cases, --timed the time.")
    write_line("deepinit new NAME writes an experiment to edit.")
    return 0


def new(command: New) -> int:
    """Write the package of a new experiment."""
    from deepinit.runs.template import write_experiment

    folder = write_experiment(command.name, command.folder)
    write_line(f"{folder}: edit cases.py, then run it:")
    write_line(f"deepinit run {shlex.quote(str(folder))}")
    return 0


def diagnose(command: Diagnose) -> int:
    """Diagnose a network before training, or explain a word."""
    if command.explain is not None:
        from deepinit.diagnosis.words import explained

        write("\n".join(textwrap.wrap(explained(command.explain), 100)) + "\n")
        return 0
    _require_address_space()
    with _compilation_cache():
        from deepinit.cli.diagnose import diagnose

        return diagnose(command)


def _require_address_space() -> None:
    """Refuse, by ResourceError, `ulimit -v` below 2 GiB: JAX and OpenBLAS would abort."""
    try:
        import resource
    except ImportError:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit not in (-1, resource.RLIM_INFINITY) and limit < _LEAST_ADDRESS_SPACE:
        raise ResourceError(
            f"a limit of {limit / 2**30:.2g} GiB on the address space (ulimit -v)",
            f"{_LEAST_ADDRESS_SPACE / 2**30:g} GiB or more, which JAX and its threads take",
            "Raise it, or limit the resident memory instead; finished blocks are kept.",
        )


def _requested(command: Run | Merge, rest: list[str]) -> tuple[Experiment, Any, Path]:
    """The experiment, its config and the run directory."""
    experiment = _experiment(command.experiment)
    config = config_of(experiment, command, rest)
    return experiment, config, command.out or _default_directory(experiment, command, config)


def _experiment(path: str) -> Experiment:
    """The experiment at a path; an error in the file's code becomes a refusal."""
    allowed = "a Python file that defines EXPERIMENT"
    try:
        return load_experiment(path)
    except (DeepinitError, KeyboardInterrupt, MemoryError):
        raise
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG and error.filename == path:
            raise
        short = f"{path[:60]}{'...' if len(path) > 60 else ''}"
        given = f"the experiment {short}, which cannot be read ({error.strerror})"
        raise SpecError(given, allowed, "Check the path.") from error
    except (Exception, SystemExit) as error:
        where = user_code.location(error)
        cause = f"{user_code.summary(error)}{', at ' if where else ''}{where}"
        given = f"the experiment {path}, which cannot be imported ({cause})"
        raise SpecError(given, allowed, "Fix the file; --traceback shows more.") from error


def _process_info(command: Run) -> ProcessInfo | None:
    """This process among joined ones; None without --distributed."""
    options = ProcessInfo(command.coordinator, command.num_processes, command.process_id)
    if command.distributed:
        validate.positive("--join-timeout", command.join_timeout, "Leave it out for 300.")
        return process_info(options)
    if options != ProcessInfo():
        given = "--coordinator, --num-processes or --process-id without --distributed"
        remedy = "Add --distributed, or leave them out."
        raise SpecError(given, "them with --distributed, which joins processes", remedy)
    return None


@contextlib.contextmanager
def _joined(info: ProcessInfo | None, seconds: float) -> Iterator[Callable[[], bool]]:
    if info is None:
        yield lambda: True
    else:
        with joined(info, seconds) as is_first:
            yield is_first


def _options(command: Run | Merge, line: str) -> Any:
    from deepinit.runs.execute import Options

    if command.block_size is not None:
        validate.integer("--block-size", command.block_size, 1, "Leave it out to have it chosen.")
    shard = shard_of(command.shard) if isinstance(command, Run) else (0, 1)
    return Options(shard, command.block_size, command.allow_mixed, command.repair, line)


def _default_directory(experiment: Experiment, command: Run | Merge, config: Any) -> Path:
    from deepinit import store
    from deepinit.runs.execute import identity

    name = command.preset or next(iter(experiment.presets))
    digest = store.identity_hash(identity(experiment, config, command.block_size))
    return Path("runs") / f"{experiment.name}-{name}-{digest[:8]}"


def _print_plan(experiment: Experiment, config: Any, out: Path, timed: Any) -> None:
    from deepinit.runs import plan

    cases = checked_cases(experiment, config)
    print_rows(f"{experiment.title}: {len(cases)} cases -> {out}", plan.COLUMNS, plan.rows(cases))
    if timed is None:
        write_line("--timed adds blocks, memory and time, measured on one block of every case.")
        return
    with _compilation_cache():
        results = plan.timed(cases, timed)
    title = "Estimated from one block of each case"
    print_rows(title, plan.TIMED_COLUMNS, plan.timed_rows(cases, results))
    write_line(plan.total(results, timed.shard))


@contextlib.contextmanager
def _compilation_cache() -> Iterator[None]:
    """Keep compiled programs between commands, unless JAX's cache options are set."""
    from deepinit.compile_cache import use_compile_cache

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        with contextlib.suppress(SpecError):  # a home that cannot be written: compiled each time
            use_compile_cache()
    yield
