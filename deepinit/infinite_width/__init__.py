"""Infinite width: the NNGP and NTK baselines through neural-tangents, and layer-by-layer recursions of our own.

Nothing here imports JAX or neural-tangents before it is called. Only `kernels` and `empirical` need neural-tangents;
`recursion` and `angles` work without it.
"""
