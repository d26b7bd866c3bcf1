"""Broadcasts between the processes of `jax.distributed`."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from deepinit.core.errors import DeepinitError

T = TypeVar("T")


def from_first(values: Any) -> np.ndarray:
    """The first process's array, on every process."""
    if jax.process_count() == 1:
        return np.asarray(values)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(values)))


def on_any(flag: bool) -> bool:
    """True on all processes if true on any."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def on_first(action: Callable[..., T], *arguments: Any) -> T | None:
    """Result of an action on the first process, None on the others.

    Raises DeepinitError: the action's own; on other processes, one with its exit code.
    """
    if jax.process_count() == 1:
        return action(*arguments)
    result, failure = None, None
    if is_first():
        try:
            result = action(*arguments)
        except DeepinitError as error:
            failure = error
    exit_code = int(from_first(np.int32(failure.exit_code if failure else 0)))
    if failure is not None:
        raise failure
    if exit_code:
        silent = DeepinitError("")  # the first process prints the message
        silent.exit_code = exit_code
        raise silent
    return result


def is_first() -> bool:
    """Whether this process writes files and messages."""
    return jax.process_index() == 0
