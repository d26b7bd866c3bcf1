"""Values that a spec took because none was given.

`dataclasses.replace` hands every resolved field to the new spec. A default is marked, so that the
new spec chooses it anew: He's variance belongs to ReLU, and is not kept when the activation
becomes tanh. The mark takes no part in equality, hash or JSON.
"""

import dataclasses
from typing import Any


class DefaultInt(int):
    """An integer that was not given."""


def as_default(value: Any) -> Any:
    """The value, marked; a law, an activation or an integer."""
    if isinstance(value, int):
        return DefaultInt(value)
    return dataclasses.replace(value, is_default=True)


def given(value: Any) -> Any:
    """The value, or None if it is a default."""
    is_default = isinstance(value, DefaultInt) or getattr(value, "is_default", False)
    return None if is_default else value


def forget_defaults(spec: Any) -> None:
    """Fields that hold a default become None."""
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if given(value) is not value:
            object.__setattr__(spec, field.name, None)
