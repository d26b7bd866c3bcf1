"""Inputs of a user's own network: arrays as it takes them."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs.rows import Inputs


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ArrayInputs(Inputs):
    """A batch of inputs of a `Network`, of any shapes and types.

    `points` and `displacements` are those of the first array, flattened.

    Attributes:
        arrays: [batch, ...] each; points, then partners.
    """

    arrays: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in self.arrays)
        paired = " in pairs" if self.num_pairs else ""
        return f"{type(self).__name__}({self.label}; {shapes}{paired})"

    @property
    def digest(self) -> str:
        """SHA-256 for a run's identity."""
        parts = [
            repr((array.shape, str(array.dtype))).encode() + array.tobytes()
            for array in self.arrays
        ]
        return hashlib.sha256(b"".join([repr(self.bases).encode(), *parts])).hexdigest()


def arrays(*values: Any, pairs: bool = False, label: str = "arrays") -> ArrayInputs:
    """A batch as a user's own network takes it: token numbers, images, several inputs, masks.

    Args:
        values: arrays whose first axis is the batch: the arguments of the network.
        pairs: whether the second half of the batch are the partners of the first, for angles.
        label: one line for tables.

    Raises SpecError: no array, different batches, or an odd batch of pairs.
    """
    found = tuple(np.asarray(value) for value in values)
    sizes = {array.shape[:1] for array in found}
    if len(sizes) != 1 or () in sizes or not found[0].size:
        given = f"arrays of shapes {', '.join(str(array.shape) for array in found) or '()'}"
        raise SpecError(given, "arrays [batch, ...] of one batch size", "Stack inputs first.")
    rows = found[0].reshape(len(found[0]), -1)
    is_real = rows.dtype.kind in "fiub"
    given = f"an array of type {rows.dtype}"
    validate.require(is_real, given, "real numbers, integers or booleans")
    rows = rows.astype(np.float64)
    count, odd = divmod(len(rows), 2)
    if not pairs:
        return ArrayInputs(rows, rows[:0], (), label, arrays=found)
    validate.require(not odd, f"{len(rows)} inputs in pairs", "an even number", "Add a partner.")
    points = rows[:count]
    return ArrayInputs(points, rows[count:] - points, tuple(range(count)), label, arrays=found)
