"""deepinit: deep networks at random initialization, simulated, predicted and compared with infinite width.

Names are loaded when they are first used: `import deepinit` alone imports neither JAX nor anything heavy.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
