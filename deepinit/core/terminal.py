"""Output of the command, without control characters and tracebacks."""

import contextlib
import os
import re
import sys

from deepinit.core.errors import ResourceError

# C0 but newline and tab, DEL, C1, characters that reorder the text around them, and halves of
# surrogate pairs, which no encoding writes.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Text with control characters escaped: it must not control a terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def one_line(text: str) -> str:
    """`printable`, with newlines escaped too."""
    return printable(text).replace("\n", "\\x0a")


def write_line(text: str) -> None:
    """`write` of one line."""
    write(f"{one_line(text)}\n")


def write(text: str) -> None:
    """Print `printable` text to standard output; a closed pipe ends it quietly.

    Raises ResourceError: the output cannot be written.
    """
    emit(printable(text))


def emit(text: str) -> None:
    """`write` with the command's own control sequences."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(1)
    except OSError as error:
        discard(1)
        raise ResourceError(
            f"'{error.strerror or error}' at the standard output",
            "an output that can be written",
            "The run directory is unaffected; `deepinit show` prints a finished run again.",
        ) from error


def remark(text: str) -> None:
    """Print to standard error; stream errors are ignored."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(printable(text))
        sys.stderr.flush()


def discard(descriptor: int) -> None:
    """Redirect a standard stream to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
