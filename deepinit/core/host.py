"""Computations on the host in float64, also while JAX traces on the calling thread."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from deepinit.core.forks import require_unforked

T = TypeVar("T")


def outside_traces(call: Callable[[], T]) -> T:
    """call() on a thread of its own, where no trace is active: every value is a number.

    `jax.ensure_compile_time_eval` does not reach into functions with custom derivatives; another
    thread does, because JAX keeps its traces and contexts per thread.
    """
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.extend((call(), None))
        except BaseException as error:  # noqa: BLE001 - raised again on the calling thread
            outcome.extend((None, error))

    thread = threading.Thread(target=work, name="deepinit-host")
    thread.start()
    thread.join()
    value, error = outcome
    if error is not None:
        raise error
    return value


def in_float64(call: Callable[[], T]) -> T:
    """call() outside every trace, on the CPU, with JAX in 64-bit mode."""
    import jax

    require_unforked()

    def work() -> T:
        with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
            return call()

    return outside_traces(work)


def on_host(fn: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """fn of float64 NumPy arrays as a float64 NumPy array, also where fn is a JAX function."""
    import jax.numpy as jnp

    def work() -> np.ndarray:
        inputs = (jnp.asarray(array, jnp.float64) for array in arrays)
        return np.asarray(fn(*inputs), dtype=np.float64)

    return in_float64(work)
