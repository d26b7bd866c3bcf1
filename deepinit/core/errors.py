"""Errors that a user can act on. Each carries the exit code with which the command line ends."""

from collections.abc import Callable
from typing import Any


class DeepinitError(Exception):
    """A refusal with a one-paragraph message: what was given, what is allowed, what to write.

    Args:
        given: what was given; the whole message where `allowed` is left out.
        allowed: what is allowed.
        remedy: what to write.
    """

    exit_code = 1

    def __init__(self, given: str = "", allowed: str | None = None, remedy: str = "") -> None:
        super().__init__(given if allowed is None else refusal(given, allowed, remedy))


class SpecError(DeepinitError, ValueError):
    """A spec, an argument or a command line that cannot be carried out."""

    exit_code = 2


class ConflictError(DeepinitError):
    """The run directory belongs to another run, another writer or a newer version."""

    exit_code = 3


class DamagedError(DeepinitError):
    """A file of the run directory does not hold what was written to it."""

    exit_code = 4


class ResourceError(DeepinitError):
    """The disk, the memory or a device that the run needs is not there."""

    exit_code = 5


class CheckFailedError(DeepinitError):
    """Theory and simulation disagree where they were expected to agree."""

    exit_code = 6


class StoppedError(DeepinitError):
    """The run was asked to stop and did so after a finished block; the same command continues it."""

    exit_code = 75


def refusal(given: str, allowed: str, remedy: str) -> str:
    """One paragraph: what was given, what is allowed, what to do."""
    return f"Got {given}. Allowed: {allowed}. {remedy}"


def reason_against(call: Callable[[], Any]) -> str | None:
    """The refusal of a call; None where it is carried out."""
    try:
        call()
    except SpecError as error:
        return str(error)
    return None
