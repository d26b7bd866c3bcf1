"""Empirical kernels of finite networks by neural-tangents."""

import contextlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Like, Plain, PyTree, Shaped
from deepinit.infinite_width.blocks import equal_slices
from deepinit.infinite_width.neural_tangents import neural_tangents, require_structured_derivatives
from deepinit.infinite_width.precision import host_float64

IMPLEMENTATIONS = ("JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES", "AUTO")
DTYPES = ("float32", "float64")
Implementation = Literal[
    "JACOBIAN_CONTRACTION", "NTK_VECTOR_PRODUCTS", "STRUCTURED_DERIVATIVES", "AUTO"
]
Outputs = Literal["mean", "each", "pairs"]
AXES: dict[str, dict[str, tuple[int, ...]]] = {
    "mean": {"trace_axes": (-1,), "diagonal_axes": ()},
    "each": {"trace_axes": (), "diagonal_axes": (-1,)},
    "pairs": {"trace_axes": (), "diagonal_axes": ()},
}


def empirical_ntk(
    apply_fn: Callable[[PyTree, Array], Array],
    params: PyTree,
    x: Shaped[Array, "num ..."] | Plain,
    x2: Shaped[Array, "others ..."] | Plain | None = None,
    *,
    outputs: Outputs = "mean",
    diagonal: bool = False,
    batch: int | None = None,
    implementation: Implementation = "STRUCTURED_DERIVATIVES",
    dtype: str = "float64",
) -> np.ndarray:
    """NTK of one network: sum_p (df_k(x)/dp) (df_l(x')/dp), for the outputs k, l.

    Args:
        apply_fn: `apply_fn(params, x)`, batched over rows, to [num, outputs].
        params: a pytree in the kernel's parametrization; integer and boolean leaves are not
            trained.
        x: integers (tokens) stay integers.
        x2: None for x.
        outputs: `mean` over k = l; `each` k = l; `pairs`, all k and l.
        diagonal: only pairs of a row with itself.
        batch: rows of a block, to bound memory; None for all.
        implementation: structured derivatives are fastest for dense networks.
        dtype: `float64` on the host, `float32` on the default device.

    Returns: [num, num2], [num, num2, outputs] or [num, num2, outputs, outputs] in that dtype;
        `diagonal`: without the second axis.
    Raises SpecError: `diagonal` with x2. ResourceError: neural-tangents or its structured
        derivatives do not work.
    Valid for: any width; rows that do not interact (no batch norm).
    Reference: arXiv 2206.08720.
    """
    validate.choice("implementation", implementation, IMPLEMENTATIONS)
    axes = AXES[validate.choice("outputs", outputs, tuple(AXES))]
    if diagonal and x2 is not None:
        raise SpecError("diagonal=True with x2", "x2=None", "Leave x2 out.")
    with _precision(dtype):
        import jax

        if implementation in ("STRUCTURED_DERIVATIVES", "AUTO"):
            require_structured_derivatives()
        params, x = jax.tree_util.tree_map(lambda leaf: in_dtype(leaf, dtype), (params, x))
        trained, with_trained = trained_leaves(params)
        kernel_fn = neural_tangents().empirical_ntk_fn(
            lambda leaves, rows: apply_fn(with_trained(leaves), rows),
            implementation=neural_tangents().NtkImplementation[implementation],
            vmap_axes=0,
            **axes,
        )
        # AUTO compiles and counts its candidates, which fails with traced arguments.
        run = kernel_fn if implementation == "AUTO" else jax.jit(kernel_fn)
        if diagonal:
            rows = [run(row[None], None, trained)[0, 0] for row in np.asarray(x)]
            return np.stack([np.asarray(row) for row in rows])
        x2 = None if x2 is None else in_dtype(x2, dtype)
        if batch is None:
            return np.asarray(run(x, x2, trained))
        return _in_blocks(run, x, x2, trained, validate.integer("batch", batch, 1))


def _in_blocks(run: Callable[..., Any], x: Any, x2: Any, trained: Any, batch: int) -> np.ndarray:
    """Blocks of rows; without x2 the upper ones are transposes."""
    others, result = x if x2 is None else x2, None
    for left in equal_slices(len(x), batch):
        for right in equal_slices(len(others), batch):
            if x2 is None and right.start > left.start:
                continue
            block = np.asarray(run(x[left], others[right], trained))
            if result is None:
                result = np.empty((len(x), len(others), *block.shape[2:]), block.dtype)
            result[left, right] = block
            if x2 is None and right != left:
                turned = block.swapaxes(0, 1)
                result[right, left] = turned.swapaxes(2, 3) if turned.ndim == 4 else turned
    assert result is not None
    return result


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


def _precision(dtype: str) -> contextlib.AbstractContextManager[None]:
    validate.choice("dtype", dtype, DTYPES)
    return host_float64() if dtype == "float64" else contextlib.nullcontext()
