"""Several processes joined into one JAX program: who they are, joining them, and leaving when one of them is gone."""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, NoReturn

from deepinit.runs import user_code
from deepinit.core.errors import DeepinitError, ResourceError, SpecError, StoppedError, refusal

_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
# How many processes the launcher started, where it says so.
_LAUNCHERS = {
    "SLURM": ("SLURM_STEP_NODELIST", "SLURM_NTASKS"),
    "MPI": ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"),
}
_LONGEST = 10**6  # seconds: JAX's own limit is to come after ours


class Place(NamedTuple):
    """Which process of how many this is, and where the first one listens; nothing where the cluster knows."""

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


def place(given: Place, environment: Mapping[str, str] | None = None) -> Place:
    """The place from the options, else from the environment's variables, else an empty one: JAX asks the cluster.

    Raises:
        SpecError: a part of it only, numbers that do not fit, or another number of processes than the launcher started.
    """
    environment = os.environ if environment is None else environment
    texts = [None if part is None else str(part) for part in given]
    named = [f"--{name.replace('_', '-')}" for name in Place._fields]
    if texts == [None] * 3:
        texts = [environment.get(name) or None for name in _VARIABLES]
        named = list(_VARIABLES)
        if texts[1:] == [None, None]:
            return Place()  # JAX reads the address itself
    address, count, number = (text or "" for text in texts)
    if not (
        ":" in address and _is_number(count) and _is_number(number) and int(number) < int(count)
    ):
        said = ", ".join(f"{name}={text or ''}" for name, text in zip(named, texts, strict=True))
        raise SpecError(
            said,
            "host:port, n, and 0 to n - 1; or none of the three, where a cluster knows them",
            "Set all three for every process.",
        )
    for launcher, (sign, variable) in _LAUNCHERS.items():
        started = environment.get(variable, "") if sign in environment else ""
        if _is_number(started) and int(started) != int(count):
            raise SpecError(
                f"{named[1]}={count} in a job for which {launcher} started {started} processes ({variable}={started})",
                f"{started}",
                f"Leave out {', '.join(named)}: JAX asks {launcher} itself. Or start {count} processes.",
            )
    return Place(address, int(count), int(number))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


@contextlib.contextmanager
def joined(where: Place, seconds: float) -> Iterator[Callable[[], bool]]:
    """Joins the other processes before JAX is used; yields whether this is the first. Only that one has a standard output.

    Refusals and stops are met by all processes alike. After any other exception the process ends at once, here: the others
    would wait for it in vain.

    Args:
        where: from `place`.
        seconds: how long to wait for the others.

    Raises:
        ResourceError: nothing to join. (Where some of the others do not come, the process ends, with its exit code.)
        SpecError: the others say that they are another number.
    """
    import jax

    with _own_output():
        with _patience(where, seconds):
            try:
                jax.distributed.initialize(*where, initialization_timeout=_LONGEST)
            except (RuntimeError, ValueError) as error:
                raise ResourceError(_nobody(error)) from error
            first = jax.process_index() == 0
            if not first:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, 1)
                sys.stdout = os.fdopen(nowhere, "w")
            if where.num_processes not in (None, jax.process_count()):
                _refuse_count(where, jax.process_count())
            _meet()
        try:
            yield lambda: first
        except (DeepinitError, SystemExit):
            _part()
            raise
        except BaseException as error:  # noqa: BLE001 (the process ends)
            _leave(error)
        _part()


def _meet() -> None:
    """Connections are made by the first collective: here, so that who is missing is missed now."""
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("deepinit")


def _part() -> None:
    import jax

    sys.stdout.flush()
    sys.stderr.flush()
    jax.distributed.shutdown()


@contextlib.contextmanager
def _own_output() -> Iterator[None]:
    """Lines that libraries print to file 1 go to standard error: standard output has the table, or one JSON object."""
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
def _patience(where: Place, seconds: float) -> Iterator[None]:
    """Within, the process is ended with a message after so many seconds: JAX would abort it without one."""

    def give_up() -> NoReturn:
        expected = "" if where.num_processes is None else f" of {where.num_processes} processes"
        _exit(
            refusal(
                f"--distributed, and after {seconds:g} s not all{expected} have joined at {where.coordinator or 'the address that the cluster gave'}",
                "as many processes as were announced, each with a number of its own, and the first reachable at that address",
                "Compare what the processes were told, and what the cluster started; --join-timeout waits longer. Nothing was "
                "written.",
            ),
            ResourceError.exit_code,
        )

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _refuse_count(where: Place, found: int) -> NoReturn:
    _exit(
        refusal(
            f"--num-processes {where.num_processes} in a program that the first process says has {found}",
            "one number for all processes",
            "Give every process the same number.",
        ),
        SpecError.exit_code,
    )


def _nobody(error: Exception) -> str:
    return refusal(
        f"--distributed, and found no other processes to join ({str(error).splitlines()[0]})",
        "a TPU slice, a SLURM or MPI job, or processes with --coordinator, --num-processes and --process-id",
        "Give these three to every process, or leave --distributed out: --shard i/n needs no connection.",
    )


def _leave(error: BaseException) -> NoReturn:
    """Ends this process without waiting for the others, who may be gone or may wait for it."""
    text = str(error)
    if isinstance(error, KeyboardInterrupt):
        _exit(
            "stopped at once; finished blocks are kept, the same command continues.",
            StoppedError.exit_code,
        )
    if "RESOURCE_EXHAUSTED" in text or isinstance(error, MemoryError):
        _exit(
            "out of memory in one of several joined processes, which cannot change their batches apart. Finished blocks are "
            "kept. Start a new run with a smaller --block-size, or continue this one without --distributed.",
            ResourceError.exit_code,
        )
    if any(
        sign in text
        for sign in ("Gloo", "UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "heartbeat", "NCCL")
    ):
        _exit(
            f"lost the connection to another process, which has ended or cannot be reached ({text.splitlines()[0][:200]}). "
            "Finished blocks are kept; the same command on every process continues.",
            StoppedError.exit_code,
        )
    theirs = user_code.refused(error)
    if theirs:
        _exit(theirs, SpecError.exit_code)
    traceback.print_exception(error)
    _exit("one of several joined processes has failed, and ends without the others.", 1)


def _exit(message: str, code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os.write(2, f"deepinit: {message}\n".encode())
    os._exit(code)
