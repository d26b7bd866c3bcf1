"""A process that was forked after JAX had been used hangs in its first computation: it is refused instead."""

import os
import sys

from deepinit.core.errors import ResourceError

_USER: list[int] = []  # id of the process that used JAX first


def require_unforked() -> None:
    """To be called before JAX computes.

    Raises:
        ResourceError: a parent of this process has used JAX, whose threads do not survive a fork.
    """
    if not _USER:
        _USER.append(os.getpid())
    if _USER[0] != os.getpid():
        raise ResourceError(
            f"the process {os.getpid()}, forked from {_USER[0]} after that had used JAX",
            "children that start anew, or fork before the first simulation",
            "Start children by spawn: multiprocessing.get_context('spawn').",
        )


def _before_fork() -> None:
    """Notes that JAX is in use here, also where deepinit has not called it."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if not _USER and bridge is not None and bridge.backends_are_initialized():
        _USER.append(os.getpid())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)
