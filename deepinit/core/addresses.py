"""Fields of a network by dotted names, as `net.summary` prints paths."""

import dataclasses
import difflib
from collections.abc import Iterator
from typing import Any

from deepinit.core.activation import Activation
from deepinit.core.activations import from_json
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers import Layer, Repeat, Residual, Sequential
from deepinit.core.layers.containers import Tied, child_paths, joined, kind_name

Steps = tuple[Any, ...]  # of fields, indices of `layers`, and parameters of an Activation


def addresses(network: Any) -> dict[str, Steps]:
    """Dotted names of all fields: `weight_law.variance`, `block.1..2.mlp.branch.dense_1.width`.

    The numbers of a Repeat may be left out: `block.mlp.branch.dense_1.width`.
    """
    found: dict[str, Steps] = {}
    for name, steps in _walk(network, "", ()):
        found.setdefault(name, steps)
    return found


def with_field(network: Any, name: str, value: Any) -> Any:
    """The network with another value of a field, checked as by its constructor.

    Raises SpecError: an unknown name (with the closest ones); a value that the field refuses.
    """
    known = addresses(network)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted(known)[:6]
        given = f"the field {name!r} of {type(network).__name__}"
        remedy = "Paths of layers are those of net.summary(inputs)."
        raise SpecError(given, ", ".join(close) + ", ...", remedy)
    return _replaced(network, known[name], value)


def _walk(value: Any, path: str, steps: Steps) -> Iterator[tuple[str, Steps]]:
    if isinstance(value, Activation):
        for name, _ in value.parameters:
            yield joined(path, name), (*steps, name)
        return
    if isinstance(value, Sequential):
        for number, (child, name) in enumerate(
            zip(value.layers, child_paths(value, path), strict=True)
        ):
            yield from _walk(child, name, (*steps, number))
        return
    if isinstance(value, Repeat | Tied):
        path = path or kind_name(value)
        numbers = "1" if value.times == 1 else f"1..{value.times}"
        yield joined(path, "times"), (*steps, "times")
        for inside in (joined(path, numbers), path):
            yield from _walk(value.layer, inside, (*steps, "layer"))
        return
    for field in dataclasses.fields(value):
        if field.name.startswith("_") or not field.init:
            continue
        name, own = joined(path, field.name), (*steps, field.name)
        part = getattr(value, field.name)
        if not (isinstance(value, Residual) and isinstance(part, Layer)):
            yield name, own
        if isinstance(part, Law | Layer | Activation):
            yield from _walk(part, name, own)


def _replaced(value: Any, steps: Steps, new: Any) -> Any:
    if not steps:
        return new
    step, *rest = steps
    if isinstance(value, Activation):
        return from_json({**value.to_json(), step: new})
    if isinstance(value, Sequential):
        layers = [*value.layers]
        layers[step] = _replaced(layers[step], tuple(rest), new)
        return type(value)(*layers, name=value.name, keys=value.keys)
    part = _replaced(getattr(value, step), tuple(rest), new)
    return dataclasses.replace(value, **{step: part})
