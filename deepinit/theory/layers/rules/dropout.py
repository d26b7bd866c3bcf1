"""Dropout: independent factors 0 or 1 / keep, by position and, unless shared, by input."""

import dataclasses

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.neuronwise import Dropout
from deepinit.theory.layers.columns import Mask
from deepinit.theory.layers.rules_table import FIRST_ORDER, require_columns
from deepinit.theory.layers.state import State, num_rows
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Dropout)
def _dropout(
    layer: Dropout, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    del depth, tape
    if not layer.rate:
        return state
    columns = require_columns(layer, state, shape, path)
    if columns.law.scale != 1.0:
        raise refuse(path, layer, "a scaled sum", "columns of a random linear map", "Simulate.")
    rows = range(num_rows(state))
    ids = tuple(row % shape.num_positions if layer.shared else row for row in rows)
    masks = *columns.law.masks, Mask(1.0 - layer.rate, ids)
    return dataclasses.replace(columns, law=columns.law._replace(masks=masks))
