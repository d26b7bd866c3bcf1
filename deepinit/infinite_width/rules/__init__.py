"""Rules of the infinite-width interpreter, one layer kind a file, all imported."""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
