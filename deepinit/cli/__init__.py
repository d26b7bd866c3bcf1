"""The `deepinit` command. `--help`, `list` and `--dry-run` import no JAX."""

import importlib.metadata
import shlex
import sys
import traceback

from deepinit.cli import commands
from deepinit.cli.arguments import (
    Command,
    Diagnose,
    List,
    Merge,
    New,
    Run,
    Show,
    Verify,
    config_of,
    parsed,
)
from deepinit.core.errors import DeepinitError, SpecError, refusal
from deepinit.core.extras import missing_extra
from deepinit.core.terminal import discard, remark, write
from deepinit.runs import user_code
from deepinit.runs.load import load_experiment


def main(arguments: list[str] | None = None) -> None:
    """Entry point.

    Exit codes: 0 done, 1 bug of deepinit, 2 usage, 3 conflict, 4 damaged files, 5 resources, 6 a
    check failed, 75 stopped. Of diagnose also 10 fails, 11 uncertain.
    """
    sys.exit(_exit_code(sys.argv[1:] if arguments is None else arguments))


def _exit_code(given: list[str]) -> int:
    """Run the command; an error that ends it is printed as one sentence."""
    try:
        code = _dispatch(given)
    except BaseException as error:  # noqa: BLE001 (bugs of ours are raised again)
        code, sentence = _ended_by(error)
        if "--traceback" in given and not isinstance(error, SystemExit):
            remark("".join(traceback.format_exception(error)))
        if sentence:
            remark(f"deepinit: {sentence}\n")
    try:
        write("")  # flush what libraries have printed
    except DeepinitError as error:
        remark(f"deepinit: {error}\n")
        code = error.exit_code
    return code


def _dispatch(given: list[str]) -> int:
    if given == ["--version"]:
        write(f"deepinit {importlib.metadata.version('deepinit')}\n")
        return 0
    command, rest = _parsed(given)
    if rest and not isinstance(command, Run | Merge):
        given_rest = f"the arguments {' '.join(rest)}"
        raise SpecError(given_rest, "those that --help lists", "Leave them out.")
    line = "deepinit " + shlex.join(given)
    match command:
        case Run():
            return commands.run(command, rest, line)
        case Merge():
            return commands.merge(command, rest, line)
        case Show():
            return commands.show(command)
        case Verify():
            return commands.verify(command)
        case List():
            return commands.list_known()
        case New():
            return commands.new(command)
        case Diagnose():
            return commands.diagnose(command)


def _parsed(given: list[str]) -> tuple[Command, list[str]]:
    """`parsed`; `run EXPERIMENT --help` prints the options of its config too."""
    try:
        return parsed(given)
    except SystemExit as ended:
        if ended.code in (0, None) and given[0] in ("run", "merge") and given[1][:1] != "-":
            config_of(load_experiment(given[1]), Run(given[1]), ["--config.help"])
        raise


def _ended_by(error: BaseException) -> tuple[int, str]:
    """Exit code and message of an error; a bug of deepinit is raised again."""
    if isinstance(error, DeepinitError):  # no message: another joined process prints it
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 75, "stopped at once; finished blocks are kept, the same command continues."
    if isinstance(error, MemoryError):
        return 5, "out of memory; finished blocks are kept. Take a smaller --block-size."
    if isinstance(error, BrokenPipeError):
        discard(1)
        return 0, ""
    if isinstance(error, ModuleNotFoundError) and (missing := missing_extra(error)):
        return missing.exit_code, str(missing)
    user_error = user_code.refused(error)
    if user_error:
        return SpecError.exit_code, user_error
    if isinstance(error, SystemExit):  # of tyro, after help or a usage error
        return error.code if isinstance(error.code, int) else int(error.code is not None), ""
    if isinstance(error, OSError):
        where = f" at {error.filename}" if error.filename else ""
        return 5, refusal(
            f"'{error.strerror or error}'{where}",
            "files and names that the system takes",
            "Finished blocks are kept: fix this and rerun the command.",
        )
    raise error
