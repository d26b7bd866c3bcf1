"""NNGP and NTK kernels of every layer at infinite width, by our own recursion: see `pairs` and `duals` for the formulas."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP, Spec
from deepinit.infinite_width.limits import checked_limit
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.residual_parts import PARAMETERS, trained_flags

if TYPE_CHECKING:
    from deepinit.infinite_width.pairs import Rows, Shares


_BATCH = 2**20  # numbers of input rows that are compared at a time
_BLOCK = 320  # rows of a block of a kernel


class KernelLayers(NamedTuple):
    """Kernels of the preactivations z^1, ..., z^depth, and of the outputs last if the spec has an output layer.

    Of a residual network: of the stream x^1, ..., x^depth after every block (averaged over the positions of an image), and of the outputs.

    Attributes:
        nngp: [layers, num, num]: K^l, the covariance of one neuron's preactivations; of a stream its second moment.
        ntk: [layers, num, num]: Theta^l, of one neuron, in NTK parametrization.
    """

    nngp: Any
    ntk: Any


def check_output_layer(spec: Spec) -> None:
    """Refuses an MLP whose last layer is hidden: its kernels are those of preactivations, and its NTK is not that of what it returns."""
    if isinstance(spec, MLP) and spec.output_width is None:
        raise SpecError(
            "the kernels at infinite width of an MLP without an output layer",
            "networks that end in a linear map",
            "Write output_width=1.",
        )


def layer_variances(spec: Spec, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    """Weight variances times fan_in, and bias variances, of every layer, the output layer last.

    Args:
        spec: the network; its widths matter only for a law whose scaling is `absolute`.
        dimension: number of input coordinates.

    Returns:
        Two arrays [depth], or [depth + 1] with an output layer.

    Raises:
        SpecError: a spec that is no MLP; biases that are not Gaussian (constant ones among them), with which preactivations are not either.
    """
    if not isinstance(spec, MLP):
        raise SpecError(
            f"a {type(spec).__name__}, for a quantity of fully connected networks at infinite width",
            "an MLP",
            "Kernels of residual networks: deepinit.infinite_width.recursion.kernel_layers. Else simulate it.",
        )
    if spec.bias_law is not None and not spec.bias_law.is_symmetric:
        raise SpecError(
            f"biases that are all {spec.bias_law.value:g}, at infinite width",
            "biases symmetric about 0",
            "Simulate; or take random biases of the same size.",
        )
    if spec.bias_law is not None and not spec.bias_law.is_gaussian:
        raise SpecError(
            f"biases of the law {spec.bias_law.name!r}, at infinite width",
            "Gaussian biases: others leave preactivations that are not Gaussian, however wide the network",
            f"Take di.normal({spec.bias_law.variance:g}, 'absolute'), or simulate.",
        )
    assert spec.weight_law is not None
    fan_ins = (dimension, *spec.widths)
    laws = [spec.weight_law] * spec.depth + (
        [spec.output_law] if spec.output_law is not None else []
    )
    weight_vars = [
        law.entry_variance(fan_in, spec.depth) * fan_in
        for law, fan_in in zip(laws, fan_ins[: len(laws)], strict=True)
    ]
    bias_var = 0.0 if spec.bias_law is None else spec.bias_law.entry_variance(1)
    return np.asarray(weight_vars, np.float64), np.full(len(laws), bias_var)


def kernel_layers(
    spec: Spec, x: np.ndarray, *, trained: tuple[str, ...] = PARAMETERS, last_only: bool = False
) -> KernelLayers:
    """NNGP kernel K^l and NTK Theta^l of every layer, all widths infinite.

    K^1 = w_1 x.x'/n_0 + b_1, K^{l+1} = w_{l+1} E[phi(u) phi(v)] + b_{l+1} with (u, v) ~ N(0, K^l);
    Theta^1 = K^1, Theta^{l+1} = K^{l+1} + w_{l+1} E[phi'(u) phi'(v)] Theta^l. Here w_l is the weight variance times fan_in, b_l
    the bias variance, n_0 the dimension. The diagonal is computed by itself, exactly. Residual networks, fully connected or
    convolutional: the recursion of `residual`, which also has means and kernels by position.

    Args:
        spec: the network; per-layer laws follow from its laws' scalings.
        x: [num, dimension], finite rows.
        trained: whose gradients the tangent kernel adds up: "weights" of the hidden layers, "biases" of all layers, "output" (its weights);
            of residual networks "embedding" and "branch" too. All of them by default.
        last_only: return the last layer alone, [1, num, num]; of an MLP the others are then never stored.

    Returns:
        Two arrays [depth (+1 with an output layer), num, num], float64. Closed form for homogeneous activations; else
        2-D quadrature, to about 1e-9 for preactivation variances up to 1e6. A row of zeros has kernel w 0 + b.

    Raises:
        SpecError: the quadrature does not resolve the activation; x is not a matrix of finite numbers; an unknown name in `trained`; a kernel that is not finite; of residual
            networks, what `residual.residual_layers` refuses.

    Valid for: any law of the weights with independent centred entries (also orthogonal) and Gaussian biases, widths to infinity one after the
        other or together at fixed depth; finite networks differ by O(depth/width). Weights that are not Gaussian also need many
        input coordinates: the first layer adds up over those, and is as far from Gaussian as such a sum.

    Reference: arXiv 1711.00165 (NNGP), arXiv 1806.07572 (NTK), Cho & Saul 2009 (arc-cosine formulas); derivation of the
        numerically stable form in the docstrings of `pairs` and `duals`.
    """
    if not isinstance(spec, MLP):
        from deepinit.infinite_width.residual import residual_layers

        streams = residual_layers(spec, x, trained=trained)
        kept = slice(-1 if last_only else None, None)
        return KernelLayers(streams.nngp[kept], streams.ntk[kept])
    x, flags = checked_rows(x), trained_flags(trained)
    weight_vars, bias_vars = layer_variances(spec, x.shape[1])
    weights = np.array(
        [flags.weights] * spec.depth + [flags.output] * (len(weight_vars) - spec.depth)
    )
    with host_float64():
        import jax.numpy as jnp

        from deepinit.infinite_width.pairs import Shares
        from deepinit.infinite_width.resolution import check_resolution

        activated = weight_vars[:-1], bias_vars[:-1]
        check_resolution(spec.activation, np.mean(x**2, axis=1), *activated)
        shares = Shares(jnp.asarray(weights), jnp.full(len(bias_vars), flags.biases))
        layers = (jnp.asarray(weight_vars), jnp.asarray(bias_vars), shares)
        kernels = _in_blocks(spec.activation, x, layers, last_only)
        return checked_limit(kernels, along="" if last_only else "layer", is_kernel=True)


def _in_blocks(activation, x: np.ndarray, layers: tuple, last_only: bool) -> KernelLayers:
    """`kernel_scan` block by block of the symmetric matrices: memory of a program is that of one block."""
    import jax

    num = len(x)
    num_blocks = -(-num // _BLOCK)
    size = -(-num // num_blocks)
    # All blocks have one size, so that two programs are compiled; the last one overlaps the one before.
    starts = [min(index * size, num - size) for index in range(num_blocks)]
    depth = 1 if last_only else len(layers[0])
    kernels = KernelLayers(*(np.empty((depth, num, num)) for _ in KernelLayers._fields))
    square, rectangle = (
        jax.jit(fn, static_argnums=(0, 1)) for fn in (_square_block, _rectangle_block)
    )
    for index, start in enumerate(starts):
        rows = slice(start, start + size)
        for other in starts[: index + 1]:
            columns = slice(other, other + size)
            if other == start:
                block = square(activation, last_only, x[rows], *layers)
            else:
                block = rectangle(activation, last_only, x[rows], x[columns], *layers)
            for kernel, part in zip(kernels, block, strict=True):
                kernel[:, rows, columns] = np.asarray(part)
                if other != start:
                    kernel[:, columns, rows] = kernel[:, rows, columns].swapaxes(1, 2)
    return kernels


def _square_block(activation, last_only, x, *layers) -> KernelLayers:
    return _kept(kernel_scan(activation, x, *layers), last_only)


def _rectangle_block(activation, last_only, x, others, *layers) -> KernelLayers:
    import jax.numpy as jnp

    from deepinit.infinite_width.pairs import propagate

    shape = (len(x), len(others))
    first, second = (grid.ravel() for grid in jnp.meshgrid(*map(jnp.arange, shape), indexing="ij"))
    rows = rows_of_pairs(jnp.concatenate([x, others]), first, len(x) + second)
    found = propagate(activation, rows, *layers)
    kernels = KernelLayers(found.covariance.reshape(-1, *shape), found.pair_ntk.reshape(-1, *shape))
    return _kept(kernels, last_only)


def _kept(kernels: KernelLayers, last_only: bool) -> KernelLayers:
    return KernelLayers(*(kernel[-1:] for kernel in kernels)) if last_only else kernels


def kernel_scan(
    activation, x, weight_vars, bias_vars, shares: "Shares | None" = None
) -> KernelLayers:
    """`kernel_layers` for use under jit, vmap and grad: hyperparameters are arrays, so that a sweep compiles once.

    Derivatives in x, weight_vars and bias_vars are finite for every activation and all rows (`price`, `kink_terms`). They are
    the derivatives, except where there is none, because phi' jumps (relu) or has a kink (softsign):

    - NTK at equal, parallel and opposite rows: one-sided derivatives differ; their mean is returned.
    - A zero row with bias variances 0, in that row, and a kink at 0: a cone like the norm, which counts as 0.
    - bias_vars at 0: infinite slopes, of the NTK at parallel rows of different norms and at opposite rows, and, with a kink at 0,
      of both kernels at a zero row. The terms without a limit are left out; such entries need a positive bias variance.

    Second derivatives: of smooth and of homogeneous activations likewise; of others at rows that are not collinear.

    Args:
        activation: static.
        x: [num, dimension].
        weight_vars: [layers], variance of a weight times fan_in.
        bias_vars: [layers].
        shares: of every layer's weights and biases in the NTK; None for all of them.

    Returns:
        JAX arrays [layers, num, num], in the precision of x; call it inside `host_float64()`.
    """
    import jax.numpy as jnp

    from deepinit.infinite_width.pairs import propagate

    num = x.shape[0]
    rows = rows_of_points(x)
    layers = propagate(activation, rows, weight_vars, bias_vars, shares)

    def matrix(points, pairs):
        upper = (
            jnp.zeros((points.shape[0], num, num), points.dtype)
            .at[:, rows.first, rows.second]
            .set(pairs)
        )
        return upper + upper.swapaxes(1, 2) + points[:, :, None] * jnp.eye(num, dtype=points.dtype)

    return KernelLayers(
        matrix(layers.variance, layers.covariance), matrix(layers.point_ntk, layers.pair_ntk)
    )


def rows_of_points(x) -> "Rows":
    """Every point, and every pair of two of them."""
    first, second = _pairs_above_diagonal(x.shape[0])
    return rows_of_pairs(x, first, second)


def rows_of_pairs(x, first, second) -> "Rows":
    """Every point, and the pairs of points that `first` and `second` [pairs] count."""
    import jax
    import jax.numpy as jnp

    from deepinit.infinite_width.pairs import Rows

    def pair(indices):
        start, partner = x[indices[0]], x[indices[1]]
        difference = partner - start
        growth, covariance = jnp.mean(difference * (start + partner)), jnp.mean(start * partner)
        return (
            growth,
            covariance,
            jax.tree.map(lambda part: part[0], half_angle(start[None], difference[None])),
        )

    # in batches: rows of all pairs at once would take [pairs, dimension]
    growth, covariance, angle = jax.lax.map(
        pair, (first, second), batch_size=max(1, _BATCH // x.shape[1])
    )
    return Rows(jnp.mean(x**2, axis=1), growth, angle, covariance, first, second)


def _pairs_above_diagonal(num: int):
    """`np.triu_indices(num, 1)` computed in the program, of which it is no constant: [pairs] twice."""
    import jax.numpy as jnp

    counts = jnp.arange(num - 1, -1, -1)
    total = num * (num - 1) // 2
    first = jnp.repeat(jnp.arange(num), counts, total_repeat_length=total)
    return first, jnp.arange(total) - (jnp.cumsum(counts) - counts)[first] + first + 1


def half_angle(points, displacements):
    """The half angle between points and points + displacements, [pairs], by Kahan's formula in the displacement."""
    import jax.numpy as jnp

    from deepinit.infinite_width.duals import HalfAngle
    from deepinit.infinite_width.quadrature import root

    partners = points + displacements
    norm_1, norm_2 = (root(jnp.sum(rows**2, axis=1, keepdims=True)) for rows in (points, partners))
    total = norm_1 + norm_2
    growth = jnp.sum(displacements * (points + partners), axis=1, keepdims=True) / jnp.where(
        total > 0, total, 1.0
    )
    minus = jnp.sum((growth * points - norm_1 * displacements) ** 2, axis=1)
    plus = jnp.sum((norm_2 * points + norm_1 * partners) ** 2, axis=1)
    whole = jnp.where(minus + plus > 0, minus + plus, 1.0)
    return HalfAngle(minus / whole, plus / whole)


def checked_rows(x: np.ndarray) -> np.ndarray:
    """x as float64 [num, dimension].

    Raises:
        SpecError: it is not a matrix of finite numbers.
    """
    rows = validate.real_numbers(x)
    if rows is None:
        raise SpecError(
            "inputs that are no array of real numbers",
            "a matrix [num, dimension]",
            "Convert them to floats first.",
        )
    if rows.ndim != 2 or 0 in rows.shape or not np.isfinite(rows).all():
        raise SpecError(
            f"inputs of shape {rows.shape}{'' if np.isfinite(rows).all() else ' with values that are not finite'}",
            "a matrix [num, dimension] of finite numbers, one input a row",
            "Flatten images: x.reshape(len(x), -1).",
        )
    return rows
