"""How random bits are drawn: threefry in its sequential mode, on every machine, whatever JAX's own default is."""

from contextlib import AbstractContextManager
from typing import Any


def sequential_bits() -> AbstractContextManager[Any]:
    """A context in which `jax.random` uses both words of every threefry block.

    JAX's default (partitionable) mode throws one of the two away so that one array can be drawn on several devices. Here a
    network is drawn on one device, so nothing is lost, and bits cost about half as much. The numbers of the two modes
    differ: whoever draws what belongs to a network draws it in this context.
    """
    import jax

    return jax.threefry_partitionable(False)
