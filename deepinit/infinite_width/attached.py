"""A primitive that attaches a derivative rule to precomputed values.

Reverse mode of `lax.scan` drops `jax.custom_jvp` rules: `jax.hessian` would be wrong.
"""

import math
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from deepinit.core.typing import PyTree

Rule = Callable[[Any, Any, Any], Any]


def attach(rule: Rule, static: Hashable, values: PyTree, variables: PyTree) -> PyTree:
    """`values`, with the derivatives of `rule` in `variables`.

    `rule`: `(static, variables, changes) -> changes of the values`, arrays of one axis; calls
    `attach` for second derivatives. `values` have the shape of `variables` and are not
    differentiated.
    """
    flat_values, values_tree = jax.tree.flatten(jax.lax.stop_gradient(values))
    flat_variables, variables_tree = jax.tree.flatten(variables)
    settings = {
        "rule": rule,
        "static": static,
        "num": len(flat_values),
        "trees": (values_tree, variables_tree),
    }
    return jax.tree.unflatten(
        values_tree, _attached.bind(*flat_values, *flat_variables, **settings)
    )


_attached = Primitive("attached_derivatives")
_attached.multiple_results = True


def _values(*arrays: Any, num: int, **_: Any) -> list[Any]:
    return list(arrays[:num])


def _jvp(primals: Any, tangents: Any, **settings: Any) -> tuple[Any, Any]:
    num, trees = settings["num"], settings["trees"]
    values = _attached.bind(*primals, **settings)
    if all(isinstance(change, ad.Zero) for change in tangents[num:]):
        zero = ad.Zero.from_primal_value  # type: ignore[attr-defined]
        return values, [zero(value) for value in values]
    shape, size = jnp.shape(values[0]), math.prod(jnp.shape(values[0]))
    variables, changes = (
        jax.tree.unflatten(
            trees[1], [jnp.reshape(ad.instantiate_zeros(part), size) for part in parts[num:]]
        )
        for parts in (primals, tangents)
    )
    changes = settings["rule"](settings["static"], variables, changes)
    return values, [jnp.reshape(change, shape) for change in jax.tree.leaves(changes)]


def _batched(arrays: Any, axes: Any, **settings: Any) -> tuple[Any, Any]:
    sizes = [
        jnp.shape(array)[axis] for array, axis in zip(arrays, axes, strict=True) if axis is not None
    ]
    fronted = [
        jnp.broadcast_to(array, (sizes[0], *jnp.shape(array)))
        if axis is None
        else jnp.moveaxis(array, axis, 0)
        for array, axis in zip(arrays, axes, strict=True)
    ]
    return _attached.bind(*fronted, **settings), [0] * settings["num"]


_attached.def_impl(_values)
_attached.def_abstract_eval(_values)
mlir.register_lowering(_attached, lambda _, *arrays, **settings: _values(*arrays, **settings))
ad.primitive_jvps[_attached] = _jvp
batching.primitive_batchers[_attached] = _batched
