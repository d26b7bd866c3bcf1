"""What every part of deepinit speaks: specs, weight laws, activations, inputs, typed results.

Nothing in this package imports another part of deepinit, and nothing imports JAX before it is needed, so that the
command line can answer `--help` and `--dry-run` at once.
"""

from deepinit.core import curves, frames, inputs, targets

__all__ = ["curves", "frames", "inputs", "targets"]
