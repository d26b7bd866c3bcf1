"""Default values of a spec's fields, replaced when `dataclasses.replace` changes the spec.

`dataclasses.replace` passes every field to the new spec, defaults too. A spec therefore records its
defaults as objects: where the new spec receives such an object, it chooses a default anew (He's
variance belongs to ReLU, and does not survive a change to tanh). Any other object counts as given,
even if it equals a default.
"""

import dataclasses
from typing import Any

Chosen = tuple[tuple[str, Any], ...]  # of the field `_chosen`: (name, value)


class _ChosenInt(int):
    """An integer that is an object of its own."""


def choose(spec: Any, name: str, value: Any) -> None:
    """Set a field that was not given to a default: a law, an activation or an integer."""
    own = _ChosenInt(value) if isinstance(value, int) else dataclasses.replace(value)
    object.__setattr__(spec, name, own)
    object.__setattr__(spec, "_chosen", (*spec._chosen, (name, own)))


def forget_choices(spec: Any) -> None:
    """Set fields with defaults of another spec, passed by `dataclasses.replace`, to None."""
    for name, value in spec._chosen:
        if getattr(spec, name) is value:
            object.__setattr__(spec, name, None)
    object.__setattr__(spec, "_chosen", ())


def pickled(spec: Any) -> tuple[Any, ...]:
    """`__reduce__` of a spec: its class and the given fields."""
    chosen = {"_chosen", *(name for name, _ in spec._chosen)}
    names = [field.name for field in dataclasses.fields(spec) if field.name not in chosen]
    return _unpickled, (type(spec), {name: getattr(spec, name) for name in names})


def _unpickled(kind: type, given: dict[str, Any]) -> Any:
    return kind(**given)
