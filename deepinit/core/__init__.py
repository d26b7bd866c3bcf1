"""Specs, laws, activations, inputs and results.

Imports no other part of deepinit, and JAX only on use: `--help` and `--dry-run` stay fast.
"""

from deepinit.core import curves, frames, inputs, layers, targets

__all__ = ["curves", "frames", "inputs", "layers", "targets"]
