"""Float64 for theory, with a CPU in JAX and without."""

import jax
import jax.numpy as jnp
import pytest

from deepinit.core.host import host_float64, in_float64


@pytest.mark.parametrize("has_cpu", [True, False])
def test_float64_with_and_without_a_cpu(has_cpu, monkeypatch):
    """JAX_PLATFORMS=cuda alone leaves JAX without its CPU: theory runs on the GPU."""
    real = jax.local_devices

    def devices(backend=None):
        if backend == "cpu" and not has_cpu:
            raise RuntimeError("Unknown backend cpu")
        return real() if backend is None else real(backend=backend)

    monkeypatch.setattr(jax, "local_devices", devices)
    with host_float64():
        assert (jnp.float64(1) + jnp.asarray(1e-12)).dtype == jnp.float64
    assert float(in_float64(lambda: jnp.asarray(1.0) + 1e-12)) == 1.0 + 1e-12
    assert jnp.asarray(1.0).dtype == jnp.float32
