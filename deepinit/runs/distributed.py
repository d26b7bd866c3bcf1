"""Several processes in one JAX program."""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, NoReturn

from deepinit.core.errors import DeepinitError, ResourceError, SpecError, StoppedError, refusal
from deepinit.runs import user_code

_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
_LAUNCHERS = {  # launcher -> a variable that it always sets, its number of processes
    "SLURM": ("SLURM_STEP_NODELIST", "SLURM_NTASKS"),
    "MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"),
}
_LOST_CONNECTION = ("Gloo", "UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "heartbeat", "NCCL")
_NO_TIMEOUT = 10**6  # seconds: JAX's own timeout must come after ours


class ProcessInfo(NamedTuple):
    """Address of the first process, number of processes, own index; None: known by the cluster."""

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def process_info(options: ProcessInfo, environment: Mapping[str, str] | None = None) -> ProcessInfo:
    """The options, else environment variables, else empty (JAX asks the cluster).

    SpecError: incomplete or invalid numbers, or not those of the launcher.
    """
    environment = os.environ if environment is None else environment
    texts = [None if value is None else str(value) for value in options]
    names = [f"--{name.replace('_', '-')}" for name in ProcessInfo._fields]
    if texts == [None] * 3:
        texts = [environment.get(name) or None for name in _VARIABLES]
        names = list(_VARIABLES)
        if texts[1:] == [None, None]:
            return ProcessInfo()  # JAX reads the address itself
    address, count, index = (text or "" for text in texts)
    numeric = _is_number(count) and _is_number(index)
    if ":" not in address or not numeric or int(index) >= int(count):
        given = ", ".join(f"{name}={text or ''}" for name, text in zip(names, texts, strict=True))
        allowed = "host:port, n, and 0 to n - 1; or none of the three on a cluster"
        raise SpecError(given, allowed, "Set all three for every process.")
    for launcher, (marker, variable) in _LAUNCHERS.items():
        started = environment.get(variable, "") if marker in environment else ""
        if _is_number(started) and int(started) != int(count):
            given = f"{names[1]}={count} in a {launcher} job of {started} processes ({variable})"
            remedy = f"Leave out {', '.join(names)}, or start {count} processes."
            raise SpecError(given, started, remedy)
    return ProcessInfo(address, int(count), int(index))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


@contextlib.contextmanager
def joined(info: ProcessInfo, seconds: float) -> Iterator[Callable[[], bool]]:
    """Join the other processes before JAX is used; yields whether first.

    Only the first has a standard output. Refusals and stops occur in all alike; other exceptions
    end this process at once, and `seconds` without a connection with ResourceError's exit code.
    ResourceError: nothing to join.
    """
    import jax

    with _own_output():
        with _timeout(info, seconds):
            try:
                jax.distributed.initialize(*info, initialization_timeout=_NO_TIMEOUT)
            except (RuntimeError, ValueError) as error:
                raise ResourceError(
                    f"--distributed without other processes ({str(error).splitlines()[0]})",
                    "a TPU slice, a SLURM or MPI job, or --coordinator, --num-processes and "
                    "--process-id",
                    "Set these three, or use --shard i/n, which needs no connection.",
                ) from error
            first = jax.process_index() == 0
            if not first:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                sys.stdout = os.fdopen(nowhere, "w")
            if info.num_processes not in (None, jax.process_count()):
                given = f"--num-processes {info.num_processes} in a program that has "
                given += f"{jax.process_count()} according to the first process"
                message = refusal(given, "one number for all processes", "Give all the same.")
                _exit(message, SpecError.exit_code)
            _barrier()
        try:
            yield lambda: first
        except (DeepinitError, SystemExit):
            _shutdown()
            raise
        except BaseException as error:  # noqa: BLE001 (the process ends)
            _abort(error)
        _shutdown()


def _barrier() -> None:
    """First collective: detects a missing process."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("deepinit")


def _shutdown() -> None:
    import jax

    sys.stdout.flush()
    sys.stderr.flush()
    jax.distributed.shutdown()


@contextlib.contextmanager
def _own_output() -> Iterator[None]:
    """Redirect libraries' file descriptor 1 to standard error."""
    sys.stdout.flush()
    earlier, python = os.dup(1), sys.stdout
    os.dup2(2, 1)
    sys.stdout = os.fdopen(os.dup(earlier), "w")
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(earlier, 1)
        os.close(earlier)
        sys.stdout = python


@contextlib.contextmanager
def _timeout(info: ProcessInfo, seconds: float) -> Iterator[None]:
    """Exit with a message after `seconds`."""

    def give_up() -> NoReturn:
        count = "" if info.num_processes is None else f" of {info.num_processes} processes"
        where = info.coordinator or "the cluster's address"
        message = refusal(
            f"--distributed, and after {seconds:g} s not all{count} have joined at {where}",
            "as many processes as announced, each with its own id, the first reachable",
            "Check ids and address, or raise --join-timeout. Nothing was written.",
        )
        _exit(message, ResourceError.exit_code)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _abort(error: BaseException) -> NoReturn:
    """Exit without waiting for other processes."""
    text = str(error)
    if isinstance(error, KeyboardInterrupt):
        message = "stopped at once; finished blocks are kept, the same command continues."
        _exit(message, StoppedError.exit_code)
    if "RESOURCE_EXHAUSTED" in text or isinstance(error, MemoryError):
        message = (
            "out of memory in one of several joined processes; finished blocks are kept. Start a "
            "new run with a smaller --block-size, or continue this one without --distributed."
        )
        _exit(message, ResourceError.exit_code)
    if any(sign in text for sign in _LOST_CONNECTION):
        message = (
            f"lost the connection to another process ({text.splitlines()[0][:200]}). Finished "
            "blocks are kept; the same command on every process continues."
        )
        _exit(message, StoppedError.exit_code)
    user_error = user_code.refused(error)
    if user_error:
        _exit(user_error, SpecError.exit_code)
    traceback.print_exception(error)
    _exit("one of several joined processes failed.", 1)


def _exit(message: str, code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os.write(2, f"deepinit: {message}\n".encode())
    os._exit(code)
