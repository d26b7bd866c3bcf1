"""A user's own network as a function of a key and a batch, its Gaussian matrices deferred."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import ArrayInputs, Inputs

_MAPS = ("auto", "deferred", "explicit")


def linear_map(name: str) -> str:
    """Resolves `auto`."""
    allowed = "Of a Network, 'deferred' draws matrices as far as they act, 'explicit' whole."
    chosen = validate.choice("linear_map", name, _MAPS, allowed)
    return "deferred" if chosen == "auto" else chosen


def batch_of(network: Any, inputs: Inputs) -> tuple[Any, ...]:
    """Arrays of points, then partners."""
    if isinstance(inputs, ArrayInputs):
        return inputs.arrays
    return network.batch.arranged(np.concatenate([inputs.points, inputs.partners]))


def drawn(
    f: Any, network: Any, inputs: Inputs, settings: Mapping[str, str]
) -> Callable[[Any], Any]:
    """`key -> values` of `f(key, *arrays)`, deferred or not."""
    import jax

    from deepinit.deferral.function import deferred

    def precise(*arguments: Any) -> Any:
        with jax.default_matmul_precision(settings["precision"]):
            return f(*arguments)

    is_deferred = settings["linear_map"] == "deferred"
    run = deferred(precise, gaussianize=network.gaussianize) if is_deferred else precise
    arrays = batch_of(network, inputs)
    return lambda key: run(key, *arrays)


def function_of(network: Any) -> Callable[..., Any]:
    """`(key, *arrays) -> outputs`."""
    import jax

    def f(key: Any, *arrays: Any) -> Any:
        parameters, others = network.batch.init(key, *arrays)
        return network.batch.apply(parameters, others, jax.random.fold_in(key, 1), *arrays)

    return f


def checked(outputs: Any, num_rows: int) -> Any:
    """The outputs; SpecError if they are no rows of a batch."""
    shape = getattr(outputs, "shape", None)
    if not shape or shape[0] != num_rows or np.dtype(outputs.dtype).kind != "f":
        given = f"outputs of shape {shape}" if shape is not None else f"a {type(outputs).__name__}"
        allowed = f"one array of numbers [{num_rows}, ...], a row for every input"
        raise SpecError(given, allowed, "Return it from apply, or wrap the model in a function.")
    return outputs


def first_outputs(outputs: Any) -> Any:
    """The first output of every input, at the last position: [batch]."""
    rows, width = outputs.reshape(len(outputs), -1), outputs.shape[-1] if outputs.ndim > 1 else 1
    return rows[:, -width]


def has_slopes(network: Any, inputs: Inputs) -> bool:
    """Whether the first array has derivatives."""
    import jax.numpy as jnp

    return bool(jnp.issubdtype(batch_of(network, inputs)[0].dtype, jnp.floating))


def output_size(network: Any, inputs: Inputs) -> int:
    """Numbers of one output."""
    return math.prod(abstract_outputs(network, inputs).shape[1:])


@functools.lru_cache(maxsize=64)
def abstract_outputs(network: Any, inputs: Inputs) -> Any:
    """Shape and type of the outputs."""
    import jax

    return jax.eval_shape(function_of(network), jax.random.key(0), *batch_of(network, inputs))
