"""Deep networks at random initialization: simulated, predicted, compared with infinite width.

Names are loaded at first use: `import deepinit` imports neither JAX nor other heavy packages.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
