"""flax modules as Networks.

Measurements give the module the whole batch, with dropout and batch statistics as they are in it.
Training gives it a batch of one. SpecError then: modules that couple a batch, or have state besides
parameters (batch norm, caches); dropout is off in nnx, linen modules need `deterministic=True`.
"""

import math
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.extras import optional
from deepinit.core.generator import sequential_bits
from deepinit.core.host import outside_traces
from deepinit.core.network_values import general_parameters, general_rows
from deepinit.networks.network import Batch, Network, named


def from_linen(
    module: Any,
    *,
    input_shape: tuple[int, ...] | None = None,
    dtype: DTypeLike = "float32",
    label: str | None = None,
) -> Network:
    """Network of a `flax.linen` module; parameters are its nested dict.

    Args:
        module: on a batch of inputs.
        input_shape: of one image, for reshaping rows.
        dtype: of the inputs; parameters have the module's.
        label: for tables and the identity of runs; default the module's `repr`.

    Raises SpecError: at initialization, other input sizes, or variables besides parameters.
    """
    linen = optional("flax.linen")

    allowed, remedy = "a flax.linen module", "Take from_nnx for flax.nnx."
    validate.instance("module", module, linen.Module, allowed, remedy)
    checked: set[int] = set()

    def check(input_width: int) -> None:
        pair = _pair(input_width, input_shape, dtype)
        shapes = jax.eval_shape(module.init, jax.random.key(0), pair)
        _check_collections(set(shapes) - {"params"})
        on_batch = lambda parameters, batch: module.apply({"params": parameters}, batch)
        _check_rows(on_batch, shapes.get("params", {}), pair)

    def init(key: jax.Array, input_width: int) -> Any:
        if input_width not in checked:
            outside_traces(lambda: check(input_width))
            checked.add(input_width)
        with sequential_bits():
            variables = module.init(key, _batch_of_one(jnp.zeros(input_width, dtype), input_shape))
        _check_collections(set(variables) - {"params"})
        return variables["params"]

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        batch = _batch_of_one(jnp.asarray(x, dtype), input_shape)
        outputs: Any = module.apply({"params": parameters}, batch)
        return outputs[0]

    def init_batch(key: jax.Array, *arrays: Any) -> tuple[Any, Any]:
        keys = {"params": key, "dropout": jax.random.fold_in(key, 1)}
        variables = dict(module.init(keys, *arrays))
        return variables.pop("params", {}), variables

    def apply_batch(parameters: Any, others: Any, key: jax.Array, *arrays: Any) -> Any:
        variables = {"params": parameters, **others}
        outputs, _ = module.apply(variables, *arrays, rngs={"dropout": key}, mutable=list(others))
        return outputs

    text = label or re.sub(r" at 0x[0-9a-f]+", "", " ".join(repr(module).split()))
    batch = Batch(init_batch, apply_batch, lambda rows: (_arranged(rows, input_shape, dtype),))
    return named(text, init, apply, (module, input_shape, str(dtype)), batch)


