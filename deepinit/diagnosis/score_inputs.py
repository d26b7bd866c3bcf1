"""Inputs of scores: rows as a record and as an array, halves with labels."""

from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import ArrayInputs, Inputs, arrays
from deepinit.core.inputs.rows import points
from deepinit.diagnosis.probe import Batch

LEAST_ROWS = 4
MOST_ROWS = 16  # that angles and gradients are measured on


def arranged(network: Any, inputs: Any) -> tuple[Inputs, Any]:
    """Inputs as a record, and as an array for the network."""
    from deepinit.networks.network import Network

    is_network = isinstance(network, Network)
    if not isinstance(inputs, Inputs):
        array = np.asarray(inputs)
        if array.ndim < 2 or not len(array):
            allowed = "an array [rows, ...], or di.inputs"
            raise SpecError(f"inputs of shape {array.shape}", allowed, "Give a row for each input.")
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        if is_network:
            return arrays(array), array
        flat = array.reshape(len(array), -1).astype(float)
        return points(flat), flat.astype(np.float32)
    if is_network:
        if isinstance(inputs, ArrayInputs):
            given = inputs.arrays
        else:
            rows = np.concatenate([inputs.points, inputs.partners])
            given = network.batch.arranged(rows)
        if len(given) != 1:
            allowed = "a network of one array"
            raise SpecError(f"inputs of {len(given)} arrays", allowed, "Wrap it in a function.")
        return inputs, np.asarray(given[0])
    rows = np.concatenate([inputs.points, inputs.partners]).astype(np.float32)
    return inputs, rows


def batch_of(rows: Any, labels: Any) -> Batch:
    """Measured rows, and two halves with labels; SpecError for rows that cannot be compared."""
    if len(rows) < LEAST_ROWS:
        given = f"{len(rows)} inputs"
        raise SpecError(given, f"{LEAST_ROWS} rows or more", "Scores compare inputs; give more.")
    flat = rows.reshape(len(rows), -1)
    if np.all(flat == flat[0]):
        raise SpecError("inputs that are all equal", "different rows", "Give real inputs.")
    if labels is None:
        return Batch(rows[:MOST_ROWS])
    classes = np.asarray(labels)
    if classes.dtype.kind not in "iu" or len(classes) != len(rows) or classes.min() < 0:
        given = f"labels of shape {classes.shape} and type {classes.dtype}"
        raise SpecError(given, f"classes, integers from 0, for {len(rows)} rows", "One a row.")
    half, labelled = len(rows) // 2, classes.astype(np.int32)
    return Batch(rows[:MOST_ROWS], rows[:half], labelled[:half], rows[half:], labelled[half:])
