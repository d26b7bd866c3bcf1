"""Float64 on the host's CPU, for theory that JAX computes."""

from deepinit.core.host import host_float64 as host_float64
