"""Command-line arguments, and an experiment's config with its overrides."""

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


def _optional(metavar: str) -> Any:
    """An option whose help names its value; its own text has what None stands for."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


@dataclasses.dataclass(frozen=True)
class Run:
    """Run an experiment, or continue it.

    Options of its config may follow (--config.num-seeds 1000); --config.help lists them.
    """

    experiment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EXPERIMENT")]
    """A name that `deepinit list` prints, a Python file, or a package directory."""
    preset: Annotated[str | None, _optional("PRESET")] = None
    """A preset of the experiment; default: its first."""
    out: Annotated[Path | None, _optional("FOLDER")] = None
    """Run directory; default: runs/EXPERIMENT-PRESET-HASH."""
    dry_run: bool = False
    """Print the cases and stop, without JAX; --timed adds blocks, memory and time."""
    timed: bool = False
    """With --dry-run: compile every case, analyze its memory and time one block to estimate the
    whole run; writes nothing."""
    shard: Annotated[str, tyro.conf.arg(metavar="I/N")] = "0/1"
    """Compute share I of N (I from 0) of all blocks; `deepinit merge` finalizes."""
    executor: Annotated[str | None, _optional("KIND")] = None
    """process, process:N, dask://HOST:PORT, ray, ray:ADDRESS or submitit:FILE.toml: workers, which
    must see the run directory, compute the blocks; lost ones are submitted again."""
    distributed: bool = False
    """Join the other processes into one JAX program (jax.distributed). TPU slices, SLURM, MPI and
    Kubernetes supply the next three options; elsewhere give them to every process, or set
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID."""
    coordinator: Annotated[str | None, _optional("HOST:PORT")] = None
    """host:port of the first process."""
    num_processes: Annotated[int | None, _optional("INT")] = None
    """Number of joined processes."""
    process_id: Annotated[int | None, _optional("INT")] = None
    """Index of this process, from 0."""
    join_timeout: float = 300.0
    """Seconds to wait for the other processes."""
    block_size: Annotated[int | None, _optional("INT")] = None
    """Networks per block; default: by cost, four blocks or more for every worker, the same for up
    to 16 workers. With a block size, runs of any number of workers and devices end with the same
    bits."""
    repair: bool = False
    """Quarantine damaged files and compute them again."""
    allow_mixed: bool = False
    """Continue under other versions or another device than those of the first start."""
    json: bool = False
    """Print one JSON object instead of the table."""
    traceback: bool = False
    """Print Python's traceback of an error, such as one in the experiment's own code."""


@dataclasses.dataclass(frozen=True)
class Merge:
    """Finalize a run whose shards have finished: compare, plot, report.

    Takes the arguments of `run`.
    """

    experiment: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="EXPERIMENT")]
    """As for run."""
    preset: Annotated[str | None, _optional("PRESET")] = None
    """As for run."""
    out: Annotated[Path | None, _optional("FOLDER")] = None
    """As for run."""
    block_size: Annotated[int | None, _optional("INT")] = None
    """As for run."""
    repair: bool = False
    """Compute missing and damaged blocks here, then finalize."""
    allow_mixed: bool = False
    """As for run."""
    json: bool = False
    """Print one JSON object instead of the table."""
    traceback: bool = False
    """As for run."""


@dataclasses.dataclass(frozen=True)
class Show:
    """Print the table of a finished run, or the progress and statistics of a running one."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIRECTORY")]
    """A run directory."""
    json: bool = False
    """Print one JSON object instead of the table."""


@dataclasses.dataclass(frozen=True)
class Verify:
    """Check every byte of a run directory; print missing blocks and provenance."""

    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIRECTORY")]
    """A run directory."""
    repair: bool = False
    """Quarantine damaged blocks, which the original command computes again; restore outputs."""


@dataclasses.dataclass(frozen=True)
class List:
    """Print the experiments: name, question, presets, minutes on two cores."""


@dataclasses.dataclass(frozen=True)
class New:
    """Write the package of an experiment of your own, with comments, to edit and run."""

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    """Letters, digits and underscores."""
    folder: Path = Path()
    """Where to write it."""


