"""Number of XLA compilations inside a block of code."""

import contextlib
from collections.abc import Iterator

import jax

_SIGN = "/jax/core/compile/backend_compile_duration"
_COUNTS: list["Compilations"] = []


class Compilations:
    """`number` so far; read after or inside the block."""

    number = 0


def _heard(event: str, *_args: object, **_kwargs: object) -> None:
    for counted in _COUNTS if event == _SIGN else ():
        counted.number += 1


jax.monitoring.register_event_duration_secs_listener(_heard)  # JAX has no way to remove one


@contextlib.contextmanager
def compilations() -> Iterator[Compilations]:
    """Counts compilations of this process, programs of the persistent cache included."""
    counted = Compilations()
    _COUNTS.append(counted)
    try:
        yield counted
    finally:
        _COUNTS.remove(counted)
