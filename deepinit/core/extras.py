"""Optional packages and the extras of deepinit that install them."""

import importlib
from types import ModuleType

from deepinit.core.errors import ResourceError

_EXTRAS = {
    "arviz": "arviz",
    "flax": "flax",
    "mlxtend": "data",
    "neural_tangents": "neural-tangents",
}


def optional(name: str) -> ModuleType:
    """A module of an optional package; ResourceError with the install line where it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise missing_extra(error) or error from error


def missing_extra(error: ModuleNotFoundError) -> ResourceError | None:
    """The refusal for a package that an extra installs."""
    package = (error.name or "").split(".")[0]
    if package not in _EXTRAS:
        return None
    return ResourceError(
        f"a call that needs {package}",
        "an environment in which it is installed",
        f"pip install 'deepinit[{_EXTRAS[package]}]'.",
    )
