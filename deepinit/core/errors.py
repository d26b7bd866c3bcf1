"""Errors for users, with exit codes of the command line."""

from collections.abc import Callable
from typing import Any


class DeepinitError(Exception):
    """Error with a one-paragraph message.

    Args:
        given: value, or the whole message if `allowed` is None.
        allowed: values.
        remedy: what to do.
    """

    exit_code = 1

    def __init__(self, given: str = "", allowed: str | None = None, remedy: str = "") -> None:
        super().__init__(given if allowed is None else refusal(given, allowed, remedy))


class SpecError(DeepinitError, ValueError):
    """Invalid spec, argument or command line: what was given, what is allowed, what to write."""

    exit_code = 2


class ConflictError(DeepinitError):
    """Run directory of another run, writer or newer version."""

    exit_code = 3


class DamagedError(DeepinitError):
    """Damaged file in the run directory."""

    exit_code = 4


class ResourceError(DeepinitError):
    """Missing disk, memory or device."""

    exit_code = 5


class StoppedError(DeepinitError):
    """Run stopped on request after a block; the same command continues it."""

    exit_code = 75


def refusal(given: str, allowed: str, remedy: str) -> str:
    """One-paragraph message of an error."""
    return f"Got {given}. Allowed: {allowed}. {remedy}".rstrip()


def reason_against(call: Callable[[], Any]) -> str | None:
    """Message of the SpecError that a call raises, or None."""
    try:
        call()
    except SpecError as error:
        return str(error)
    return None
