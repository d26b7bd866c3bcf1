"""The `deepinit` command. `--help` and `--dry-run` answer before JAX is imported."""

import contextlib
import dataclasses
import difflib
import errno
import json
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from deepinit.core.errors import DamagedError, DeepinitError, ResourceError, SpecError, refusal
from deepinit.core.terminal import discard, output_refused, printable, remark, write
from deepinit.experiment import Experiment, checked_cases, load_experiment
from deepinit.joining import Place, joined, place


@dataclasses.dataclass(frozen=True)
class Run:
    """Run an experiment, or continue it. Options of its config may follow (--config.num-seeds 1000); --config.help lists them."""

    experiment: tyro.conf.Positional[str]
    """A file such as experiments/vanishing_angles.py, or its name."""
    preset: str | None = None
    """A preset of the experiment; its first one (smoke) if left out."""
    out: Path | None = None
    """Run directory; runs/EXPERIMENT-PRESET-HASH if left out."""
    dry_run: bool = False
    """Say what would be done, and stop. Needs no JAX; --timed adds blocks, memory and time."""
    timed: bool = False
    """With --dry-run: compile every case, read its memory analysis and time one block, to predict the whole; writes nothing."""
    shard: str = "0/1"
    """i/n: compute every n-th block, starting with the i-th (from 0); `deepinit merge` concludes."""
    distributed: bool = False
    """Join the other processes into one JAX program (jax.distributed). TPU slices, SLURM, MPI and Kubernetes say by
    themselves who they are; elsewhere give every process the next three options, or set JAX_COORDINATOR_ADDRESS,
    JAX_NUM_PROCESSES and JAX_PROCESS_ID."""
    coordinator: str | None = None
    """host:port at which the first process listens."""
    num_processes: int | None = None
    """How many processes are joined."""
    process_id: int | None = None
    """Which of them this is, from 0."""
    join_timeout: float = 300.0
    """Seconds to wait for the others."""
    block_size: int | None = None
    """Networks per block; chosen for the devices and from the memory that they need if left out. Given one, runs on any
    number of devices end with the same bits."""
    repair: bool = False
    """Set damaged files aside first and compute them anew."""
    allow_mixed: bool = False
    """Go on under other versions or another device than the run was started with."""
    json: bool = False
    """Print one JSON object instead of the table."""


@dataclasses.dataclass(frozen=True)
class Merge:
    """Conclude a run whose shards have finished: compare, plot, report. Takes the arguments that `run` took."""

    experiment: tyro.conf.Positional[str]
    """As for run."""
    preset: str | None = None
    """As for run."""
    out: Path | None = None
    """As for run."""
    block_size: int | None = None
    """As for run."""
    repair: bool = False
    """Compute missing and damaged blocks here, then conclude."""
    allow_mixed: bool = False
    """As for run."""
    json: bool = False
    """Print one JSON object instead of the table."""


@dataclasses.dataclass(frozen=True)
class Show:
    """Print the table of a finished run, or of a running one as far as it is: finished blocks, statistics, last block."""

    directory: tyro.conf.Positional[Path]
    """A run directory."""
    json: bool = False
    """Print one JSON object instead of the table."""


@dataclasses.dataclass(frozen=True)
class Verify:
    """Check every byte of a run directory, name the blocks that are missing, and say where its numbers come from."""

    directory: tyro.conf.Positional[Path]
    """A run directory."""
    repair: bool = False
    """Set damaged files aside, so that the run's own command computes them anew."""


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit codes 0 done, 1 our bug, 2 usage, 3 conflict, 4 damaged, 5 resources, 6 check failed, 75 stopped."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(_exit_code(given))


def _exit_code(given: list[str]) -> int:
    """Carries the command out and says in a sentence what it was refused for."""
    code = 1
    try:
        asked, rest = tyro.cli(
            Command,
            prog="deepinit",
            description="Deep networks at random initialization: finite width and depth, simulated, predicted, compared.",
            args=given,
            return_unknown_args=True,
        )
        code = _dispatch(asked, rest, "deepinit " + shlex.join(given))
    except SystemExit as leaving:  # of tyro, after help or a usage error
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except DeepinitError as error:
        if str(error):  # else the first of several joined processes says it
            remark(f"deepinit: {error}\n")
        code = error.exit_code
    except KeyboardInterrupt:
        remark("deepinit: stopped at once; finished blocks are kept, the same command continues.\n")
        code = 75
    except MemoryError:
        remark("deepinit: out of memory; finished blocks are kept. Take a smaller --block-size.\n")
        code = 5
    except BrokenPipeError:
        discard(1)
        code = 0
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        refused = refusal(
            f"'{error.strerror or error}'{where}",
            "files and names that the system takes",
            "Finished blocks are kept: mend this and run the same command again.",
        )
        remark(f"deepinit: {refused}\n")
        code = 5
    try:
        write("")  # what libraries have printed
    except DeepinitError as error:
        remark(f"deepinit: {error}\n")
        code = error.exit_code
    return code


