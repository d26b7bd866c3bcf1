"""Code that users bring, an experiment's functions and quantities: its errors become refusals."""

import dataclasses
import os
import re
import sysconfig
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from deepinit.core.errors import SpecError, refusal

T = TypeVar("T")

_NOT_THEIRS = (
    "<",  # frozen modules and code from strings
    str(Path(__file__).parents[1]) + os.sep,
    *(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)


def place(error: BaseException) -> str:
    """`FILE, line N` of the innermost frame in a user's file; empty if the error met none."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f"{error.filename}, line {error.lineno}"
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        if not frame.f_code.co_filename.startswith(_NOT_THEIRS):
            return f"{frame.f_code.co_filename}, line {line}"
    return ""


def described(error: BaseException) -> str:
    """`KeyError: 'width'`: the type and the first line, of 300 characters at most."""
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def refused(error: BaseException) -> str:
    """The refusal of an error that a user's code raised; empty for errors of other code."""
    where = place(error)
    if not where:
        return ""
    return refusal(
        f"an experiment whose own code fails ({described(error)}, at {where})",
        "functions that return what `Experiment` documents",
        "Mend the file and run the same command again: finished blocks are kept. --traceback shows the whole error.",
    )


def listed(values: Any, kind: type[T], function: str) -> tuple[T, ...]:
    """What a user's function returned, a list or tuple of one kind.

    Raises:
        SpecError: anything else.
    """
    several = isinstance(values, Iterable) and not isinstance(values, str | bytes | dict)
    items = tuple(values) if several else None
    wrong = [item for item in items or () if not isinstance(item, kind)]
    if items is None or wrong:
        given = f"{wrong[0]!r:.80} in a list" if wrong else f"an object of type {type(values).__name__}"
        raise SpecError(
            f"{given} from {function}", f"a list of {kind.__name__}", "Mend the experiment's file."
        )
    return items or ()


def check_experiment(experiment: Any) -> None:
    """Refuse an Experiment whose parts are not what they are documented to be.

    Raises:
        SpecError: names the part.
    """
    for name in ("name", "title", "citation", "question"):
        if not isinstance(getattr(experiment, name), str):
            raise SpecError(_part(experiment, name, "text"))
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", experiment.name):
        allowed = "1 to 100 letters, digits, '.', '_', '-': it names run directories"
        raise SpecError(f"an Experiment with the name {experiment.name[:120]!r}", allowed, "Rename it.")
    for name in ("cases", "figures", "tables", "checks"):
        function = getattr(experiment, name)
        if not callable(function) and (function is not None or name in ("cases", "figures")):
            raise SpecError(_part(experiment, name, "a function"))
    if not isinstance(experiment.presets, Mapping):
        raise SpecError(_part(experiment, "presets", "a dictionary: name -> config"))
    wrong = [
        f"the preset {name!r}, of type {type(config).__name__}"
        for name, config in experiment.presets.items()
        if not isinstance(name, str) or isinstance(config, type) or not dataclasses.is_dataclass(config)
    ]
    if wrong or not experiment.presets:
        given = f"an Experiment with {wrong[0] if wrong else 'no presets'}"
        raise SpecError(given, "one preset or more: name -> a frozen dataclass", 'Write {"smoke": Config()}.')


def _part(experiment: Any, name: str, allowed: str) -> str:
    given = f"an Experiment with {name} of type {type(getattr(experiment, name)).__name__}"
    return refusal(given, allowed, f"Give Experiment(...) {name} of that kind.")
