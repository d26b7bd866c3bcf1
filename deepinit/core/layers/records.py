"""JSON records of layers."""

import dataclasses
from typing import Any

from deepinit.core.activations import Activation, from_json
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.layer import Layer
from deepinit.core.matrix_laws import MatrixLaw, law_from_json
from deepinit.core.read_record import built, fields_of


def record_of(layer: Layer) -> dict[str, Any]:
    """`{"type": kind, field: value, ...}`."""
    fields = dataclasses.fields(layer)  # type: ignore[arg-type]
    return {"type": type(layer).__name__} | {
        field.name: _to_json(getattr(layer, field.name)) for field in fields
    }


def layer_from_json(record: dict[str, Any]) -> Layer:
    """Inverse of a layer's `to_json`; SpecError for an unknown kind."""
    fields = fields_of("a layer", record)
    kind: Any = fields.pop("type", None)
    kinds = layer_kinds()
    if kind not in kinds:
        remedy = "A newer deepinit, or code that is not imported, may have written it."
        raise SpecError(f"the layer {kind!r}", ", ".join(sorted(kinds)), remedy)
    values = {name: _from_json(value) for name, value in fields.items()}
    return built(kinds[kind], *values.pop("layers", ()), **values)


def layer_kinds(base: Any = Layer) -> dict[str, Any]:
    """Name -> kind of layer, of every subclass that is imported."""
    found: dict[str, Any] = {}
    for kind in base.__subclasses__():
        found |= {kind.__name__: kind} | layer_kinds(kind)
    return found


def _to_json(value: Any) -> Any:
    if isinstance(value, Layer):
        return record_of(value)
    if isinstance(value, Activation):
        return {"activation": value.to_json()}
    if isinstance(value, Law | MatrixLaw):
        return {"law": value.to_json()}
    return [_to_json(item) for item in value] if isinstance(value, tuple) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "type" in value:
        return layer_from_json(value)
    return law_from_json(value["law"]) if "law" in value else from_json(value["activation"])
