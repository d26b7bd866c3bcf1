"""NNGP and tangent kernel at finite width: mean shift and covariance to order 1/width.

z^{l+1} = b + W phi(z^l), W_ij ~ N(0, w/n_l). Given layer l, neurons of layer l + 1 are i.i.d.
N(0, G^{l+1}); G is a Markov chain, G = K + K1 + fluctuations of covariance V:

    G^{l+1}_ab = bias_var + (w/n_l) sum_j phi(z^l_ja) phi(z^l_jb),      G^1 = K^1,
    E[G^{l+1} | G^l] = bias_var + w g(G^l),    Cov[G^{l+1} | G^l] = w^2 C(G^l)/n_l.

The tangent kernel of an output is Theta-hat, its mean over the weights of layer l + 1, plus
(w/n)(w_i^T M w_j - delta_ij tr M) of covariance B, its covariance between two outputs:

    Theta-hat^{l+1} = b_rate + (t/n) sum phi phi + (w/n) sum_k phi'_k phi'_k Theta^l_kk

Shared forward and backward weights correlate Theta^l_kk with phi(z_k), by Fc / n, and add q = w
Fc : E d d (phi' phi') to the mean (`kernel_corrections.recursion`).
"""

import math
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import default_weight_var
from deepinit.core.typing import ActivationLike, Array, Plain, Real
from deepinit.theory.kernel_corrections.criticality import criticality_class
from deepinit.theory.kernel_corrections.four_point import with_vertex
from deepinit.theory.kernel_corrections.layer_moments import layer_moments
from deepinit.theory.kernel_corrections.recursion import LayerScales, State, first_state, next_state
from deepinit.theory.kernel_corrections.result import KernelCorrections
from deepinit.theory.kernel_corrections.validate import (
    Vertex,
    check_memory,
    check_range,
    differentiable,
    kernel_matrix,
    layer_widths,
    per_layer,
)
from deepinit.theory.kernel_corrections.validity import (
    describe_range,
    estimated_range,
    relative_sizes,
)
from deepinit.theory.numerics.entries import entries

_LARGEST_POWER = 70  # of 10: fourth powers of the kernel stay in float64


