"""Empirical kernels of finite networks by neural-tangents."""

import contextlib
import inspect
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from deepinit.core import validate
from deepinit.core.typing import Array, Float, KeyLike, Like, Plain, PyTree, Shaped
from deepinit.infinite_width.neural_tangents import load, require_structured_derivatives
from deepinit.infinite_width.precision import host_float64

IMPLEMENTATIONS = ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES", "AUTO")
DTYPES = ("float32", "float64")
Implementation = Literal[
    "JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES", "AUTO"
]


def empirical_ntk(
    apply_fn: Callable[[PyTree, Array], Array],
    params: PyTree,
    x: Shaped[Array, "num ..."] | Plain,
    *,
    implementation: Implementation = "STRUCTURED_DERIVATIVES",
    dtype: str = "float64",
) -> Float[np.ndarray, "num num"]:
    """NTK of one network: mean over outputs k of sum_p (df_k(x)/dp) (df_k(x')/dp).

    Args:
        apply_fn: `apply_fn(params, x)`, batched over rows, to [num, outputs].
        params: a pytree in the kernel's parametrization; integer and boolean leaves are not
            trained.
        x: [num, ...]; integers (tokens) stay integers.
        implementation: structured derivatives are fastest for dense networks.
        dtype: `float64` on the host, `float32` on the default device.

    Returns:
        [num, num] in that dtype.

    Raises:
        ResourceError: neural-tangents, or its structured derivatives, do not work.

    Valid for: any width; rows that do not interact (no batch norm).

    Reference: arXiv 2206.08720.
    """
    validate.choice("implementation", implementation, IMPLEMENTATIONS)
    with _precision(dtype):
        import jax

        if implementation in ("STRUCTURED_DERIVATIVES", "AUTO"):
            require_structured_derivatives()
        nt = load()
        params, x = jax.tree_util.tree_map(lambda leaf: in_dtype(leaf, dtype), (params, x))
        trained, with_trained = trained_leaves(params)
        kernel_fn = nt.empirical_ntk_fn(
            lambda leaves, rows: apply_fn(with_trained(leaves), rows),
            implementation=nt.NtkImplementation[implementation],
            vmap_axes=0,
        )
        # AUTO compiles and counts its candidates, which fails with traced arguments.
        run = kernel_fn if implementation == "AUTO" else jax.jit(kernel_fn, static_argnums=1)
        return np.asarray(run(x, None, trained))


def monte_carlo_kernel(
    init_fn: Callable[..., Any],
    apply_fn: Callable[..., Any],
    x: Shaped[Array, "num ..."] | Plain,
    *,
    key: KeyLike,
    num_seeds: int,
    kind: Literal["nngp", "ntk"] = "ntk",
    dtype: str = "float64",
) -> Float[np.ndarray, "num num"]:
    """Mean over random networks of the empirical NNGP or NTK, by neural-tangents.

    Args:
        init_fn: neural-tangents' `init_fn(key, input_shape)` -> (output_shape, params).
        apply_fn: `apply_fn(params, x)`.
        x: [num, ...].
        key: a raw `jax.random.PRNGKey`.
        num_seeds: networks, >= 1.
        dtype: as in `empirical_ntk`.

    Returns:
        [num, num], without standard error; error O(1/sqrt(num_seeds)).

    Raises:
        ResourceError: neural-tangents does not work.

    Reference: arXiv 1912.02803.
    """
    validate.choice("kind", kind, ("nngp", "ntk"))
    validate.num_seeds(num_seeds)
    with _precision(dtype):
        # neural-tangents calls with further keywords (rng), which only its own layers take
        takes_them = _takes_keywords(apply_fn)
        with_keywords = apply_fn if takes_them else lambda params, rows, **_: apply_fn(params, rows)
        kernel_fn = load().monte_carlo_kernel_fn(
            init_fn, with_keywords, key, num_seeds, vmap_axes=0
        )
        return np.asarray(kernel_fn(in_dtype(x, dtype), None, kind))


def in_dtype(leaf: Shaped[Array, "*shape"] | Plain, dtype: str) -> Shaped[Like, "*shape"]:
    """Array of that dtype; integers and booleans unchanged."""
    import jax.numpy as jnp

    leaf = jnp.asarray(leaf)
    return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf


def trained_leaves(params: PyTree) -> tuple[list[Any], Callable[[Any], Any]]:
    """The floating-point leaves, and a function that restores the tree."""
    import jax
    import jax.numpy as jnp

    leaves, tree = jax.tree_util.tree_flatten(params)
    places = [
        place
        for place, leaf in enumerate(leaves)
        if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
    ]

    def with_trained(trained: Any) -> Any:
        filled = list(leaves)
        for place, leaf in zip(places, trained, strict=True):
            filled[place] = leaf
        return jax.tree_util.tree_unflatten(tree, filled)

    return [leaves[place] for place in places], with_trained


def _takes_keywords(fn: Callable[..., Any]) -> bool:
    kinds = [parameter.kind for parameter in inspect.signature(fn).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds or "rng" in inspect.signature(fn).parameters


def _precision(dtype: str) -> contextlib.AbstractContextManager[None]:
    validate.choice("dtype", dtype, DTYPES)
    return host_float64() if dtype == "float64" else contextlib.nullcontext()
