"""NNGP and NTK of every layer at infinite width.

Residual networks: by the interpreter. MLPs: by `pairs`, which it does not replace: half angles keep
tiny angles at any depth, kernels have derivatives, layers of different variances take one scan.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepinit.core.by_kind import by_kind
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP, ConvResNet, ResNet, Spec
from deepinit.core.typing import Array, Float, Like, Plain, Real
from deepinit.infinite_width.blocks import equal_slices
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.residual import PARAMETERS, checked_trained
from deepinit.infinite_width.validate import checked_limit, checked_rows

if TYPE_CHECKING:
    from deepinit.infinite_width.pairs import OwnParts

RowsFn = Callable[[Any], Any]  # of `pairs.Rows`
_BLOCK = 320  # rows of a block of a kernel


class KernelLayers(NamedTuple):
    """Kernels of the preactivations z^1, ..., z^depth and outputs, NTK parametrization.

    `nngp`: covariance of one neuron. Residual networks: second moment of the stream x^1, ...,
    x^depth, averaged over positions.
    """

    nngp: Float[Like, "layers num num"]
    ntk: Float[Like, "layers num num"]


def check_output_layer(spec: Spec) -> None:
    """Refuse an MLP without an output layer."""
    if isinstance(spec, MLP) and spec.output_width is None:
        given = "the kernels at infinite width of an MLP without an output layer"
        raise SpecError(given, "networks that end in a linear map", "Write output_width=1.")


def layer_variances(
    spec: Spec, dimension: int
) -> tuple[Float[np.ndarray, "layers"], Float[np.ndarray, "layers"]]:
    """Weight variances times fan_in, and bias variances: [depth (+1 with an output layer)].

    Widths matter only for scaling `absolute`.
    Raises SpecError: no MLP; non-Gaussian biases.
    """
    if not isinstance(spec, MLP):
        given = f"a {type(spec).__name__}, for a quantity of fully connected networks"
        remedy = "Kernels of residual networks: infinite_width.recursion.kernel_layers."
        raise SpecError(given, "an MLP", remedy)
    bias = spec.bias_law
    if bias is not None and not bias.is_symmetric:
        given = f"biases that are all {bias.value:g}, at infinite width"
        raise SpecError(given, "biases symmetric about 0", "Simulate, or take random biases.")
    if bias is not None and not bias.is_gaussian:
        given = f"biases of the law {bias.name!r}, whose preactivations are not Gaussian"
        remedy = f"Take di.normal({bias.variance:g}, 'absolute'), or simulate."
        raise SpecError(given, "Gaussian biases", remedy)
    assert spec.weight_law is not None
    laws = [spec.weight_law] * spec.depth + ([spec.output_law] if spec.output_law else [])
    weight_vars = [
        law.entry_variance(fan_in, spec.depth) * fan_in
        for law, fan_in in zip(laws, (dimension, *spec.widths), strict=False)
    ]
    bias_var = 0.0 if bias is None else bias.entry_variance(1)
    return np.asarray(weight_vars, np.float64), np.full(len(laws), bias_var)


def kernel_layers(
    spec: Spec,
    x: Real[Array, "num dimension"] | Plain,
    *,
    trained: tuple[str, ...] = PARAMETERS,
    last_only: bool = False,
) -> KernelLayers:
    """NNGP kernel K^l and NTK Theta^l of every layer at infinite width, in float64.

    K^1 = w_1 x.x'/n_0 + b_1, K^{l+1} = w_{l+1} E[phi(u) phi(v)] + b_{l+1} with (u, v) ~ N(0, K^l);
    Theta^1 = K^1, Theta^{l+1} = K^{l+1} + w_{l+1} E[phi'(u) phi'(v)] Theta^l; w_l the weight
    variance times fan_in, b_l the bias variance. [depth (+1 with an output layer), num, num].
    Residual networks: `residual`.

    `trained`, in the NTK: hidden "weights", all "biases", "output" weights; residual networks also
    "embedding", "branch". `last_only`: only the last layer.
    Raises SpecError: unresolved activation; kernels not finite; `residual_layers`.
    Valid for: independent centred or orthogonal weights, Gaussian biases, widths to infinity (in
        any order) at fixed depth; error O(depth/width). Non-Gaussian weights: many input
        coordinates. Homogeneous activations: closed form, 1e-13. Others: 2-D quadrature, checked in
        every layer; relative error a layer below 1e-9 for preactivation variances up to 10 (sin),
        30 (softsign), 1e3 (elu, celu, selu), 1e6 (other built-ins), else below 1e-5. Errors add up
        over layers, and grow like perturbations of the variance.
    Reference: arXiv 1711.00165 (NNGP), arXiv 1806.07572 (NTK), Cho & Saul 2009 (arc-cosine); stable
        form: `pairs`, `duals`.
    """
    layers: KernelLayers = _kernel_layers(spec, x, trained, last_only)
    return layers


def _residual_kernels(
    spec: ResNet | ConvResNet, x: np.ndarray, trained: tuple[str, ...], last_only: bool
) -> KernelLayers:
    from deepinit.infinite_width.residual import residual_layers

    streams = residual_layers(spec, x, trained=trained)
    return _selected(KernelLayers(streams.nngp, streams.ntk), last_only)


def _mlp_kernels(
    spec: MLP, x: np.ndarray, trained: tuple[str, ...], last_only: bool
) -> KernelLayers:
    x, groups = checked_rows(x), checked_trained(trained)
    weight_vars, bias_vars = layer_variances(spec, x.shape[1])
    weights = np.full(len(weight_vars), "weights" in groups)
    weights[spec.depth :] = "output" in groups
    with host_float64():
        from deepinit.infinite_width.pairs import OwnParts
        from deepinit.infinite_width.resolution import check_resolution

        activated = weight_vars[:-1], bias_vars[:-1]
        check_resolution(spec.activation, np.mean(x**2, axis=1), *activated)
        own = OwnParts(weights * weight_vars, ("biases" in groups) * bias_vars)
        kernels = in_blocks(spec.activation, x, (weight_vars, bias_vars, own), last_only)
        return checked_limit(kernels, along="" if last_only else "layer", is_kernel=True)


_kernel_layers = by_kind(
    "kernels at infinite width",
    {MLP: _mlp_kernels, ResNet: _residual_kernels, ConvResNet: _residual_kernels},
)


def in_blocks(activation, x: np.ndarray, layers: tuple, last_only: bool) -> KernelLayers:
    """`kernel_scan` by blocks of rows, to bound memory; in `host_float64`."""
    import jax

    layers = jax.tree.map(jax.numpy.asarray, layers)

    num = len(x)
    slices = list(equal_slices(num, _BLOCK))
    depth = 1 if last_only else len(layers[0])
    kernels = KernelLayers(*(np.empty((depth, num, num)) for _ in KernelLayers._fields))
    square, rectangle = (
        jax.jit(fn, static_argnums=(0, 1)) for fn in (_square_block, _rectangle_block)
    )
    for index, rows in enumerate(slices):
        for columns in slices[: index + 1]:
            if columns == rows:
                block = square(activation, last_only, x[rows], *layers)
            else:
                block = rectangle(activation, last_only, x[rows], x[columns], *layers)
            for kernel, part in zip(kernels, block, strict=True):
                kernel[:, rows, columns] = np.asarray(part)
                if columns != rows:
                    kernel[:, columns, rows] = kernel[:, rows, columns].swapaxes(1, 2)
    return kernels


def _square_block(activation, last_only, x, *layers) -> KernelLayers:
    return _selected(kernel_scan(activation, x, *layers), last_only)


def _rectangle_block(activation, last_only, x, others, *layers) -> KernelLayers:
    import jax.numpy as jnp

    from deepinit.infinite_width.pairs import propagate, rows_of_pairs

    shape = (len(x), len(others))
    first, second = (grid.ravel() for grid in jnp.meshgrid(*map(jnp.arange, shape), indexing="ij"))
    rows = rows_of_pairs(jnp.concatenate([x, others]), first, len(x) + second)
    result = propagate(activation, rows, *layers)
    kernels = result.covariance, result.pair_ntk
    return _selected(KernelLayers(*(pairs.reshape(-1, *shape) for pairs in kernels)), last_only)


def _selected(kernels: KernelLayers, last_only: bool) -> KernelLayers:
    return KernelLayers(*(kernel[-1:] for kernel in kernels)) if last_only else kernels


def kernel_scan(
    activation, x, weight_vars, bias_vars, own: "OwnParts | None" = None
) -> KernelLayers:
    """`kernel_layers` under jit (static activation), vmap and grad, without checks.

    In the precision of x: call inside `host_float64()`. weight_vars times fan_in; `own` parts of
    the NTK, None for all. Derivatives in x, weight_vars and bias_vars are finite at all rows. Where
    phi' jumps (relu) or has a kink (softsign):
    - NTK at collinear rows: mean of the one-sided derivatives.
    - Zero row, zero bias variances, kink at 0: 0 in that row.
    - bias_vars at 0: infinite slopes of the NTK (parallel rows of different norms, opposite rows)
      and, with a kink at 0, of both kernels at a zero row. Divergent terms are left out; use a
      positive bias variance.
    Second derivatives: likewise for smooth and homogeneous activations; others at rows not
    collinear.
    """
    from deepinit.infinite_width.pairs import matrices, propagate, rows_of_points

    rows = rows_of_points(x)
    layers = propagate(activation, rows, weight_vars, bias_vars, own)
    return KernelLayers(
        matrices(rows, layers.variance, layers.covariance),
        matrices(rows, layers.point_ntk, layers.pair_ntk),
    )


def pair_layers(
    spec: MLP,
    inputs: Inputs,
    read: Callable[[Any], Any],
    rescaled: Callable[[Any], Any] | None = None,
) -> Float[np.ndarray, "layers pairs"]:
    """`read(rows)` of phi(z^l), l = 1..depth, for points and partners, in float64.

    `rescaled`: of the preactivations. Both functions of a module: one compilation for all calls.
    Raises SpecError: `layer_variances`; unresolved activation.
    """
    layers = [array[: spec.depth] for array in layer_variances(spec, inputs.dimension)]
    with host_float64():
        import jax

        from deepinit.infinite_width.pairs import rows_of_inputs
        from deepinit.infinite_width.resolution import check_resolution

        rows = rows_of_inputs(inputs)
        check_resolution(spec.activation, rows.variance, *layers, with_derivative=False)
        run = jax.jit(_pair_scan, static_argnums=(0, 1, 2))
        return np.asarray(run(spec.activation, read, rescaled, rows, *layers))


def _pair_scan(activation, read, rescaled, rows, weight_vars, bias_vars):
    import jax

    from deepinit.infinite_width.pairs import affine, nonlinearity

    def layer(rows, variances):
        before = affine(rows, *variances)
        after = nonlinearity(activation, rescaled(before) if rescaled else before)[0]
        return after, read(after)

    return jax.lax.scan(layer, rows, (weight_vars, bias_vars))[1]
