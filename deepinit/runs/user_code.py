"""Errors of user code as refusals."""

import dataclasses
import os
import re
import sysconfig
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from deepinit.core.errors import SpecError, refusal
from deepinit.former_names import present_name

T = TypeVar("T")

_LIBRARIES = (
    "<",  # frozen modules and code from strings
    str(Path(__file__).parents[1]) + os.sep,
    *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
_FUNCTIONS = ("cases", "figures", "tables", "checks")


def location(error: BaseException) -> str:
    """`FILE, line N` of the innermost user frame."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}, line {error.lineno}"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if not frame.f_code.co_filename.startswith(_LIBRARIES):
            return f"{frame.f_code.co_filename}, line {line}"
    return ""


def summary(error: BaseException) -> str:
    """`KeyError: 'width'`, up to 300 characters."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def refused(error: BaseException) -> str:
    """Refusal of a user error, or empty."""
    where = location(error)
    if not where:
        return ""
    remedy = "Fix the file and rerun the command: finished blocks are kept. --traceback shows more."
    former = present_name(error.name or "") if isinstance(error, ModuleNotFoundError) else None
    return refusal(
        f"an experiment whose own code fails ({summary(error)}, at {where})",
        "functions that return what `Experiment` documents",
        f"{former} {remedy}" if former else remedy,
    )


def listed(values: Any, kind: type[T], function: str) -> tuple[T, ...]:
    """A list or tuple of one type, from a user."""
    several = isinstance(values, Iterable) and not isinstance(values, str | bytes | dict)
    items = tuple(values) if several else ()
    wrong = [item for item in items if not isinstance(item, kind)]
    if not several or wrong:
        type_name = f"an object of type {type(values).__name__}"
        given = f"{wrong[0]!r:.80} in a list" if wrong else type_name
        raise SpecError(f"{given} from {function}", f"a list of {kind.__name__}", "Fix the file.")
    return items


def check_experiment(experiment: Any) -> None:
    """Check an Experiment's field types."""
    texts = ("name", "title", "citation", "question", "headline")
    types: dict[str, tuple[Any, str]] = {name: (str, "text") for name in texts}
    types["presets"] = (Mapping, "a dictionary: name -> config")
    types["meanings"] = (Mapping, "a dictionary: theory -> sentence")
    types["minutes"] = (Mapping, "a dictionary: preset -> minutes")
    for name, (kind, allowed) in types.items():
        if not isinstance(getattr(experiment, name), kind):
            raise _wrong_field(experiment, name, allowed)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", experiment.name):
        allowed = "1 to 100 letters, digits, '.', '_', '-': it names run directories"
        given = f"an Experiment with the name {experiment.name[:120]!r}"
        raise SpecError(given, allowed, "Rename it.")
    for name in _FUNCTIONS:
        function = getattr(experiment, name)
        if not callable(function) and (function is not None or name in ("cases", "figures")):
            raise _wrong_field(experiment, name, "a function")
    wrong = [
        f"the preset {name!r}, of type {type(config).__name__}"
        for name, config in experiment.presets.items()
        if not isinstance(name, str)
        or isinstance(config, type)
        or not dataclasses.is_dataclass(config)
    ]
    if wrong or not experiment.presets:
        given = f"an Experiment with {wrong[0] if wrong else 'no presets'}"
        allowed = "one preset or more: name -> a frozen dataclass"
        raise SpecError(given, allowed, 'Write {"smoke": Config()}.')


def _wrong_field(experiment: Any, name: str, allowed: str) -> SpecError:
    given = f"an Experiment with {name} of type {type(getattr(experiment, name)).__name__}"
    return SpecError(given, allowed, f"Change {name}.")