def kernel_corrections(
    activation: ActivationLike,
    first_kernel: Real[Array, "k k"] | Plain,
    widths: Real[Array, "layers"] | Plain,
    weight_var: Real[Array, "layers"] | Plain | None = None,
    bias_var: Real[Array, "layers"] | Plain = 0.0,
    *,
    vertex: Vertex = "pairs",
    first_tangent: Real[Array, "k k"] | Plain | None = None,
    weight_rate: Real[Array, "layers"] | Plain | None = None,
    bias_rate: Real[Array, "layers"] | Plain | None = None,
) -> KernelCorrections:
    """NNGP and tangent kernel of a random MLP to order 1/width, by layer.

    E G = K + K1 + O(1/n^2), Cov G = V + O(1/n^2), likewise for the tangent kernel, at these widths.
    Relative error 1e-10 (vertex="all": 1e-9 for three inputs, else `vertex_error`). Slow, 0.1 s per
    layer and pair: kinks other than one at 0 between two straight lines.

    Args:
        activation: continuous, differentiable between kinks.
        first_kernel: K^1, covariance of first-layer preactivations, bias_var + weight_var
            x.x / n_0; scalar for one input.
        widths: of hidden layers.
        weight_var, bias_var: after each hidden layer, weights times fan_in; None:
            `default_weight_var`.
        vertex: "pairs": covariances of entries with at most two inputs; "all": three and four too.
        first_tangent: T^1; None: K^1 (NTK parametrization, all parameters trained).
        weight_rate, bias_rate: learning-rate factors after each hidden layer; None: weight_var,
            bias_var (NTK). Standard parametrization: widths, 1 and first_tangent = 1 + x.x.
            Untrained biases: bias_rate=0.

    Raises:
        SpecError: parallel or zero inputs; kernel not positive semi-definite or exploding;
            activation with a jump or undeclared kink; sum 1/width > 3.
        ResourceError: covariances exceed the memory.

    Valid for: independent Gaussian weights and biases; error O(r^2) relative to K, r = sum 1/width,
    with a class-dependent constant (`largest_sum`). Nearly parallel inputs and kinks:
    `angle_spread`. Reference: arXiv:2106.10165, chapters 4, 5, 8; arXiv:1910.00019;
    arXiv:1909.05989.
    """
    first = kernel_matrix("first_kernel", first_kernel)
    phi = differentiable(activation, float(np.max(np.diag(first))))
    sizes = layer_widths(widths)
    check_range(sizes)
    depth = len(sizes)
    check_memory(len(first), depth, vertex)
    given = default_weight_var(phi) if weight_var is None else weight_var
    weights = per_layer("weight_var", given, depth, 0.0, strictly=True)
    biases = per_layer("bias_var", bias_var, depth, 0.0)
    rates = weights if weight_rate is None else per_layer("weight_rate", weight_rate, depth, 0.0)
    bias_rates = biases if bias_rate is None else per_layer("bias_rate", bias_rate, depth, 0.0)
    where = entries(len(first))
    first_entries = _first_tangent(first_tangent, first)[where.rows, where.columns]
    state = first_state(first[where.rows, where.columns], first_entries)

    states, error = [], 0.0
    for layer, width in enumerate(sizes):
        moments = layer_moments(phi, state.kernel, where)
        if vertex == "all":
            moments, new_error = with_vertex(moments, phi, state.kernel, where)
            error = max(error, new_error)
        both = weights[layer], biases[layer]
        scales = LayerScales(float(width), *both, rates[layer], bias_rates[layer])
        state = next_state(state, moments, scales, where)
        diagonal = state.kernel[where.diagonal]
        finite = np.isfinite(state.kernel).all() and np.isfinite(state.tangent).all()
        if not (finite and (np.abs(np.log10(diagonal)) < _LARGEST_POWER).all()):
            given = f"kernels of {diagonal.max():.3g} after hidden layer {layer + 1}"
            allowed = f"variances between 1e-{_LARGEST_POWER} and 1e{_LARGEST_POWER}"
            remedy = f"Move the weight variance to the critical one, or take {layer} layers."
            raise SpecError(given, allowed, remedy)
        states.append(state)

    start = float(first[0, 0])
    kind = criticality_class(phi, float(weights[0]), float(biases[0]), mean_square=start)
    between = slice(0, max(depth - 1, 1))  # the last weights are those of the output
    steady = all(
        np.allclose(part[between], part[0], rtol=1e-9, atol=0.0) for part in (weights, biases)
    )
    total = np.cumsum(1.0 / sizes)
    all_layers = State(*(np.stack(field) for field in zip(*states, strict=True)))
    own = where.diagonal
    kernels = relative_sizes(
        all_layers.kernel, all_layers.kernel_shift, all_layers.kernel_covariance, own
    )
    outputs = all_layers.tangent_covariance + all_layers.straight + all_layers.crossed
    tangents = relative_sizes(all_layers.tangent, all_layers.tangent_shift, outputs, own)
    variances, shifts = (np.maximum(*both) for both in zip(kernels, tangents, strict=True))
    known = steady and math.isfinite(kind.largest_sum)
    largest = kind.largest_sum if known else estimated_range(variances, total)
    spread = _angle_spread(all_layers, where)
    kinked = float(np.nanmax(spread)) if phi.kinks and len(where.mixed) else 0.0
    return KernelCorrections(
        rows=where.rows,
        columns=where.columns,
        kernel=all_layers.kernel,
        kernel_shift=all_layers.kernel_shift,
        kernel_covariance=all_layers.kernel_covariance,
        tangent=all_layers.tangent,
        tangent_shift=all_layers.tangent_shift,
        tangent_covariance=all_layers.tangent_covariance,
        tangent_kernel_covariance=all_layers.tangent_kernel,
        straight=all_layers.straight,
        crossed=all_layers.crossed,
        angle_spread=spread,
        sum_inverse_widths=total,
        relative_variance=variances,
        relative_shift=shifts,
        vertex_error=error,
        largest_sum=largest,
        class_name=kind.name,
        valid_for=describe_range(kind.name, largest, total, variances, shifts, kinked),
    )


def _first_tangent(given: Any, first: np.ndarray) -> np.ndarray:
    if given is None:
        return first
    matrix = validate.array("first_tangent", given, remedy="None: K^1.")
    if matrix.size != first.size:
        raise SpecError(f"first_tangent of shape {matrix.shape}", f"shape {first.shape}")
    return matrix.reshape(first.shape)


def _angle_spread(all_layers: State, where: Any) -> np.ndarray:
    """Standard deviation of rho_ab over 1 - |rho_ab|."""
    k = all_layers.kernel[:, where.neighbours]
    aa, ab, bb = k[..., 0], k[..., 1], k[..., 2]
    norm = np.sqrt(aa * bb)
    gradient = np.stack([-0.5 * ab / (aa * norm), 1.0 / norm, -0.5 * ab / (bb * norm)], axis=-1)
    near = where.neighbours
    v = all_layers.kernel_covariance[:, near[:, :, None], near[:, None, :]]
    variance = np.einsum("lpi,lpij,lpj->lp", gradient, v, gradient)
    mixed = where.rows != where.columns
    room = np.where(mixed, 1.0 - np.abs(ab) / norm, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(mixed, np.sqrt(np.maximum(variance, 0.0)) / room, np.nan)
