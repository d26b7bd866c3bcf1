"""Infinite width: NNGP and NTK by recursion over layers; neural-tangents, imported on call."""
