"""A process that was forked after JAX had been used hangs in its first computation: it is refused instead."""

import os

from deepinit.core.errors import ResourceError, refusal

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
            refusal(
                f"the process {os.getpid()}, forked from {_USER[0]} after that had used JAX",
                "children that start anew, or fork before the first simulation",
                "Start children by spawn: multiprocessing.get_context('spawn').",
            )
        )
