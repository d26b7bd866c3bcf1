"""Finite-width predictions: numbers in, numbers out, no randomness, no simulation.

Independent of the simulator, so that each checks the other. Modules load on first use:
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
