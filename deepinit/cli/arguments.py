"""Arguments of the command: what may be given, and an experiment's config with its overrides."""

import contextlib
import dataclasses
import difflib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro

from deepinit.core.errors import SpecError
from deepinit.core.terminal import remark
from deepinit.runs.experiment import Experiment


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
    traceback: bool = False
    """After an error: print where it comes from, as Python does. For errors of the experiment's own code."""


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
    traceback: bool = False
    """As for run."""


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


def parsed(given: list[str]) -> tuple[Run | Merge | Show | Verify, list[str]]:
    """The command asked for, and the arguments that are none of its own.

    Raises:
        SystemExit: after --help or a usage error, both printed.
    """
    with _usage_errors_that_may_be_lost():
        return tyro.cli(
            Command,
            prog="deepinit",
            description="Deep networks at random initialization: finite width and depth, simulated, predicted, compared. "
            "--version prints the version.",
            args=given,
            return_unknown_args=True,
        )


@contextlib.contextmanager
def _usage_errors_that_may_be_lost() -> Iterator[None]:
    """tyro's usage errors end with 2 also where standard error has no reader."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            yield
    finally:
        if said.getvalue():
            remark(said.getvalue())


def config_of(experiment: Experiment, command: Run | Merge, rest: list[str]) -> Any:
    """The preset's config with the overrides of the command line."""
    config = experiment.preset(command.preset)
    if not rest:
        return config
    _refuse_unknown_options(command, config, rest)
    Options = dataclasses.make_dataclass(
        "Options", [("config", type(config), dataclasses.field(default=config))]
    )
    with _usage_errors_that_may_be_lost():
        return tyro.cli(
            Options,
            prog=f"deepinit run {experiment.name}",
            description=f"Options of the experiment {experiment.name} (shown: preset {command.preset or 'default'}).",
            args=["--help" if argument == "--config.help" else argument for argument in rest],
        ).config


def _refuse_unknown_options(command: Run | Merge, config: Any, rest: list[str]) -> None:
    """A wrong option is one of the command or of the config misspelled: tyro, which parses them apart, cannot tell."""
    own, of_config = (
        [field.name.replace("_", "-") for field in dataclasses.fields(given)]
        for given in (command, config)
    )
    options = [f"--{name}" for name in own if name != "experiment"] + [
        f"--config.{name}" for name in of_config
    ]
    for argument in rest:
        option = argument.partition("=")[0].replace("_", "-")
        name = option.removeprefix("--").removeprefix("config.")
        if option.startswith("--") and {name.split(".")[0], name.removeprefix("no-")}.isdisjoint(
            {*of_config, "help"}
        ):
            close = difflib.get_close_matches(option, options, n=2) or difflib.get_close_matches(
                f"--config.{name}", options, n=2
            )
            remedy = f"Did you mean {' or '.join(close)}?" if close else "Check the spelling."
            raise SpecError(f"the option {option}", ", ".join(options), remedy)


def shard_of(text: str) -> tuple[int, int]:
    """(i, n) of `i/n`.

    Raises:
        SpecError: another text.
    """
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if match and int(match[1]) < int(match[2]):
        return int(match[1]), int(match[2])
    raise SpecError(f"--shard {text}", "i/n with 0 <= i < n", "Write --shard 0/4 ... --shard 3/4.")


def merge_command(command: Run, rest: list[str], out: Path) -> str:
    """The command line that concludes a run of several shards."""
    preset = ["--preset", command.preset] if command.preset else []
    block_size = ["--block-size", str(command.block_size)] if command.block_size is not None else []
    return shlex.join(
        ["deepinit", "merge", command.experiment, *preset, *block_size, "--out", str(out), *rest]
    )