def _dispatch(command: Any, rest: list[str], line: str) -> int:
    if rest and not isinstance(command, Run | Merge):
        raise SpecError(refusal(f"the arguments {' '.join(rest)}", "those that --help lists", "Leave them out."))
    if isinstance(command, Verify):
        return _verify(command)
    if isinstance(command, Show):
        return _show(command)
    experiment = _experiment(command.experiment)
    config = _config(experiment, command, rest)
    out = command.out or _default_directory(experiment, command, config)
    if isinstance(command, Merge):
        from deepinit import run

        return _print(run.merge(experiment, config, out, _options(command, line)), command.json)
    return _run(command, experiment, config, rest, out, line)


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
        raise SpecError(refusal(given, "a Python file that defines EXPERIMENT", "Check the path.")) from error
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "deepinit/" not in frame.filename]
        line = getattr(error, "lineno", None) or (frames[-1].lineno if frames else None)
        at = f", line {line}" if line else ""
        raise SpecError(
            refusal(
                f"the experiment {path}, which cannot be imported ({type(error).__name__}: {error}{at})",
                "a Python file that defines EXPERIMENT",
                "Mend the file; `python FILE` shows the whole error.",
            )
        ) from error


def _run(command: Run, experiment: Experiment, config: Any, rest: list[str], out: Path, line: str) -> int:
    options = _options(command, line)
    where = _place(command)
    if command.timed and not command.dry_run:
        raise SpecError(refusal("--timed", "it with --dry-run", "Add --dry-run, or leave --timed out."))
    if command.dry_run:
        _print_plan(experiment, config, out, options if command.timed else None)
        return 0
    with _joined(where, command.join_timeout) as is_first, _compilation_cache():
        if is_first() and not command.json:
            remark(f"deepinit: {experiment.title}\n-> {out}\n")
        from deepinit import run

        outcome = run.run(experiment, config, out, options)
        if not is_first():
            return 0
        if outcome is None:
            write(f"shard {command.shard} is done; when all are: {_merge_command(command, rest, out)}\n")
            return 0
        return _print(outcome, command.json)


def _place(command: Run) -> Place | None:
    """Where this process stands among those that are joined; None where none are."""
    given = Place(command.coordinator, command.num_processes, command.process_id)
    if command.distributed:
        if not 0 < command.join_timeout < float("inf"):
            raise SpecError(
                refusal(f"--join-timeout {command.join_timeout:g}", "positive seconds", "Leave it out for 300.")
            )
        return place(given)
    if given != Place():
        raise SpecError(
            refusal(
                "--coordinator, --num-processes or --process-id without --distributed",
                "them with --distributed, which joins processes",
                "Add --distributed, or leave them out.",
            )
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
    from deepinit.run import Options

    if command.block_size is not None and command.block_size < 1:
        raise SpecError(
            refusal(f"--block-size {command.block_size}", "integers >= 1", "Leave it out to have it chosen.")
        )
    shard = _shard(command.shard) if isinstance(command, Run) else (0, 1)
    return Options(shard, command.block_size, command.allow_mixed, command.repair, line)


def _config(experiment: Experiment, command: Run | Merge, rest: list[str]) -> Any:
    """The preset's config with the overrides of the command line."""
    config = experiment.preset(command.preset)
    if not rest:
        return config
    _refuse_unknown_options(command, config, rest)
    Options = dataclasses.make_dataclass("Options", [("config", type(config), dataclasses.field(default=config))])
    return tyro.cli(
        Options,
        prog=f"deepinit run {experiment.name}",
        description=f"Options of the experiment {experiment.name} (shown: preset {command.preset or 'default'}).",
        args=["--help" if argument == "--config.help" else argument for argument in rest],
    ).config


def _refuse_unknown_options(command: Run | Merge, config: Any, rest: list[str]) -> None:
    """A wrong option is one of the command or of the config misspelled: tyro, which parses them apart, cannot tell."""
    own, of_config = (
        [field.name.replace("_", "-") for field in dataclasses.fields(given)] for given in (command, config)
    )
    options = [f"--{name}" for name in own if name != "experiment"] + [f"--config.{name}" for name in of_config]
    for argument in rest:
        option = argument.partition("=")[0].replace("_", "-")
        name = option.removeprefix("--").removeprefix("config.")
        if option.startswith("--") and {name.split(".")[0], name.removeprefix("no-")}.isdisjoint({*of_config, "help"}):
            close = difflib.get_close_matches(option, options, n=2) or difflib.get_close_matches(
                f"--config.{name}", options, n=2
            )
            remedy = f"Did you mean {' or '.join(close)}?" if close else "Check the spelling."
            raise SpecError(refusal(f"the option {option}", ", ".join(options), remedy))


def _default_directory(experiment: Experiment, command: Run | Merge, config: Any) -> Path:
    from deepinit import store
    from deepinit.run import identity

    name = command.preset or next(iter(experiment.presets))
    digest = store.identity_hash(identity(experiment, config, command.block_size))
    return Path("runs") / f"{experiment.name}-{name}-{digest[:8]}"


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if match and int(match[1]) < int(match[2]):
        return int(match[1]), int(match[2])
    raise SpecError(refusal(f"--shard {text}", "i/n with 0 <= i < n", "Write --shard 0/4 ... --shard 3/4."))


def _merge_command(command: Run, rest: list[str], out: Path) -> str:
    preset = ["--preset", command.preset] if command.preset else []
    block_size = ["--block-size", str(command.block_size)] if command.block_size is not None else []
    return shlex.join(["deepinit", "merge", command.experiment, *preset, *block_size, "--out", str(out), *rest])


def _print(outcome: Any, as_json: bool) -> int:
    from deepinit.outcome import summary_table

    if as_json:
        table = summary_table(outcome.dataset)
        record = {
            "directory": str(outcome.path),
            "report": str(outcome.report),
            "verdicts": list(outcome.verdicts),
            "failures": list(outcome.failures),
            "columns": list(table.columns),
            "rows": [list(row) for row in table.rows],
        }
        write(json.dumps(record, indent=1) + "\n")
    else:
        _print_table(summary_table(outcome.dataset))
        for failure in outcome.failures:
            write(f"CHECK FAILED: {failure}\n")
        if outcome.report.is_file():
            write(f"report: {outcome.report}\n")
    return 6 if outcome.failures else 0


def _print_table(content: Any) -> None:
    _print_rows(content.title, content.columns, content.rows, content.note)


def _print_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str | None = None) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def plain(text: str) -> Text:  # stored text is neither markup nor control characters
        return Text(printable(text))

    table = Table(title=plain(title), caption=plain(note) if note else None)
    for column in columns:
        table.add_column(plain(column), justify="left" if column in _IN_WORDS else "right")
    for row in rows:
        table.add_row(*map(plain, row))
    try:
        Console(width=None if sys.stdout.isatty() else 160).print(table)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(1)
    except OSError as error:
        discard(1)
        raise ResourceError(output_refused(error)) from error