def from_nnx(
    make: Callable[[Any], Any],
    *,
    input_shape: tuple[int, ...] | None = None,
    dtype: DTypeLike = "float32",
    label: str | None = None,
) -> Network:
    """Network of a `flax.nnx` module; parameters are its nested `nnx.Param` values.

    Args:
        make: `nnx.Rngs -> module`, as `lambda rngs: nnx.Linear(5, 1, rngs=rngs)`.
        input_shape, dtype, label: as for `from_linen`; default label the module's class.

    Raises SpecError: state besides parameters; at initialization, other input sizes.
    """
    nnx = optional("flax.nnx")

    if hasattr(make, "init_with_output"):
        given = f"the flax.linen module {type(make).__name__}"
        raise SpecError(given, "a function nnx.Rngs -> nnx module", "Take di.from_linen.")
    is_function = callable(make) and not isinstance(make, nnx.Module)
    module = nnx.eval_shape(lambda: make(nnx.Rngs(0))) if is_function else None
    if not isinstance(module, nnx.Module):
        remedy = "Write lambda rngs: nnx.Linear(5, 1, rngs=rngs)."
        raise SpecError(f"make={make!r}", "a function nnx.Rngs -> nnx module", remedy)
    module.eval()  # no dropout
    parts: Any = nnx.split(module, nnx.Param, nnx.RngState, ...)
    definition, shapes, generators, others = parts
    leaves = jax.tree.leaves(others, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    _check_collections({type(leaf).__name__ for leaf in leaves})
    checked: set[int] = set()

    def on_batch(parameters: Any, batch: jax.Array) -> jax.Array:
        unused = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.uint32), generators)
        return nnx.merge(definition, nnx.State(parameters), unused)(batch)

    def init(key: jax.Array, input_width: int) -> Any:
        if input_width not in checked:
            pair = _pair(input_width, input_shape, dtype)  # refuses another size
            outside_traces(lambda: _check_rows(on_batch, nnx.to_pure_dict(shapes), pair))
            checked.add(input_width)
        with sequential_bits():
            built = make(nnx.Rngs(key))
        return nnx.to_pure_dict(nnx.state(built, nnx.Param))

    def apply(parameters: Any, x: jax.Array) -> jax.Array:
        return on_batch(parameters, _batch_of_one(jnp.asarray(x, dtype), input_shape))[0]

    def init_batch(key: jax.Array, *arrays: Any) -> tuple[Any, Any]:
        parts: Any = nnx.split(make(nnx.Rngs(key)), nnx.Param, ...)
        return parts[1], parts[2]

    def apply_batch(parameters: Any, others: Any, key: jax.Array, *arrays: Any) -> Any:
        return nnx.merge(whole, parameters, others)(*arrays)

    whole: Any = nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Param, ...)[0]
    batch = Batch(init_batch, apply_batch, lambda rows: (_arranged(rows, input_shape, dtype),))
    text = label or type(module).__name__
    return named(text, init, apply, (make, input_shape, str(dtype)), batch)


def _arranged(rows: Any, input_shape: tuple[int, ...] | None, dtype: Any) -> Any:
    """Rows as a batch of inputs."""
    batch = [_batch_of_one(row, input_shape) for row in np.asarray(rows)]
    return jnp.asarray(np.concatenate(batch), dtype)


def _batch_of_one(x: Any, input_shape: tuple[int, ...] | None) -> Any:
    if input_shape is None:
        return x[None]
    if x.size != math.prod(input_shape):
        given = f"inputs of {x.size} numbers for the input shape {input_shape}"
        remedy = "Give the shape of one input, without the batch."
        raise SpecError(given, f"{math.prod(input_shape)} numbers", remedy)
    return x.reshape(1, *input_shape)


def _pair(input_width: int, input_shape: tuple[int, ...] | None, dtype: Any) -> np.ndarray:
    """Two inputs in general position."""
    rows = general_rows((2, input_width)).astype(jnp.dtype(dtype))
    return np.concatenate([_batch_of_one(row, input_shape) for row in rows])


def _check_rows(apply: Callable[[Any, Any], Any], shapes: Any, pair: np.ndarray) -> None:
    """Outputs of two inputs equal single outputs, to 1e-3 of the largest."""
    parameters = jax.tree.map(
        lambda leaf, shape: leaf.astype(shape.dtype), general_parameters(shapes), shapes
    )

    @jax.jit
    def outputs(batch: jax.Array) -> tuple[jax.Array, jax.Array]:
        together = jnp.asarray(apply(parameters, batch), "float32")
        single = [jnp.asarray(apply(parameters, batch[row : row + 1]), "float32") for row in (0, 1)]
        return together, jnp.concatenate(single)

    with jax.default_matmul_precision("highest"):
        together, single = map(np.asarray, outputs(pair))
    coupled = together.shape != single.shape
    with np.errstate(invalid="ignore"):  # inf - inf
        coupled = coupled or np.abs(together - single).max() > 1e-3 * np.abs(single).max()
    given = "a module whose output for one input depends on the others in its batch"
    validate.require(not coupled, given, "modules that treat each input independently")


def _check_collections(names: set[str]) -> None:
    given, remedy = f"a module with the state {', '.join(sorted(names))}", "Leave out batch norm."
    validate.require(not names, given, "modules whose only variables are parameters", remedy)
