"""Defaults of a spec's fields, chosen anew by `dataclasses.replace`.

`dataclasses.replace` passes defaults too: He's variance would survive a change from ReLU to tanh. A
spec records default objects; a new spec that receives one chooses anew. Equal but distinct objects
count as given.
"""

import dataclasses
from typing import Any

Chosen = tuple[tuple[str, Any], ...]  # of the field `_chosen`: (name, value)


class _ChosenInt(int):
    """Integer with an identity of its own."""


def choose(spec: Any, name: str, value: Any) -> None:
    """Set a missing field to a default law, activation or integer."""
    own = _ChosenInt(value) if isinstance(value, int) else dataclasses.replace(value)
    object.__setattr__(spec, name, own)
    object.__setattr__(spec, "_chosen", (*spec._chosen, (name, own)))


def forget_choices(spec: Any) -> None:
    """Set defaults passed by `dataclasses.replace` to None."""
    for name, value in spec._chosen:
        if getattr(spec, name) is value:
            object.__setattr__(spec, name, None)
    object.__setattr__(spec, "_chosen", ())


def pickled(spec: Any) -> tuple[Any, ...]:
    """`__reduce__` of a spec: class and given fields."""
    chosen = {"_chosen", *(name for name, _ in spec._chosen)}
    names = [field.name for field in dataclasses.fields(spec) if field.name not in chosen]
    return _unpickled, (type(spec), {name: getattr(spec, name) for name in names})


def _unpickled(kind: type, given: dict[str, Any]) -> Any:
    return kind(**given)
