"""Float64 on the host's CPU, for infinite width."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def host_float64() -> Iterator[None]:
    """Context in which JAX computes in float64 on the CPU.

    In float32 neural-tangents' NTK diagonal is low by 1e-3 at depth 10 and 1e-2 at depth 100.
    """
    import jax

    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield
