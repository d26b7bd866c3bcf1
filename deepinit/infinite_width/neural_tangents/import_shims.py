"""Names that JAX has moved, lent to JAX while neural-tangents is imported."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

_MISSING = object()
_MOVED_TO_EXTEND = ("Jaxpr", "JaxprEqn", "Literal", "Var", "Primitive")


def safe_map(fn, *sequences) -> list[Any]:
    """[fn(*items)] over sequences of equal length."""
    return [fn(*items) for items in zip(*sequences, strict=True)]


def safe_zip(*sequences) -> list[Any]:
    """list(zip(...)) of sequences of equal length."""
    return list(zip(*sequences, strict=True))


@contextlib.contextmanager
def lent_names() -> Iterator[None]:
    """Lend JAX the names that it lacks; remove them on leaving."""
    import jax.core
    import jax.extend.core as extended
    from jax.interpreters import ad

    lent: list[tuple[ModuleType, str]] = []
    util, util_is_lent = _util_module()
    if util_is_lent:
        sys.modules["jax.util"] = util
    try:
        for name in _MOVED_TO_EXTEND:
            _lend(jax.core, name, getattr(extended, name, _MISSING), lent)
        # JAX no longer emits this primitive: the key of a rule that never fires.
        _lend(ad, "zeros_like_p", extended.Primitive("zeros_like"), lent)
        _lend(util, "safe_map", safe_map, lent)
        _lend(util, "safe_zip", safe_zip, lent)
        yield
    finally:
        for module, name in lent:
            delattr(module, name)
        if util_is_lent:
            del sys.modules["jax.util"]


def _util_module() -> tuple[ModuleType, bool]:
    if importlib.util.find_spec("jax.util") is not None:
        return importlib.import_module("jax.util"), False
    return ModuleType("jax.util"), True


def _lend(module: ModuleType, name: str, value: Any, lent: list[tuple[ModuleType, str]]) -> None:
    if hasattr(module, name) or value is _MISSING:
        return
    setattr(module, name, value)
    lent.append((module, name))
