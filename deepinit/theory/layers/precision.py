"""Float64 on the host's CPU, for theory that JAX computes."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def host_float64() -> Iterator[None]:
    """Context in which JAX computes in float64 on the CPU."""
    import jax

    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        yield