@dataclasses.dataclass(frozen=True)
class Diagnose:
    """Will it train? Verdict, causes and changes of a network, before training.

    Exit codes: 0 trains, 10 fails, 11 uncertain or outside the range of the study, 6 theory and
    simulation disagree, 2 usage, 5 resources. Verdicts are not 1 to 5, which are errors of every
    command: a script can tell a network that would not train from a mistake.
    """

    network: Annotated[tyro.conf.Positional[str | None], _optional("[NETWORK]")] = None
    """gpt2, gpt2-medium, gpt2-large, gpt2-xl, llama, resnet18, vit; or FILE.py:NAME, a spec, a
    di.Network, a linen module, or a function of nothing, rngs (nnx) or key (equinox)."""
    widths: Annotated[str | None, _optional("SIZES")] = None
    """An MLP: inputs, hidden widths, outputs. 784,100x50,10 has 50 layers of width 100."""
    activation: Annotated[str, tyro.conf.arg(metavar="NAME")] = "relu"
    """Of --widths."""
    init: Annotated[str | None, _optional("NAME")] = None
    """Of --widths: pytorch, keras, flax, he, glorot, lecun, orthogonal, mup, critical; default:
    that of di.MLP."""
    inputs: Annotated[Path | None, _optional("FILE")] = None
    """A .npy file [rows, ...]; default: images, Gaussian rows or random tokens."""
    labels: Annotated[Path | None, _optional("FILE")] = None
    """A .npy file of classes of --inputs, 64 or more: the model with labels decides."""
    apply: Annotated[str | None, _optional("CHANGE")] = None
    """Diagnose the changed network: critical, residual, norm, width, depth, first_weight_var,
    center, readout."""
    train_steps: Annotated[int | None, _optional("INT")] = None
    """Also train it, 50, 100, ... steps of Adam at 5 rates from 3 seeds: on MNIST or digits, or on
    --inputs and --labels."""
    scaling: bool = False
    """Add the scaling check of --widths."""
    explain: Annotated[str | None, _optional("WORD")] = None
    """Explain a word of the screen (chaos, lottery, gradient_slope, residual, share, ...)."""
    num_seeds: Annotated[int | None, _optional("INT")] = None
    """Networks; default 64, above 3e6 parameters 16."""
    html: Annotated[Path | None, _optional("FILE")] = None
    """Write a page with figures."""
    json: bool = False
    """Print one JSON object instead of the screen."""
    traceback: bool = False
    """Print Python's traceback of an error, such as one in the file's own code."""


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
    | Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[List, tyro.conf.subcommand("list")]
    | Annotated[New, tyro.conf.subcommand("new")]
    | Annotated[Diagnose, tyro.conf.subcommand("diagnose")]
)


def parsed(given: list[str]) -> tuple[Command, list[str]]:
    """The command, and the arguments that it does not define.

    Raises SystemExit: after --help or a usage error, both printed.
    """
    with _buffered_stderr():
        return tyro.cli(
            Command,
            prog="deepinit",
            description="Deep networks at random initialization, at finite width and depth: "
            "simulate, predict, compare. --version prints the version.",
            args=given,
            return_unknown_args=True,
        )


@contextlib.contextmanager
def _buffered_stderr() -> Iterator[None]:
    """Print tyro's usage errors by `remark`: exit code 2 also without a reader."""
    buffer = io.StringIO()
    try:
        with contextlib.redirect_stderr(buffer):
            yield
    finally:
        if buffer.getvalue():
            remark(buffer.getvalue())


def config_of(experiment: Experiment, command: Run | Merge, rest: list[str]) -> Any:
    """The preset's config with the overrides of the command line."""
    config = experiment.preset(command.preset)
    if not rest:
        return config
    _refuse_unknown_options(command, config, rest)
    Options = dataclasses.make_dataclass(
        "Options", [("config", type(config), dataclasses.field(default=config))]
    )
    with _buffered_stderr():
        return tyro.cli(
            Options,
            prog=f"deepinit run {experiment.name}",
            description=f"Options of the experiment {experiment.name} "
            f"(defaults: preset {command.preset or 'default'}).",
            args=["--help" if argument == "--config.help" else argument for argument in rest],
        ).config


def _refuse_unknown_options(command: Run | Merge, config: Any, rest: list[str]) -> None:
    """Suggest options of both the command and the config, which tyro parses separately."""
    own, of_config = (
        [field.name.replace("_", "-") for field in dataclasses.fields(record)]
        for record in (command, config)
    )
    options = [f"--{name}" for name in own if name != "experiment"]
    options += [f"--config.{name}" for name in of_config]
    known = {*of_config, "help"}
    for argument in rest:
        option = argument.partition("=")[0].replace("_", "-")
        name = option.removeprefix("--").removeprefix("config.")
        if not option.startswith("--") or {name.split(".")[0], name.removeprefix("no-")} & known:
            continue
        close = difflib.get_close_matches(option, options, n=2)
        close = close or difflib.get_close_matches(f"--config.{name}", options, n=2)
        remedy = f"Did you mean {' or '.join(close)}?" if close else "Check the spelling."
        raise SpecError(f"the option {option}", ", ".join(options), remedy)


def shard_of(text: str) -> tuple[int, int]:
    """(i, n) of `i/n`; SpecError for another text."""
    match = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", text)
    if match and int(match[1]) < int(match[2]):
        return int(match[1]), int(match[2])
    raise SpecError(f"--shard {text}", "i/n with 0 <= i < n", "Write --shard 0/4 ... --shard 3/4.")


def merge_command(command: Run, rest: list[str], out: Path) -> str:
    """The command line that finalizes a run of several shards."""
    preset = ["--preset", command.preset] if command.preset else []
    block_size = ["--block-size", str(command.block_size)] if command.block_size is not None else []
    return shlex.join(
        ["deepinit", "merge", command.experiment, *preset, *block_size, "--out", str(out), *rest]
    )
