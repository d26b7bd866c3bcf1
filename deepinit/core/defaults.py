"""Values that a spec chose because none were given.

`dataclasses.replace` hands every field to the new spec, chosen ones too. A spec therefore records
what it chose, as the objects themselves: where the new spec is handed such an object, it chooses
anew (He's variance belongs to ReLU, and is not kept when the activation becomes tanh). A value
from anywhere else is given, also one equal to a choice, or the choice of another spec.
"""

import dataclasses
from typing import Any

Chosen = tuple[
    tuple[str, Any], ...
]  # of the field `_chosen`: name and value; no part of equality, hash or JSON


class _ChosenInt(int):
    """An integer that is an object of its own."""


def choose(spec: Any, name: str, value: Any) -> None:
    """Fill a field that was not given with a law, an activation or an integer."""
    own = _ChosenInt(value) if isinstance(value, int) else dataclasses.replace(value)
    object.__setattr__(spec, name, own)
    object.__setattr__(spec, "_chosen", (*spec._chosen, (name, own)))


def forget_choices(spec: Any) -> None:
    """Fields that hold what another spec chose for them, handed over by `dataclasses.replace`, become None."""
    for name, value in spec._chosen:
        if getattr(spec, name) is value:
            object.__setattr__(spec, name, None)
    object.__setattr__(spec, "_chosen", ())


def pickled(spec: Any) -> tuple[Any, ...]:
    """`__reduce__` of a spec: its class and what it was given."""
    chosen = {"_chosen", *(name for name, _ in spec._chosen)}
    names = [field.name for field in dataclasses.fields(spec) if field.name not in chosen]
    return _unpickled, (type(spec), {name: getattr(spec, name) for name in names})


def _unpickled(kind: type, given: dict[str, Any]) -> Any:
    return kind(**given)
