"""Start and end of the command: signals and standard streams, without heavy imports."""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

STOPPED = 75


def begin() -> None:
    """Let signals end the process with 75, and open closed standard streams.

    Files of a run directory are intact or absent at any moment.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    # The descriptor of a closed stream would go to the next file of a run directory.
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (as long as the process)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def end(code: int) -> NoReturn:
    """Exit with a code that no later signal changes (Python resets handlers)."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    name = signal.Signals(number).name
    text = f"deepinit: stopped by {name}; nothing is lost. The same command continues.\n"
    with contextlib.suppress(OSError):
        os.write(2, text.encode())
    os._exit(STOPPED)


def say(sentence: str) -> None:
    """Write one sentence to standard error; errors of the stream are ignored."""
    text = f"deepinit: {sentence}. Allow more memory (ulimit -v) and run again.\n"
    with contextlib.suppress(OSError):
        os.write(2, text.encode())


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an import failed because the process got no more memory."""
    signs = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")
    return any(sign in str(error) for sign in signs)
