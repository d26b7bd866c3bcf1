"""A spec as structure and numbers: specs of one structure share a compiled program.

`split(spec)` takes the numbers of `NUMBERS` out, `joined` puts others (or placeholders) in. A
number at which code branches (0; 1 and -1 of factors and slopes) stays in the structure.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.array_api import array_namespace
from deepinit.core.laws import Law
from deepinit.core.layers import (
    Attention,
    BatchNorm,
    GroupNorm,
    Layer,
    LayerNorm,
    Residual,
    RMSNorm,
)
from deepinit.core.placeholders import Recorder
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.specs import MLP

_SPECIAL = (0.0, 1.0, -1.0)
# Numbers by field, and the values of each that stay in the structure. Not those that code divides
# by (a density, a dropout rate): XLA multiplies by the inverse of a constant, which rounds
# otherwise.
NUMBERS: dict[type, dict[str, tuple[float, ...]]] = {
    Law: {"variance": (0.0,), "value": (0.0,)},
    Residual: {"scale": _SPECIAL},
    Attention: {"beta": _SPECIAL, "scores": _SPECIAL},
    **{norm: {"eps": (0.0,)} for norm in (RMSNorm, LayerNorm, GroupNorm, BatchNorm)},
}
_ACTIVATIONS = ("leaky_relu",)  # whose parameters are numbers


class Slot(NamedTuple):
    """The place of a number in a structure.

    `apart`: what it does not equal. `field`: slots of one field hold different numbers; "" if not
    known.
    """

    number: int
    sign: int
    apart: tuple[float, ...]
    field: str = ""


class Unkeyed(Exception):
    """An object that cannot be told from a changed one."""


def split(spec: Any, *, share: bool = False) -> tuple[Any, tuple[float, ...]]:
    """(structure, numbers): the spec with a `Slot` in place of each number, hashable.

    `share`: equal numbers of one field (the laws of queries and keys) have one slot, so that they
    are known to be equal, and different slots to be different.
    """
    numbers: list[float] = []
    places: dict[Any, Slot] = {}

    def taken(field: tuple[type, str], value: float, special: tuple[float, ...]) -> Any:
        if value in special:
            return value
        key = (field, value) if share else len(numbers)
        if key not in places:
            name = f"{field[0].__name__}.{field[1]}" if share else ""
            places[key] = Slot(len(numbers), 1 if value > 0 else -1, special, name)
            numbers.append(value)
        return places[key]

    structure = _mapped(spec, taken)
    return structure, tuple(numbers)


def joined(structure: Any, recorder: Recorder) -> Any:
    """The spec of a structure, with placeholders in its slots."""
    return _filled(structure, lambda slot: recorder.placeholder(*slot))


def with_numbers(structure: Any, numbers: Sequence[float]) -> Any:
    """The spec of a structure and its numbers, as `split` has taken them out."""
    return _filled(structure, lambda slot: numbers[slot.number])


def _mapped(value: Any, taken: Callable[..., Any]) -> Any:
    """The numbers of a spec or layer replaced."""
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_mapped(each, taken) for each in value)
    if isinstance(value, Activation):
        return _activation(value, taken)
    if not isinstance(value, Law | Layer | MLP | ResNet | ConvResNet):
        return value
    known = NUMBERS.get(type(value), {})
    changed = {}
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        old = getattr(value, field.name)
        if field.name in known and type(old) is float:
            changed[field.name] = taken((type(value), field.name), old, known[field.name])
        else:
            changed[field.name] = _mapped(old, taken)
    return _replaced(value, changed)


def _activation(value: Activation, taken: Callable[..., Any]) -> Activation:
    if value.name not in _ACTIVATIONS:
        return value
    take = lambda name, number: taken((Activation, name), number, _SPECIAL)
    parameters = tuple((name, take(name, number)) for name, number in value.parameters)
    slopes = None if value.slopes is None else tuple(take("slope", each) for each in value.slopes)
    return _replaced(value, {"parameters": parameters, "slopes": slopes})


def _filled(value: Any, number: Callable[[Slot], Any]) -> Any:
    if isinstance(value, Slot):
        return number(value)
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(_filled(each, number) for each in value)
    if not isinstance(value, Law | Layer | MLP | ResNet | ConvResNet | Activation):
        return value
    names = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
    return _replaced(value, {name: _filled(getattr(value, name), number) for name in names})


def _replaced(value: Any, changed: dict[str, Any]) -> Any:
    """A copy without the checks of its constructor; the same object if nothing changes."""
    if all(getattr(value, name) is new for name, new in changed.items()):
        return value
    copy = object.__new__(type(value))
    copy.__dict__.update(value.__dict__, **changed)
    if "_chosen" in copy.__dict__:
        copy.__dict__["_chosen"] = ()
    return copy


def key_of(value: Any) -> Hashable:
    """A hashable key, equal for equal contents: arrays by their bytes, functions by identity.

    Raises Unkeyed: an object of unknown contents that is not hashable.
    """
    if isinstance(value, np.ndarray) or array_namespace(value) is not np:
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise Unkeyed(type(value).__name__)
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
        return "array", array.shape, str(array.dtype), digest
    if isinstance(value, tuple | list):
        return type(value), tuple(key_of(each) for each in value)
    if isinstance(value, dict):
        return dict, tuple((key_of(key), key_of(each)) for key, each in value.items())
    # a dataclass that is compared by identity: its contents instead
    if dataclasses.is_dataclass(type(value)) and type(value).__eq__ is object.__eq__:
        fields = (getattr(value, field.name) for field in dataclasses.fields(value))
        return type(value), tuple(key_of(each) for each in fields)
    try:
        hash(value)
    except TypeError as error:
        raise Unkeyed(type(value).__name__) from error
    return type(value), value
