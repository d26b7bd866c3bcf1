"""Several processes in one JAX program (`jax.distributed`): what the first one knows, told to all."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

from deepinit.core.errors import DeepinitError

T = TypeVar("T")


def from_first(values: Any) -> np.ndarray:
    """The first process's array, on every process; the array itself where there is one process."""
    if jax.process_count() == 1:
        return np.asarray(values)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(np.asarray(values)))


def on_any(flag: bool) -> bool:
    """Whether the flag is set on any process."""
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    return bool(np.any(multihost_utils.process_allgather(np.asarray(flag))))


def on_first(action: Callable[..., T], *arguments: Any) -> T | None:
    """Runs an action on the first process; where that one is refused, all end, and none waits for it in vain.

    Returns:
        What the action returns; None on the other processes.

    Raises:
        DeepinitError: on the first process the action's own, on the others one with the same exit code.
    """
    if jax.process_count() == 1:
        return action(*arguments)
    result, refused = None, None
    if is_first():
        try:
            result = action(*arguments)
        except DeepinitError as error:
            refused = error
    exit_code = int(from_first(np.int32(refused.exit_code if refused else 0)))
    if refused is not None:
        raise refused
    if exit_code:
        elsewhere = DeepinitError("")  # the first process says why
        elsewhere.exit_code = exit_code
        raise elsewhere
    return result


def is_first() -> bool:
    """Whether this process writes files and messages."""
    return jax.process_index() == 0
