"""Infinite width: NNGP and NTK by recursion over layers, and through neural-tangents.

Nothing here imports JAX or neural-tangents before it is called. Only `kernels`, `empirical` and
`training` need neural-tangents.
"""
