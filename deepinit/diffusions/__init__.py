"""Residual networks of infinite depth as diffusions: the equation, its paths, its Jacobian, and networks coupled to it.

`path_fn(spec, inputs)` and `jacobian_fn(spec, inputs)` give functions of a key, to be mapped over keys; `coupled_errors` runs networks and
their limit on the same noise. The module needs diffrax; importing it imports JAX.
"""
