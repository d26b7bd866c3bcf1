"""Errors for users, with the exit codes of the command line."""

from collections.abc import Callable
from typing import Any


class DeepinitError(Exception):
    """An error with a one-paragraph message.

    Args:
        given: the value; the whole message if `allowed` is None.
        allowed: the allowed values.
        remedy: what to do.
    """

    exit_code = 1

    def __init__(self, given: str = "", allowed: str | None = None, remedy: str = "") -> None:
        super().__init__(given if allowed is None else refusal(given, allowed, remedy))


class SpecError(DeepinitError, ValueError):
    """An invalid spec, argument or command line."""

    exit_code = 2


class ConflictError(DeepinitError):
    """The run directory belongs to another run, another writer or a newer version."""

    exit_code = 3


class DamagedError(DeepinitError):
    """A damaged file in the run directory."""

    exit_code = 4


class ResourceError(DeepinitError):
    """A missing resource: disk, memory or device."""

    exit_code = 5


class StoppedError(DeepinitError):
    """The run stopped after a finished block on request; the same command continues it."""

    exit_code = 75


def refusal(given: str, allowed: str, remedy: str) -> str:
    """The message of an error: one paragraph."""
    return f"Got {given}. Allowed: {allowed}. {remedy}".rstrip()


def reason_against(call: Callable[[], Any]) -> str | None:
    """The message of the SpecError that a call raises; None if it succeeds."""
    try:
        call()
    except SpecError as error:
        return str(error)
    return None
