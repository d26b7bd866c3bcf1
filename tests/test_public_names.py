import importlib
import pkgutil
import types

import deepinit as di


def test_public_names_are_what_they_say_even_after_every_module_is_loaded():
    for module in pkgutil.walk_packages(di.__path__, "deepinit."):
        if module.name != "deepinit.__main__":
            importlib.import_module(module.name)
    kinds = {
        "curves": types.ModuleType,
        "diffusions": types.ModuleType,
        "frames": types.ModuleType,
        "inference": types.ModuleType,
        "init": types.ModuleType,
        "inputs": types.ModuleType,
        "layers": types.ModuleType,
        "plots": types.ModuleType,
        "quantities": types.ModuleType,
        "targets": types.ModuleType,
        "theory": types.ModuleType,
        "training": types.ModuleType,
        "zoo": types.ModuleType,
    }
    for name in di.__all__:
        value = getattr(di, name)
        expected = kinds.get(name)
        assert isinstance(value, types.ModuleType) == (expected is not None), name
        if callable(value) and not isinstance(value, type):
            assert value.__doc__, name
