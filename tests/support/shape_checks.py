"""Checks of public signatures while tests run: the type checker of jaxtyping's import hook.

A call outside its annotations must end in a refusal: arguments are checked after the function has
returned. A `SpecError` for a bad argument passes; an argument that the annotation forbids and the
function accepts fails, as does a result, or a field of a result, of another type or shape.
"""

import functools
import numbers
import typing
from typing import Any

import jaxtyping
import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.door import is_bearable
from jaxtyping import Shaped, jaxtyped

PACKAGES = (
    "theory",
    "infinite_width",
    "inference",
    "observables",
    "random_maps",
    "piecewise_linear",
    "diffusions",
    "comparison",
    "core.inputs",
)

# `int` and `float` stand for numbers of every library: functions convert, or refuse.
_NUMBER = numbers.Real | Shaped[Any, ""]
_CONF = BeartypeConf(
    hint_overrides=FrozenDict(
        {int: _NUMBER, float: _NUMBER, bool: bool | np.bool_ | Shaped[Any, ""]}
    )
)
_PLAIN = {int, float, bool, str, None}


def install():
    """Check the public functions of packages that are imported from now on."""
    jaxtyping.jaxtyped = _jaxtyped  # what the hook applies
    packages = [f"deepinit.{name}" for name in PACKAGES]
    jaxtyping.install_import_hook(packages, "shape_checks.checked")


def _jaxtyped(fn=None, **settings):
    """`jaxtyping.jaxtyped`, except for private functions and those of plain numbers.

    They are called most (roots, quadrature): checks of all functions would cost 20 % of a test.
    """
    if fn is None:
        return functools.partial(_jaxtyped, **settings)
    parts = getattr(fn, "__qualname__", "").split(".")
    is_private = any(part.startswith(("_", "<")) for part in parts)
    is_plain = callable(fn) and all(kind in _PLAIN for kind in fn.__annotations__.values())
    return fn if is_private or is_plain else jaxtyped(fn, **settings)


def checked(fn):
    """`fn` with checks if it stands for the end of a call.

    jaxtyping makes two functions of a signature. The one that it calls last has one argument more,
    a keyword `ret...`, which it returns: the result.
    """
    code = fn.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if not (names and names[-1].startswith("ret")):
        return fn
    verified = beartype(conf=_CONF)(fn)
    return lambda *args, **kwargs: _with_checked_fields(verified(*args, **kwargs))


def _with_checked_fields(result):
    """`result`, whose fields have the shapes of its class if it is a named tuple."""
    for name, hint in _field_types(type(result)).items():
        value = getattr(result, name)
        if not is_bearable(value, hint, conf=_CONF):
            given = f"{type(value).__name__} of shape {np.shape(value)}"
            raise TypeError(f"{type(result).__name__}.{name} is {given}, not {hint}")
    return result


@functools.cache
def _field_types(kind):
    """Annotated fields of a named tuple; none of other classes."""
    return typing.get_type_hints(kind) if hasattr(kind, "_fields") else {}
