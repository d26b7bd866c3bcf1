"""Finite-width predictions: numbers in, numbers out, no randomness, no simulation.

Independent of the simulator, so that each checks the other. Modules load on first use:
`deepinit.theory.angles`, `deepinit.theory.lengths`, ...
"""

from typing import Any

import lazy_loader

from deepinit.former_names import present_name

_load, __dir__, __all__ = lazy_loader.attach(
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


def __getattr__(name: str) -> Any:
    if sentence := present_name(f"{__name__}.{name}"):
        raise AttributeError(sentence)
    return _load(name)
