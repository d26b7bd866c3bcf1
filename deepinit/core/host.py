"""Host computations in float64 outside JAX's traces, never in a forked process.

JAX's threads do not survive a fork: a forked process would hang.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from deepinit.core.errors import ResourceError

T = TypeVar("T")
_USER: list[int] = []  # id of the process that used JAX first


def require_unforked() -> None:
    """Raise ResourceError if a parent process has used JAX; call before JAX computes."""
    if not _USER:
        _USER.append(os.getpid())
    if _USER[0] != os.getpid():
        raise ResourceError(
            f"the process {os.getpid()}, forked from {_USER[0]} after that had used JAX",
            "children that start anew, or fork before the first simulation",
            "Start children by spawn: multiprocessing.get_context('spawn').",
        )


def _before_fork() -> None:
    """Record any use of JAX, also outside deepinit."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if not _USER and bridge is not None and bridge.backends_are_initialized():
        _USER.append(os.getpid())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)


def outside_traces(call: Callable[[], T]) -> T:
    """call() in a new thread, without active traces.

    Traces are per thread; `jax.ensure_compile_time_eval` does not reach custom derivatives.
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


@contextlib.contextmanager
def host_float64() -> Iterator[None]:
    """Context in which JAX computes in float64 on the CPU.

    On the default device where JAX has no CPU (JAX_PLATFORMS=cuda alone).
    """
    import jax

    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        device = jax.local_devices()[0]
    with jax.enable_x64(True), jax.default_device(device):
        yield


def in_float64(call: Callable[[], T]) -> T:
    """call() outside traces, on the CPU, in 64-bit mode."""
    require_unforked()

    def work() -> T:
        with host_float64():
            return call()

    return outside_traces(work)


def on_host(fn: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """NumPy or JAX function on float64 NumPy arrays."""
    import jax.numpy as jnp

    def work() -> np.ndarray:
        inputs = (jnp.asarray(array, jnp.float64) for array in arrays)
        return np.asarray(fn(*inputs), dtype=np.float64)

    return in_float64(work)
