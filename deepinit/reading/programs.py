"""A network as two traced programs: parameters from a key, outputs from parameters."""

import re
from typing import Any, NamedTuple

import jax
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import ArrayInputs, Inputs
from deepinit.deferral.program import Program, flatten
from deepinit.deferral.simplify import simplified
from deepinit.reading.constants import folded

BATCH = 3  # inputs of the traced programs


class Traced(NamedTuple):
    """Both programs of a network, their constants folded.

    Attributes:
        init: key, *arrays -> *parameters, *others.
        apply: *parameters, *others, key, *arrays -> outputs [BATCH, ...].
        names: of parameters, by their place in the tree (`Dense_0/kernel`).
        other_names: of other variables (batch statistics, counters).
        arrays: shapes of a batch.
        closed: `apply`, as JAX traced it.
    """

    init: Program
    apply: Program
    names: tuple[str, ...]
    other_names: tuple[str, ...]
    arrays: tuple[jax.ShapeDtypeStruct, ...]
    closed: Any


def traced(network: Any, inputs: Any) -> Traced:
    """The programs at inputs of this shape; the batch size is `BATCH`."""
    arrays = batch_shapes(network, inputs)
    key = jax.random.key(0)

    def init(key: Any, *arrays: Any) -> list[Any]:
        return jax.tree.leaves(network.batch.init(key, *arrays))

    (parameters, others) = jax.eval_shape(network.batch.init, key, *arrays)
    leaves, tree = jax.tree.flatten((parameters, others))

    def apply(leaves: list[Any], key: Any, *arrays: Any) -> Any:
        given = jax.tree.unflatten(tree, leaves)
        outputs = jax.tree.leaves(network.batch.apply(*given, key, *arrays))
        if len(outputs) != 1 or outputs[0].shape[:1] != (BATCH,):
            shapes = ", ".join(str(output.shape) for output in outputs)
            allowed = "one array of outputs [batch, ...]"
            raise SpecError(f"outputs of shapes {shapes}", allowed, "Return it from apply.")
        return outputs[0]

    closed = jax.make_jaxpr(apply)(leaves, key, *arrays)
    return Traced(
        _program(jax.make_jaxpr(init)(key, *arrays)),
        _program(closed),
        _names(parameters),
        _names(others),
        arrays,
        closed,
    )


def batch_shapes(network: Any, inputs: Any) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Shapes of the arrays that a network takes, with `BATCH` inputs.

    Args:
        inputs: `Inputs`, an array [batch, ...], or a tuple of them.
    """
    if isinstance(inputs, ArrayInputs):
        arrays = inputs.arrays
    elif isinstance(inputs, Inputs):
        arrays = network.batch.arranged(inputs.points)
    else:
        arrays = inputs if isinstance(inputs, tuple) else (inputs,)
    shapes = []
    for array in arrays:
        if not hasattr(array, "dtype") or not np.shape(array):
            given = f"inputs of type {type(array).__name__}"
            allowed = "di.inputs, an array [batch, ...], or a tuple of arrays"
            raise SpecError(given, allowed, "Write di.read_layers(network, x).")
        dtype = jax.dtypes.canonicalize_dtype(array.dtype)
        shapes.append(jax.ShapeDtypeStruct((BATCH, *np.shape(array)[1:]), dtype))
    return tuple(shapes)


def _program(closed: Any) -> Program:
    return simplified(folded(simplified(flatten(closed))))


def _names(tree: Any) -> tuple[str, ...]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    return tuple("/".join(_parts(path)) or "parameter" for path, _ in paths)


def _parts(path: Any) -> list[str]:
    parts = []
    for entry in path:
        text = next(
            str(getattr(entry, field)) for field in ("key", "name", "idx") if hasattr(entry, field)
        )
        parts.append(re.sub(r"[^\w.~-]", "", text))
    if len(parts) > 1 and parts[-1] in ("value", "raw_value"):  # of a variable of nnx
        parts.pop()
    return [part for part in parts if part]


def layer_name(parameter: str) -> str:
    """`Dense_0` of `Dense_0/kernel`."""
    return parameter.rpartition("/")[0] or parameter
