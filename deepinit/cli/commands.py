"""The commands, one function each: run, merge, show, verify. Each returns its exit code."""

import contextlib
import errno
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deepinit.cli.arguments import Merge, Run, Show, Verify, config_of, merge_command, shard_of
from deepinit.cli.printing import print_outcome, print_rows
from deepinit.core.errors import DeepinitError, ResourceError, SpecError
from deepinit.core.terminal import remark, write, write_line
from deepinit.runs import user_code
from deepinit.runs.distributed import Place, joined, place
from deepinit.runs.experiment import Experiment, checked_cases
from deepinit.runs.load import load_experiment


def run(command: Run, rest: list[str], line: str) -> int:
    """Runs an experiment, or says what would be done."""
    experiment, config, out = _asked(command, rest)
    options = _options(command, line)
    where = _place(command)
    if command.timed and not command.dry_run:
        raise SpecError("--timed", "it with --dry-run", "Add --dry-run, or leave --timed out.")
    if command.timed or not command.dry_run:
        _require_addresses()
    if command.dry_run:
        _print_plan(experiment, config, out, options if command.timed else None)
        return 0
    with _joined(where, command.join_timeout) as is_first, _compilation_cache():
        if is_first() and not command.json:
            remark(f"deepinit: {experiment.title}\n-> {out}\n")
        from deepinit.runs import execute

        outcome = execute.run(experiment, config, out, options)
        if not is_first():
            return 0
        if outcome is None:
            write_line(
                f"shard {command.shard} is done; when all are: {merge_command(command, rest, out)}"
            )
            return 0
        return print_outcome(outcome, command.json)


def merge(command: Merge, rest: list[str], line: str) -> int:
    """Concludes a run whose shards have finished."""
    experiment, config, out = _asked(command, rest)
    _require_addresses()
    from deepinit.runs import execute

    return print_outcome(
        execute.merge(experiment, config, out, _options(command, line)), command.json
    )


def show(command: Show) -> int:
    """Prints a finished run, or a running one as far as it is."""
    from deepinit import store
    from deepinit.runs import inspect
    from deepinit.runs.outcome import Outcome

    if store.has_result(store.load_run(command.directory)):
        return print_outcome(Outcome.load(command.directory), command.json)
    record = inspect.so_far(command.directory)
    if command.json:
        write(json.dumps(record, indent=1) + "\n")
        return 0
    columns, rows, sentences = inspect.in_words(record)
    print_rows(f"{command.directory}: not finished", columns, rows)
    for sentence in sentences:
        write_line(sentence)
    return 0


def verify(command: Verify) -> int:
    """Checks a run directory, and mends it if asked to."""
    from deepinit import store
    from deepinit.runs import inspect

    found = (
        store.discard_damaged(command.directory)
        if command.repair
        else store.verify(command.directory)
    )
    for name, fault in {**found.damaged, **found.damaged_files}.items():
        done = (
            "; written again" if name in found.restored else "; set aside" if command.repair else ""
        )
        write_line(f"damaged: {name} {fault}{done}")
    for name in found.missing:
        write_line(f"missing: {name}, which the journal has as written")
    run = store.load_run(command.directory)
    holes = [] if store.has_result(run) and found.ok else inspect.holes(run)
    for line in holes:
        write_line(f"hole: {line}")
    if store.JOURNAL not in found.damaged_files or command.repair:
        for line in inspect.provenance(run):
            write_line(line)
    write_line(f"{len(found.good)} blocks are whole; identity {run.identity_hash}")
    if not found.ok and not command.repair:
        write_line(f"mend with: deepinit verify {shlex.quote(str(command.directory))} --repair")
        return 4
    if holes:
        write_line("holes are filled by the run's own command, or by `deepinit merge --repair`")
    return 0


def _require_addresses() -> None:
    """Refuse a limit on addresses (`ulimit -v`) under which JAX and OpenBLAS abort the process.

    Raises:
        ResourceError: the limit is below 2 GiB.
    """
    try:
        import resource
    except ImportError:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit not in (-1, resource.RLIM_INFINITY) and limit < _FEWEST_ADDRESSES:
        raise ResourceError(
            f"a limit of {limit / 2**30:.2g} GiB on the addresses of a process (ulimit -v)",
            f"{_FEWEST_ADDRESSES / 2**30:g} GiB or more, which JAX and its threads take",
            "Raise it, or limit the resident memory instead; finished blocks are kept.",
        )


_FEWEST_ADDRESSES = 2 * 2**30


def _asked(command: Run | Merge, rest: list[str]) -> tuple[Experiment, Any, Path]:
    """The experiment, its config and the run directory."""
    experiment = _experiment(command.experiment)
    config = config_of(experiment, command, rest)
    return experiment, config, command.out or _default_directory(experiment, command, config)


def _experiment(path: str) -> Experiment:
    """The experiment of a file; an error of the file's own code is a refusal that says where."""
    try:
        return load_experiment(path)
    except (DeepinitError, KeyboardInterrupt, MemoryError):
        raise
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG and error.filename == path:
            raise
        given = f"the experiment {path[:60]}{'...' if len(path) > 60 else ''}, which cannot be read ({error.strerror})"
        raise SpecError(
            given, "a Python file that defines EXPERIMENT", "Check the path."
        ) from error
    except (Exception, SystemExit) as error:
        where = user_code.place(error)
        raise SpecError(
            f"the experiment {path}, which cannot be imported ({user_code.described(error)}{', at ' if where else ''}{where})",
            "a Python file that defines EXPERIMENT",
            "Mend the file; --traceback shows the whole error.",
        ) from error


def _place(command: Run) -> Place | None:
    """Where this process stands among those that are joined; None where none are."""
    given = Place(command.coordinator, command.num_processes, command.process_id)
    if command.distributed:
        if not 0 < command.join_timeout < float("inf"):
            raise SpecError(
                f"--join-timeout {command.join_timeout:g}",
                "positive seconds",
                "Leave it out for 300.",
            )
        return place(given)
    if given != Place():
        raise SpecError(
            "--coordinator, --num-processes or --process-id without --distributed",
            "them with --distributed, which joins processes",
            "Add --distributed, or leave them out.",
        )
    return None


@contextlib.contextmanager
def _joined(where: Place | None, seconds: float) -> Iterator[Callable[[], bool]]:
    if where is None:
        yield lambda: True
    else:
        with joined(where, seconds) as is_first:
            yield is_first


def _options(command: Run | Merge, line: str) -> Any:
    from deepinit.runs.execute import Options

    if command.block_size is not None and command.block_size < 1:
        raise SpecError(
            f"--block-size {command.block_size}", "integers >= 1", "Leave it out to have it chosen."
        )
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
        measured = plan.timed(cases, timed)
    print_rows(
        "Predicted from one block of each", plan.TIMED_COLUMNS, plan.timed_rows(cases, measured)
    )
    write_line(plan.in_sum(measured, timed.shard))


@contextlib.contextmanager
def _compilation_cache() -> Iterator[None]:
    """Keeps compiled programs between commands, unless the user has set JAX's own cache options."""
    import os

    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        # Empty counts as unset, and so does a relative path, as the XDG specification has it.
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        cache = (given if given.is_absolute() else Path.home() / ".cache") / "deepinit" / "jax"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    yield
