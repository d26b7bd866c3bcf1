"""Several processes in one JAX program (`jax.distributed`): what the first one knows, told to all."""

from typing import Any

import jax
import numpy as np


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


def is_first() -> bool:
    """Whether this process writes files and messages."""
    return jax.process_index() == 0
