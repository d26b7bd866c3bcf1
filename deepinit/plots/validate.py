"""Checks of panels and shapes."""

import re
from collections.abc import Container, Iterable
from typing import Any

from deepinit.core import validate
from deepinit.core.errors import SpecError

MAX_PANELS = 6


def num_panels(count: int, most: int = MAX_PANELS, name: str = "panels") -> None:
    """Refuse no panels, or too many."""
    if not 1 <= count <= most:
        raise SpecError(f"{count} {name}", f"1 to {most}", "Choose a few.")


def known(name: str, keys: Iterable[str], panels: Container[str]) -> None:
    """Refuse keys that are no panels."""
    for key in keys:
        if key not in panels:
            raise SpecError(f"{name} for the panel {key!r}", f"one of {panels}", "Rename it.")


def shaped(name: str, pattern: str, *values: Any, least: int = 1) -> list[Any]:
    """Float64 arrays of a pattern such as `steps [T], angles [T, m]`; else SpecError.

    A letter is one size >= least; values may be non-finite.
    """
    parts = re.findall(r"(.+?) \[(.*?)\](?:, )?", pattern)
    sizes: dict[str, int] = {}
    arrays, shapes, fit = [], [], True
    for (label, axes), value in zip(parts, values, strict=True):
        array = validate.real_numbers(value)
        arrays.append(array)
        shapes.append(f"{label} of {validate.shape_text(value)}")
        shape = () if array is None else array.shape
        fit = fit and array is not None and len(shape) == len(axes.split(", "))
        for axis, size in zip(axes.split(", "), shape, strict=False):
            fixed = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
            fit = fit and size == fixed and size >= least
    if not fit:
        given = f"{name}: {', '.join(shapes)}" if name else ", ".join(shapes)
        allowed = f"{pattern}, not empty" if least else pattern
        raise SpecError(given, allowed, "Equal letters are equal sizes.")
    return arrays
