"""The first and the last moment of the command: signals and standard streams.

Imports nothing heavy: it runs before everything else.
"""

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

STOPPED = 75


def begin() -> None:
    """From here on a signal ends the process with 75, and the standard streams exist.

    What is being written to a run directory is whole or absent at any moment, so that it may end.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    # A closed stream's number would go to the next file that is opened, of a run directory.
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
    """Leave with a code that no later signal changes: Python resets handlers before it is gone."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    name = signal.Signals(number).name
    with contextlib.suppress(OSError):
        os.write(
            2,
            f"deepinit: stopped by {name}; nothing is lost. The same command continues.\n".encode(),
        )
    os._exit(STOPPED)


def say(sentence: str) -> None:
    """One sentence on standard error, as far as it can be written."""
    with contextlib.suppress(OSError):
        os.write(
            2, f"deepinit: {sentence}. Allow more memory (ulimit -v) and run again.\n".encode()
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an import failed because the process got no more memory."""
    signs = ("failed to map segment", "cannot allocate memory", "Cannot allocate memory")
    return any(sign in str(error) for sign in signs)
