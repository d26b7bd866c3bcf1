"""Specs, laws, activations, inputs and typed results, shared by all parts of deepinit.

This package imports no other part of deepinit, and JAX only where it is used: `--help` and
`--dry-run` answer at once.
"""

from deepinit.core import curves, frames, inputs, targets

__all__ = ["curves", "frames", "inputs", "targets"]
