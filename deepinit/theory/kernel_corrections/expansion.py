"""Kernels of a random network of finite width: mean shift and covariance of NNGP kernel and tangent
kernel to order 1/width.

z^{l+1} = b + W phi(z^l), W_ij ~ N(0, w/n_l), b_i ~ N(0, bias_var). Given layer l the neurons of
layer l + 1 are i.i.d. N(0, G^{l+1}),

    G^{l+1}_ab = bias_var + (w/n_l) sum_j phi(z^l_ja) phi(z^l_jb),      G^1 = K^1 fixed by the inputs,

so that G is a Markov chain; given G^l its mean is bias_var + w g(G^l) and its covariance w^2
C(G^l)/n_l. Laws of total mean and covariance with g expanded to second order about K give, for G =
K + K1 + fluctuations of covariance V,

    K' = bias_var + w g(K),    V' = w^2 (C/n + Jg V Jg^T),    K1' = w (Jg K1 + Hg : V / 2).

Tangent kernel, all parameters trained: of an output neuron, Theta = Theta-hat + fluctuation,
Theta-hat^{l+1} = b_rate + (t/n) sum phi phi + (w/n) sum_k phi'_k phi'_k Theta^l_kk its mean over
the weights of layer l + 1. (G, Theta-hat) obeys the same recursion with the map (g, h) of
`kernel_corrections.recursion`; the fluctuation (w/n)(w_i^T M w_j - delta_ij tr M) has the
covariance B, which is also that of the tangent kernel between two different outputs; and as the
same weights serve forward and backward pass, Theta^l_kk correlates with phi(z_k), by Fc / n, which
adds q = w Fc : E d d (phi' phi') to the mean. Covariances and shifts are those at the given widths:
nothing is left to divide by.
"""

import math
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import default_weight_var
from deepinit.theory.kernel_corrections.criticality import criticality_class
from deepinit.theory.kernel_corrections.four_point import with_vertex
from deepinit.theory.kernel_corrections.layer_moments import entries, layer_moments
from deepinit.theory.kernel_corrections.recursion import LayerScales, State, first_state, next_state
from deepinit.theory.kernel_corrections.result import KernelCorrections
from deepinit.theory.kernel_corrections.validate import (
    Vertex,
    check_memory,
    checked_activation,
    checked_kernel,
    checked_widths,
    per_layer,
)
from deepinit.theory.kernel_corrections.validity import (
    estimated_range,
    range_in_words,
    relative_sizes,
)

_LARGEST_POWER = 70  # of 10: fourth powers of the kernel stay in float64


