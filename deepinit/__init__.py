"""deepinit: random deep networks, simulated, predicted and compared with infinite width.

Names load on first use: `import deepinit` imports neither JAX nor anything heavy.
"""

from typing import Any

import lazy_loader

from deepinit.former_names import present_name

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if sentence := present_name(f"{__name__}.{name}"):
        raise AttributeError(sentence)
    return _load(name)
