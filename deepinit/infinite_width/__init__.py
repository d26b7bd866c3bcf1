"""Infinite width: NNGP and NTK by recursion over layers, and by neural-tangents.

Imports JAX and neural-tangents on call; only `kernels`, `empirical`, `training` need the latter.
"""