def kernel_corrections(
    activation: Any,
    first_kernel: Any,
    widths: Any,
    weight_var: Any = None,
    bias_var: Any = 0.0,
    *,
    vertex: Vertex = "pairs",
    first_tangent: Any = None,
    weight_rate: Any = None,
    bias_rate: Any = None,
) -> KernelCorrections:
    """NNGP kernel and tangent kernel of a random MLP at finite width, to first order in 1/width,
    layer by layer.

    Formulas in the module docstring: E G = K + K1 + O(1/n^2), Cov G = V + O(1/n^2), and the same
    for the tangent kernel.

    Args:
        activation: an Activation, a built-in's name or an elementwise JAX function; continuous,
            differentiable between its kinks.
        first_kernel: [k, k] K^1, covariance of the first layer's preactivations: bias_var +
            weight_var x.x / n_0; a number for one input.
        widths: [L] neurons of each hidden layer.
        weight_var: variance times fan_in of the weights that follow a hidden layer, one number or
            [L]; None takes `default_weight_var`.
        bias_var: of the biases that follow a hidden layer, one number or [L].
        vertex: "pairs" for covariances of entries that share their two inputs; "all" for those of
            three and four inputs too.
        first_tangent: [k, k] T^1 of the first layer; None takes K^1 (NTK parametrisation, all
            parameters trained).
        weight_rate, bias_rate: t and b_rate, the learning rates' factors of the weights and biases
            that follow a hidden layer. None takes weight_var and bias_var (NTK parametrisation).
            Standard parametrisation: weight_rate=widths, bias_rate=1, first_tangent = 1 + x.x.
            Without trained biases: bias_rate=0.

    Returns:
        `KernelCorrections`. Relative error of its coefficients 1e-10 (1e-9 with three inputs and vertex="all", `vertex_error` beyond).
        Time per layer: a millisecond for one input; kinks other than one at 0 between two straight
            lines 0.1 s per pair of inputs.

    Raises:
        SpecError: parallel, duplicate or zero inputs; a kernel that is not positive semi-definite;
            an activation with a jump or an undeclared kink; widths with sum 1/width above 3;
            kernels that explode.
        ResourceError: more inputs than the covariances' memory allows.

    Valid for: independent Gaussian weights and biases, all inputs and widths fixed; error O(r^2)
        relative to K, r = sum 1/width, with a constant that depends on the class (`largest_sum`).
        Nearly parallel inputs and kinks: see `angle_spread`.

    Reference: arXiv:2106.10165, chapters 4, 5, 8; arXiv:1910.00019; arXiv:1909.05989; derivation in
    the module docstring.
    """
    first = checked_kernel("first_kernel", first_kernel)
    phi = checked_activation(activation, float(np.max(np.diag(first))))
    sizes = checked_widths(widths)
    depth = len(sizes)
    check_memory(len(first), depth, vertex)
    weights = per_layer(
        "weight_var",
        default_weight_var(phi) if weight_var is None else weight_var,
        depth,
        0.0,
        True,
    )
    biases = per_layer("bias_var", bias_var, depth, 0.0)
    rates = weights if weight_rate is None else per_layer("weight_rate", weight_rate, depth, 0.0)
    bias_rates = biases if bias_rate is None else per_layer("bias_rate", bias_rate, depth, 0.0)
    where = entries(len(first))
    state = first_state(
        first[where.rows, where.columns],
        _first_tangent(first_tangent, first)[where.rows, where.columns],
    )

    states, error = [], 0.0
    for layer, width in enumerate(sizes):
        moments = layer_moments(phi, state.kernel, where)
        if vertex == "all":
            moments, new = with_vertex(moments, phi, state.kernel, where)
            error = max(error, new)
        scales = LayerScales(
            float(width), weights[layer], biases[layer], rates[layer], bias_rates[layer]
        )
        state = next_state(state, moments, scales, where)
        diagonal = state.kernel[where.diagonal]
        if not (
            np.isfinite(state.kernel).all()
            and np.isfinite(state.tangent).all()
            and (np.abs(np.log10(diagonal)) < _LARGEST_POWER).all()
        ):
            raise SpecError(
                f"kernels of {diagonal.max():.3g} after hidden layer {layer + 1}",
                f"variances between 1e-{_LARGEST_POWER} and 1e{_LARGEST_POWER}",
                f"Take a weight variance nearer to the critical one, or at most {layer} layers.",
            )
        states.append(state)

    kind = criticality_class(
        phi, float(weights[0]), float(biases[0]), mean_square=float(first[0, 0])
    )
    between = slice(
        0, max(depth - 1, 1)
    )  # what depth repeats: the last weights are those of the output
    steady = all(
        np.allclose(each[between], each[0], rtol=1e-9, atol=0.0) for each in (weights, biases)
    )
    total = np.cumsum(1.0 / sizes)
    each = State(*(np.stack(field) for field in zip(*states, strict=True)))
    own = where.diagonal
    kernels = relative_sizes(each.kernel, each.kernel_shift, each.kernel_covariance, own)
    outputs = each.tangent_covariance + each.straight + each.crossed
    tangents = relative_sizes(each.tangent, each.tangent_shift, outputs, own)
    variances, shifts = (np.maximum(*both) for both in zip(kernels, tangents, strict=True))
    known = steady and math.isfinite(kind.largest_sum)
    largest = kind.largest_sum if known else estimated_range(variances, total)
    spread = _angle_spread(each, where)
    kinked = float(np.nanmax(spread)) if phi.kinks and len(where.mixed) else 0.0
    return KernelCorrections(
        rows=where.rows,
        columns=where.columns,
        kernel=each.kernel,
        kernel_shift=each.kernel_shift,
        kernel_covariance=each.kernel_covariance,
        tangent=each.tangent,
        tangent_shift=each.tangent_shift,
        tangent_covariance=each.tangent_covariance,
        tangent_kernel_covariance=each.tangent_kernel,
        straight=each.straight,
        crossed=each.crossed,
        angle_spread=spread,
        sum_inverse_widths=total,
        relative_variance=variances,
        relative_shift=shifts,
        vertex_error=error,
        largest_sum=largest,
        class_name=kind.name,
        valid_for=range_in_words(kind.name, largest, total, variances, shifts, kinked),
    )


def _first_tangent(given: Any, first: np.ndarray) -> np.ndarray:
    if given is None:
        return first
    matrix = validate.real_numbers(given)
    if matrix is None or matrix.size != first.size or not np.isfinite(matrix).all():
        raise SpecError(
            f"first_tangent of {validate.shape_text(given)}",
            f"finite numbers of shape {first.shape}",
            "Leave it out to take K^1.",
        )
    return matrix.reshape(first.shape)


def _angle_spread(each: State, where: Any) -> np.ndarray:
    """Standard deviation of rho_ab over 1 - |rho_ab|, by the delta method."""
    k = each.kernel[:, where.neighbours]
    aa, ab, bb = k[..., 0], k[..., 1], k[..., 2]
    norm = np.sqrt(aa * bb)
    gradient = np.stack([-0.5 * ab / (aa * norm), 1.0 / norm, -0.5 * ab / (bb * norm)], axis=-1)
    near = where.neighbours
    v = each.kernel_covariance[:, near[:, :, None], near[:, None, :]]
    variance = np.einsum("lpi,lpij,lpj->lp", gradient, v, gradient)
    mixed = where.rows != where.columns
    room = np.where(mixed, 1.0 - np.abs(ab) / norm, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mixed, np.sqrt(np.maximum(variance, 0.0)) / room, np.nan)