_IN_WORDS = ("case", "network", "inputs", "linear map", "quantity")


def _print_plan(experiment: Experiment, config: Any, out: Path, timed: Any) -> None:
    from deepinit import plan

    cases = checked_cases(experiment, config)
    _print_rows(f"{experiment.title}: {len(cases)} cases -> {out}", plan.COLUMNS, plan.rows(cases))
    if timed is None:
        write("--timed adds blocks, memory and time, measured on one block of every case.\n")
        return
    with _compilation_cache():
        measured = plan.timed(cases, timed)
    _print_rows("Predicted from one block of each", plan.TIMED_COLUMNS, plan.timed_rows(cases, measured))
    write(plan.in_sum(measured, timed.shard) + "\n")


def _show(command: Show) -> int:
    from deepinit import inspection, store
    from deepinit.outcome import Outcome

    if store.has_result(store.load_run(command.directory)):
        try:
            return _print(Outcome.load(command.directory), command.json)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
            if isinstance(error, DeepinitError):
                raise
            raise DamagedError(
                refusal(
                    f"the result in {command.directory}, which lacks what a result has ({error})",
                    "the file that the run exported",
                    "Remove result.nc; the run's own command exports it again.",
                )
            ) from error
    record = inspection.so_far(command.directory)
    if command.json:
        write(json.dumps(record, indent=1) + "\n")
        return 0
    columns, rows, sentences = inspection.in_words(record)
    _print_rows(f"{command.directory}: not finished", columns, rows)
    write("".join(f"{sentence}\n" for sentence in sentences))
    return 0


def _verify(command: Verify) -> int:
    from deepinit import inspection, store

    found = store.discard_damaged(command.directory) if command.repair else store.verify(command.directory)
    for name, fault in {**found.damaged, **found.damaged_files}.items():
        done = "; written again" if name in found.restored else "; set aside" if command.repair else ""
        write(f"damaged: {name} {fault}{done}\n")
    for name in found.missing:
        write(f"missing: {name}, which the journal has as written\n")
    run = store.load_run(command.directory)
    holes = [] if store.has_result(run) and found.ok else inspection.holes(run)
    for line in holes:
        write(f"hole: {line}\n")
    if store.JOURNAL not in found.damaged_files or command.repair:
        for line in inspection.provenance(run):
            write(f"{line}\n")
    write(f"{len(found.good)} blocks are whole; identity {run.identity_hash}\n")
    if not found.ok and not command.repair:
        write(f"mend with: deepinit verify {shlex.quote(str(command.directory))} --repair\n")
        return 4
    if holes:
        write("holes are filled by the run's own command, or by `deepinit merge --repair`\n")
    return 0


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
