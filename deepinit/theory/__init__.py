"""Finite-width predictions: numbers in, numbers out, no randomness and no simulation.

One result per file. Nothing here calls the simulator, so that the two can check each other. Modules load when used:
`deepinit.theory.angles`, `deepinit.theory.lengths`, ...
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "angles",
        "condensation",
        "criticality",
        "cutoff",
        "diffusion",
        "kernel_corrections",
        "lengths",
    ),
)
