"""Models as functions of a key and a batch: plain JAX, equinox, haiku."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from deepinit.core.errors import SpecError
from deepinit.networks.network import Batch, Network, named


def batch_network(
    init: Callable[..., Any],
    apply: Callable[..., Any],
    *,
    input_shape: tuple[int, ...] | None = None,
    dtype: DTypeLike = "float32",
    label: str | None = None,
) -> Network:
    """Network of two functions of a whole batch.

    Args:
        init: `(key, *arrays) -> parameters`.
        apply: `(parameters, *arrays) -> outputs [batch, ...]`.
        input_shape: of one input, for `di.inputs` given as rows.
        dtype: of such inputs.
        label: for tables and the identity of runs; default the name of `apply`.
    """
    for name, function in (("init", init), ("apply", apply)):
        if not callable(function):
            raise SpecError(f"{name}={function!r}", "a function", "See di.batch_network.")
    return of_batch(
        label or str(getattr(apply, "__name__", "network")),
        lambda key, *arrays: (init(key, *arrays), ()),
        lambda parameters, _, key, *arrays: apply(parameters, *arrays),
        (init, apply, input_shape, str(jnp.dtype(dtype))),
        input_shape,
        dtype,
    )


def from_equinox(
    make: Callable[[Any], Any],
    *,
    input_shape: tuple[int, ...] | None = None,
    dtype: DTypeLike = "float32",
    label: str | None = None,
) -> Network:
    """Network of an equinox module of one input, which is mapped over the batch.

    Args:
        make: `key -> module`, as `lambda key: eqx.nn.MLP(5, 1, 64, 3, key=key)`. Parameters are
            its arrays of floating point numbers.
        input_shape, dtype, label: as for `batch_network`; default label the module's class.
    """
    import equinox as eqx

    shapes: Any = eqx.filter_eval_shape(make, jax.random.key(0)) if callable(make) else None
    if not isinstance(shapes, eqx.Module):
        remedy = "Write lambda key: eqx.nn.MLP(5, 1, 64, 3, key=key)."
        raise SpecError(f"make={make!r}", "a function key -> equinox module", remedy)
    fixed = eqx.filter(shapes, lambda leaf: not isinstance(leaf, jax.ShapeDtypeStruct))

    def init(key: jax.Array, *arrays: Any) -> tuple[Any, Any]:
        return eqx.partition(eqx.filter(make(key), eqx.is_array), eqx.is_inexact_array)

    def apply(parameters: Any, others: Any, key: jax.Array, *arrays: Any) -> Any:
        return jax.vmap(eqx.combine(parameters, others, fixed))(*arrays)

    text = label or type(shapes).__name__
    source = (make, input_shape, str(jnp.dtype(dtype)))
    return of_batch(text, init, apply, source, input_shape, dtype)


def from_haiku(
    transformed: Any,
    *,
    input_shape: tuple[int, ...] | None = None,
    dtype: DTypeLike = "float32",
    label: str | None = None,
) -> Network:
    """Network of `haiku.transform` or `haiku.transform_with_state` of a function of a batch.

    Args:
        transformed: with `init(key, *arrays)` and `apply(parameters[, state], key, *arrays)`.
        input_shape, dtype, label: as for `batch_network`; default label "haiku".
    """
    kind = type(transformed).__name__
    if kind not in ("Transformed", "TransformedWithState"):
        given = f"an object of type {kind}"
        raise SpecError(given, "hk.transform(f) or hk.transform_with_state(f)", "Transform it.")
    has_state = kind == "TransformedWithState"

    def init(key: jax.Array, *arrays: Any) -> tuple[Any, Any]:
        found = transformed.init(key, *arrays)
        return found if has_state else (found, ())

    def apply(parameters: Any, others: Any, key: jax.Array, *arrays: Any) -> Any:
        if has_state:
            return transformed.apply(parameters, others, key, *arrays)[0]
        return transformed.apply(parameters, key, *arrays)

    source = (transformed.init, transformed.apply, input_shape, str(jnp.dtype(dtype)))
    return of_batch(label or "haiku", init, apply, source, input_shape, dtype)


def of_batch(
    label: str,
    init: Callable[..., tuple[Any, Any]],
    apply: Callable[..., Any],
    source: Any,
    input_shape: tuple[int, ...] | None,
    dtype: DTypeLike,
) -> Network:
    """Network of `Batch.init` and `Batch.apply`; one input is a batch of one."""
    arranged = functools.partial(_arranged, input_shape, dtype)

    def init_one(key: jax.Array, input_width: int) -> Any:
        return init(key, *arranged(np.zeros((1, input_width))))

    def apply_one(variables: Any, x: jax.Array) -> jax.Array:
        outputs = apply(*variables, jax.random.key(0), *arranged(x[None]))
        return outputs.reshape(-1)

    return named(label, init_one, apply_one, source, Batch(init, apply, arranged))


def _arranged(input_shape: tuple[int, ...] | None, dtype: Any, rows: Any) -> tuple[Any, ...]:
    shape = rows.shape[1:] if input_shape is None else input_shape
    if int(np.prod(shape)) != rows.shape[1]:
        given = f"inputs of {rows.shape[1]} numbers for the input shape {shape}"
        remedy = "Give the shape of one input, without the batch."
        raise SpecError(given, f"{int(np.prod(shape))} numbers", remedy)
    return (jnp.asarray(rows, dtype).reshape(len(rows), *shape),)
