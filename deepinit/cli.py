"""The `deepinit` command. `--help` and `--dry-run` answer before JAX is imported."""

import contextlib
import dataclasses
import difflib
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro

from deepinit.core.errors import DeepinitError, ResourceError, SpecError, refusal
from deepinit.core.specs import Spec
from deepinit.cores import use_all_cores
from deepinit.experiment import Experiment, checked_cases, load_experiment


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
    """Say what would be done, and stop."""
    shard: str = "0/1"
    """i/n: compute every n-th block, starting with the i-th (from 0); `deepinit merge` concludes."""
    distributed: bool = False
    """Join the other processes into one JAX program (jax.distributed). TPU slices, SLURM and MPI say by themselves who
    they are; elsewhere set JAX_COORDINATOR_ADDRESS (host:port of the first process), JAX_NUM_PROCESSES and
    JAX_PROCESS_ID (0, 1, ...) for each process."""
    block_size: int | None = None
    """Networks per block; chosen from the memory that they need if left out."""
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
    allow_mixed: bool = False
    """As for run."""
    json: bool = False
    """Print one JSON object instead of the table."""


@dataclasses.dataclass(frozen=True)
class Show:
    """Print the table and the verdicts of a finished run."""

    directory: tyro.conf.Positional[Path]
    """A run directory."""
    json: bool = False
    """Print one JSON object instead of the table."""


@dataclasses.dataclass(frozen=True)
class Verify:
    """Check every byte of a run directory."""

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


