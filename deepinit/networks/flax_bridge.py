"""flax modules as Networks, so that a model written elsewhere is measured and trained like the built-in ones.

`from_linen(module)` takes a `flax.linen` module, `from_nnx(make)` a function that builds a `flax.nnx` module from its generators. A Network is for
one input without a batch axis; the module is called on a batch of one. Modules whose output depends on the rest of the batch, or
on state besides parameters (batch normalization, caches) have no such form and are refused. Dropout is off: build linen modules with
`deterministic=True`; nnx modules are put in evaluation mode.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.core.host import outside_traces
from deepinit.core.network_values import general_parameters, general_rows
from deepinit.networks.network import Network, named


def from_linen(
    module: Any,
    *,
    input_shape: tuple[int, ...] | None = None,
    dtype: Any = "float32",
    label: str | None = None,
) -> Network:
    """The Network of a `flax.linen` module; its parameters are the module's own nested dict.

    Args:
        module: a linen module whose `__call__` takes a batch of inputs.
        input_shape: of one input, for modules that want images; rows are reshaped to it. None for vectors.
        dtype: of the inputs; a module decides on its parameters itself.
        label: what tables call it, and what tells runs that train it apart; None takes the module's `repr`.

    Raises:
        SpecError: something else than a linen module; at initialization, inputs of another size, or a module with other variables
            than parameters.
    """
    from flax import linen

    if not isinstance(module, linen.Module):
        raise SpecError(
            f"a module {module!r}", "a flax.linen module", "Take from_nnx for flax.nnx."
        )

    definition = module, input_shape, str(dtype)

    checked: set[int] = set()

    def check(input_width: int) -> None:
        pair = _pair(input_width, input_shape, dtype)
        shapes = jax.eval_shape(module.init, jax.random.key(0), pair)
        _check_collections(set(shapes) - {"params"})
        _check_rows(
            lambda parameters, batch: module.apply({"params": parameters}, batch),
            shapes.get("params", {}),
            pair,
        )

    def init(key: Any, input_width: int) -> Any:
        if input_width not in checked:
            outside_traces(lambda: check(input_width))
            checked.add(input_width)
        with sequential_bits():
            variables = module.init(key, _batch_of_one(jnp.zeros(input_width, dtype), input_shape))
        _check_collections(set(variables) - {"params"})
        return variables["params"]

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        outputs: Any = module.apply(
            {"params": parameters}, _batch_of_one(jnp.asarray(x, dtype), input_shape)
        )
        return outputs[0]

    return named(
        label or re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(module).split())),
        init,
        apply,
        definition,
    )


def from_nnx(
    make: Callable[[Any], Any],
    *,
    input_shape: tuple[int, ...] | None = None,
    dtype: Any = "float32",
    label: str | None = None,
) -> Network:
    """The Network of a `flax.nnx` module; its parameters are the nested dict of its `nnx.Param` values.

    Args:
        make: `nnx.Rngs -> module`, for example `lambda rngs: nnx.Linear(5, 1, rngs=rngs)`. Built once for every key.
        input_shape: as for `from_linen`.
        dtype: as for `from_linen`.
        label: as for `from_linen`; None takes the module's class.

    Raises:
        SpecError: `make` is no function that gives an nnx module; a module with state besides parameters; at initialization, inputs
            of another size.
    """
    from flax import nnx

    module = (
        nnx.eval_shape(lambda: make(nnx.Rngs(0)))
        if callable(make) and not isinstance(make, nnx.Module)
        else None
    )
    if not isinstance(module, nnx.Module):
        raise SpecError(
            f"{make!r}",
            "a function nnx.Rngs -> nnx module",
            "Write lambda rngs: nnx.Linear(5, 1, rngs=rngs).",
        )
    module.eval()  # no dropout
    parts: Any = nnx.split(module, nnx.Param, nnx.RngState, ...)
    definition, shapes, generators, others = parts
    _check_collections(
        {type(leaf).__name__ for leaf in jax.tree.leaves(others, is_leaf=_is_variable)}
    )
    checked: set[int] = set()

    def on_batch(parameters: Any, batch: jax.Array) -> jax.Array:
        unused = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.uint32), generators)
        return nnx.merge(definition, nnx.State(parameters), unused)(batch)

    def init(key: Any, input_width: int) -> Any:
        if input_width not in checked:
            pair = _pair(input_width, input_shape, dtype)  # refuses another size
            outside_traces(lambda: _check_rows(on_batch, nnx.to_pure_dict(shapes), pair))
            checked.add(input_width)
        with sequential_bits():
            built = make(nnx.Rngs(key))
        return nnx.to_pure_dict(nnx.state(built, nnx.Param))

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        return on_batch(parameters, _batch_of_one(jnp.asarray(x, dtype), input_shape))[0]

    return named(label or type(module).__name__, init, apply, (make, input_shape, str(dtype)))


def _is_variable(leaf: Any) -> bool:
    from flax import nnx

    return isinstance(leaf, nnx.Variable)


def _batch_of_one(x: Any, input_shape: tuple[int, ...] | None) -> Any:
    if input_shape is None:
        return x[None]
    if x.size != math.prod(input_shape):
        raise SpecError(
            f"inputs of {x.size} numbers for the input shape {input_shape}",
            f"{math.prod(input_shape)} numbers",
            "Give the shape of one input, without the batch.",
        )
    return x.reshape(1, *input_shape)


def _pair(input_width: int, input_shape: tuple[int, ...] | None, dtype: Any) -> np.ndarray:
    """A batch of two inputs in general position."""
    rows = general_rows((2, input_width)).astype(jnp.dtype(dtype))
    return np.concatenate([_batch_of_one(row, input_shape) for row in rows])


def _check_rows(apply: Callable[[Any, Any], Any], shapes: Any, pair: np.ndarray) -> None:
    """Refuses a module whose outputs for two inputs together are not those for each alone, to 1e-3 of the largest."""
    parameters = jax.tree.map(
        lambda leaf, shape: leaf.astype(shape.dtype), general_parameters(shapes), shapes
    )

    @jax.jit
    def outputs(batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        together = jnp.asarray(apply(parameters, batch), "float32")
        alone = [jnp.asarray(apply(parameters, batch[row : row + 1]), "float32") for row in (0, 1)]
        return together, jnp.concatenate(alone)

    with jax.default_matmul_precision("highest"):
        together, alone = map(np.asarray, outputs(pair))
    with np.errstate(invalid="ignore"):  # a difference of infinities tells nothing
        is_coupled = (
            together.shape != alone.shape
            or np.abs(together - alone).max() > 1e-3 * np.abs(alone).max()
        )
    if is_coupled:
        raise SpecError(
            "a module whose output for one input depends on the others in its batch",
            "modules that take each input by itself",
            "Leave out means and products over the batch axis.",
        )


def _check_collections(names: set[str]) -> None:
    if names:
        raise SpecError(
            f"a module with the state {', '.join(sorted(names))}",
            "modules whose only variables are parameters",
            "Batch normalization couples the examples of a batch: measure the module without it.",
        )
