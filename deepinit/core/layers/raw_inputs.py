"""Layers on raw inputs, whose few coordinates no infinite width averages."""

from typing import Any

from deepinit.core.layers.attention import Attention, Positions
from deepinit.core.layers.containers import (
    Repeat,
    Residual,
    Sequential,
    Tied,
    child_paths,
    joined,
    kind_name,
)
from deepinit.core.layers.layer import Layer, refuse
from deepinit.core.layers.linear import Conv, Dense, Embed
from deepinit.core.layers.neuronwise import Dropout
from deepinit.core.layers.norms import GroupNorm
from deepinit.core.layers.program import Program


def check_raw(program: Program) -> None:
    """Refuse, by path, layers whose limit needs wide columns before them.

    Raises SpecError: GroupNorm, Dropout or learned Positions before the first random map; a first
        map whose law is neither Gaussian nor orthogonal.
    """
    layers = [("embedding", program.embedding), ("", program.body), ("dense", program.readout)]
    for path, layer in layers:
        if layer is not None and not _raw(layer, path):
            return


def _raw(layer: Layer, path: str) -> bool:
    """Whether rows are still raw after a layer on raw rows."""
    if isinstance(layer, Sequential):
        pairs = zip(layer.layers, child_paths(layer, path), strict=True)
        return all(_raw(child, child_path) for child, child_path in pairs)
    if isinstance(layer, Repeat | Tied):
        return _raw(layer.layer, joined(path, "1"))
    if isinstance(layer, Residual):
        raw = _raw(layer.branch, joined(path, "branch"))
        # identity keeps raw coordinates beside the branch's
        return _raw(layer.skip, joined(path, "skip")) and raw if layer.skip else raw
    path = path or kind_name(layer)
    if isinstance(layer, Attention):
        for name in ("query_law", "key_law", "value_law"):
            _check_law(layer, name, path)
        return False
    if isinstance(layer, Dense | Conv | Embed):
        _check_law(layer, "law", path)
        return False
    is_learned = isinstance(layer, Positions) and layer.kind == "learned"
    if isinstance(layer, GroupNorm | Dropout) or is_learned:
        given = "raw inputs, at infinite width"
        allowed = "columns of a random linear map: the few inputs' coordinates do not average"
        raise refuse(path, layer, given, allowed, "Write a Dense, Conv or Embed first.")
    return True


def _check_law(layer: Any, name: str, path: str) -> None:
    law = getattr(layer, name)
    if not (law.is_gaussian or law.is_haar):
        given = f"{name} {law.name} on raw inputs, at infinite width"
        allowed = "Gaussian or orthogonal weights: other ones do not make Gaussian neurons there"
        raise refuse(path, layer, given, allowed, "Take di.normal(...), or simulate.")