def command() -> None:
    """The console script: `main` in a process of its own, where JAX gets all cores."""
    use_all_cores()
    main()


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit codes 0 done, 1 our bug, 2 usage, 3 conflict, 4 damaged, 5 resources, 6 check failed, 75 stopped."""
    given = sys.argv[1:] if arguments is None else arguments
    asked, rest = tyro.cli(
        Command,
        prog="deepinit",
        description="Deep networks at random initialization: finite width and depth, simulated, predicted, compared.",
        args=given,
        return_unknown_args=True,
    )
    try:
        sys.exit(_dispatch(asked, rest, "deepinit " + shlex.join(given)))
    except DeepinitError as error:
        sys.stderr.write(f"deepinit: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("deepinit: stopped at once; finished blocks are kept, the same command continues.\n")
        sys.exit(75)
    except MemoryError:
        sys.stderr.write("deepinit: out of memory; finished blocks are kept. Take a smaller --block-size.\n")
        sys.exit(5)


def _dispatch(command: Any, rest: list[str], line: str) -> int:
    if rest and not isinstance(command, Run | Merge):
        raise SpecError(refusal(f"the arguments {' '.join(rest)}", "those that --help lists", "Leave them out."))
    if isinstance(command, Verify):
        return _verify(command)
    if isinstance(command, Show):
        from deepinit.outcome import Outcome

        return _print(Outcome.load(command.directory), command.json)
    experiment = load_experiment(command.experiment)
    config = _config(experiment, command, rest)
    out = command.out or _default_directory(experiment, command, config)
    if isinstance(command, Merge):
        from deepinit import run

        return _print(run.merge(experiment, config, out, _options(command, line)), command.json)
    return _run(command, experiment, config, rest, out, line)


def _run(command: Run, experiment: Experiment, config: Any, rest: list[str], out: Path, line: str) -> int:
    options = _options(command, line)
    if command.dry_run:
        _print_plan(experiment, config, out)
        return 0
    if not command.json:
        sys.stderr.write(f"deepinit: {experiment.title}\n-> {out}\n")
        sys.stderr.flush()
    with _distributed(command.distributed) as is_first, _compilation_cache():
        from deepinit import run

        outcome = run.run(experiment, config, out, options)
        if not is_first():
            return 0
        if outcome is None:
            sys.stdout.write(f"shard {command.shard} is done; when all are: {_merge_command(command, rest, out)}\n")
            return 0
        return _print(outcome, command.json)


def _options(command: Run | Merge, line: str) -> Any:
    from deepinit.run import Options

    if command.block_size is not None and command.block_size < 1:
        raise SpecError(
            refusal(f"--block-size {command.block_size}", "integers >= 1", "Leave it out to have it chosen.")
        )
    shard, repair = (_shard(command.shard), command.repair) if isinstance(command, Run) else ((0, 1), False)
    return Options(shard, command.block_size, command.allow_mixed, repair, line)


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
    first, _, count = text.partition("/")
    if first.isdigit() and count.isdigit() and int(first) < int(count):
        return int(first), int(count)
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
        sys.stdout.write(json.dumps(record, indent=1) + "\n")
    else:
        _print_table(summary_table(outcome.dataset))
        for failure in outcome.failures:
            sys.stdout.write(f"CHECK FAILED: {failure}\n")
        sys.stdout.write(f"report: {outcome.report}\n")
    return 6 if outcome.failures else 0


def _print_table(content: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=content.title, caption=content.note)
    for column in content.columns:
        table.add_column(column, justify="left" if column == "case" else "right")
    for row in content.rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _print_plan(experiment: Experiment, config: Any, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    cases = checked_cases(experiment, config)
    table = Table(title=f"{experiment.title}: {len(cases)} cases -> {out}")
    for column in ("case", "network", "inputs", "networks", "linear map", "random numbers"):
        table.add_column(column)
    for case in cases:
        table.add_row(
            case.name,
            _in_short(case.spec),
            case.inputs.label,
            str(case.num_seeds),
            case.linear_map,
            f"{case.cost * case.num_seeds:.2g}",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _in_short(spec: Any) -> str:
    """`relu 64 x 8` of a spec, the label of a Network."""
    if not isinstance(spec, Spec):
        return spec.label
    widths = spec.widths
    shape = f"{widths[0]} x {len(widths)}" if len(set(widths)) == 1 else "-".join(map(str, widths))
    return f"{spec.activation} {shape}"


def _verify(command: Verify) -> int:
    from deepinit import store

    found = store.discard_damaged(command.directory) if command.repair else store.verify(command.directory)
    for name, fault in {**found.damaged, **found.damaged_files}.items():
        sys.stdout.write(f"damaged: {name} {fault}{'; set aside' if command.repair else ''}\n")
    for name in found.missing:
        sys.stdout.write(f"missing: {name}\n")
    sys.stdout.write(f"{len(found.good)} blocks are whole\n")
    if not found.ok and not command.repair:
        sys.stdout.write(f"mend with: deepinit verify {shlex.quote(str(command.directory))} --repair\n")
        return 4
    return 0


@contextlib.contextmanager
def _distributed(wanted: bool) -> Iterator[Callable[[], bool]]:
    """Joins a JAX program of several processes before JAX is used, if asked to."""
    if not wanted:
        yield lambda: True
        return
    import jax

    place = _place_from_environment()
    try:
        jax.distributed.initialize(**place)
    except (RuntimeError, ValueError) as error:
        raise ResourceError(
            refusal(
                f"--distributed, and found no other processes to join ({str(error).splitlines()[0]})",
                "a TPU slice, a SLURM or MPI job, or processes with " + ", ".join(_PLACE),
                "Set these three for every process, or leave --distributed out: --shard i/n needs no connection.",
            )
        ) from error
    try:
        yield lambda: jax.process_index() == 0
    finally:
        jax.distributed.shutdown()


_PLACE = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


def _place_from_environment() -> dict[str, Any]:
    """Arguments of `jax.distributed.initialize`; none where a cluster knows them."""
    import os

    given = {name: os.environ[name] for name in _PLACE if os.environ.get(name)}
    if not {"JAX_NUM_PROCESSES", "JAX_PROCESS_ID"} & set(given):
        return {}  # JAX reads the address itself
    address, count, number = (given.get(name, "") for name in _PLACE)
    if not (address and count.isdigit() and number.isdigit() and int(number) < int(count)):
        raise SpecError(
            refusal(
                ", ".join(f"{name}={given.get(name, '')}" for name in _PLACE),
                "host:port, n, and 0 to n - 1; or none of the three, where a cluster knows them",
                "Set all three for every process.",
            )
        )
    return {"coordinator_address": address, "num_processes": int(count), "process_id": int(number)}


@contextlib.contextmanager
def _compilation_cache() -> Iterator[None]:
    """Keeps compiled programs between commands, unless the user has set JAX's own cache options."""
    import os

    import jax

    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "deepinit" / "jax"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    yield


if __name__ == "__main__":
    command()
