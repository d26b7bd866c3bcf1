"""Kernels of a random network of finite width: mean shift and covariance of NNGP kernel and tangent kernel to order 1/width.

z^{l+1} = b + W phi(z^l), W_ij ~ N(0, w/n_l), b_i ~ N(0, bias_var). Given layer l the neurons of layer l + 1 are i.i.d. N(0, G^{l+1}),

    G^{l+1}_ab = bias_var + (w/n_l) sum_j phi(z^l_ja) phi(z^l_jb),      G^1 = K^1 fixed by the inputs,

so that G is a Markov chain; given G^l its mean is bias_var + w g(G^l) and its covariance w^2 C(G^l)/n_l. Laws of total mean and covariance with
g expanded to second order about K give, for G = K + K1 + fluctuations of covariance V,

    K' = bias_var + w g(K),    V' = w^2 (C/n + Jg V Jg^T),    K1' = w (Jg K1 + Hg : V / 2).

Tangent kernel, all parameters trained: of an output neuron, Theta = Theta-hat + fluctuation, Theta-hat^{l+1} = b_rate + (t/n) sum phi phi + (w/n) sum_k phi'_k phi'_k Theta^l_kk
its mean over the weights of layer l + 1. (G, Theta-hat) obeys the same recursion with the map (g, h) of `kernel_correction_recursion`; the fluctuation
(w/n)(w_i^T M w_j - delta_ij tr M) has the covariance B, which is also that of the tangent kernel between two different outputs; and as the same
weights serve forward and backward pass, Theta^l_kk correlates with phi(z_k), by Fc / n, which adds q = w Fc : E d d (phi' phi') to the mean.
Covariances and shifts are those at the given widths: nothing is left to divide by.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError, refusal
from deepinit.core.gaussian import default_weight_var
from deepinit.theory.kernel_correction_classes import criticality_class
from deepinit.theory.kernel_correction_input import (
    Vertex,
    check_memory,
    checked_activation,
    checked_kernel,
    checked_widths,
    per_layer,
)
from deepinit.theory.kernel_correction_layer import entries, layer_moments
from deepinit.theory.kernel_correction_recursion import LayerScales, State, first_state, next_state
from deepinit.theory.kernel_correction_vertex import with_vertex


class KernelCorrections(NamedTuple):
    """Kernels after 1, ..., L hidden layers; row l is what the linear layer after hidden layer l (an output layer, or the next) has.

    p entries (a, b), a <= b, row by row of the upper triangle. Covariances of entries that involve three or more different inputs are NaN unless
    `vertex="all"` was asked for.

    Attributes:
        rows, columns: [p], a and b of each entry.
        kernel, kernel_shift: [L, p], K and K1; the mean of the kernel is their sum.
        kernel_covariance: [L, p, p], V, the four-point vertex.
        tangent, tangent_shift: [L, p], T and T1 of Theta_ii, one output.
        tangent_covariance: [L, p, p], A = Cov(Theta_ii, Theta_jj), i != j, between two outputs.
        tangent_kernel_covariance: [L, p, p], D = Cov(Theta_ii, kernel), rows: Theta.
        straight, crossed: [L, p, p], B_{ab|cd} = E Theta_ij,ab Theta_ij,cd and B_{ab|dc}, i != j.
        angle_spread: [L, p], standard deviation of the correlation of inputs a and b divided by 1 - |correlation|; NaN for a = b. Where it is
            not small the two inputs are nearly parallel and the expansion of ReLU fails.
        sum_inverse_widths: [L], r = sum of 1/width.
        vertex_error: largest relative standard error of the covariances of three and four inputs; 0 where exact.
        largest_sum: r up to which first-order variances are within about 30 %.
        class_name: of `criticality_class`.
        valid_for: hypotheses and range, in words.
    """

    rows: np.ndarray
    columns: np.ndarray
    kernel: np.ndarray
    kernel_shift: np.ndarray
    kernel_covariance: np.ndarray
    tangent: np.ndarray
    tangent_shift: np.ndarray
    tangent_covariance: np.ndarray
    tangent_kernel_covariance: np.ndarray
    straight: np.ndarray
    crossed: np.ndarray
    angle_spread: np.ndarray
    sum_inverse_widths: np.ndarray
    vertex_error: float
    largest_sum: float
    class_name: str
    valid_for: str


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
    """NNGP kernel and tangent kernel of a random MLP at finite width, to first order in 1/width, layer by layer.

    Formulas in the module docstring: E G = K + K1 + O(1/n^2), Cov G = V + O(1/n^2), and the same for the tangent kernel.

    Args:
        activation: an Activation, a built-in's name or an elementwise JAX function; continuous, differentiable between its kinks.
        first_kernel: [k, k] K^1, covariance of the first layer's preactivations: bias_var + weight_var x.x / n_0; a number for one input.
        widths: [L] neurons of each hidden layer.
        weight_var: variance times fan_in of the weights that follow a hidden layer, one number or [L]; None takes `default_weight_var`.
        bias_var: of the biases that follow a hidden layer, one number or [L].
        vertex: "pairs" for covariances of entries that share their two inputs; "all" for those of three and four inputs too.
        first_tangent: [k, k] T^1 of the first layer; None takes K^1 (NTK parametrisation, all parameters trained).
        weight_rate, bias_rate: t and b_rate, the learning rates' factors of the weights and biases that follow a hidden layer. None takes weight_var and
            bias_var (NTK parametrisation). Standard parametrisation: weight_rate=widths, bias_rate=1, first_tangent = 1 + x.x. Without trained
            biases: bias_rate=0.

    Returns:
        `KernelCorrections`. Relative error of its coefficients 1e-10 (1e-9 with three inputs and vertex="all", `vertex_error` beyond).

    Raises:
        SpecError: parallel, duplicate or zero inputs; a kernel that is not positive semi-definite; an activation with a jump or an undeclared kink;
            widths with sum 1/width above 3; kernels that explode.
        ResourceError: more inputs than the covariances' memory allows.

    Valid for: independent Gaussian weights and biases, all inputs and widths fixed; error O(r^2) relative to K, r = sum 1/width, with a constant that depends on the
        class (`largest_sum`). Nearly parallel inputs and kinks: see `angle_spread`.

    Reference: arXiv:2106.10165, chapters 4, 5, 8; arXiv:1910.00019; arXiv:1909.05989; derivation in the module docstring.
    """
    first = checked_kernel("first_kernel", first_kernel)
    phi = checked_activation(activation, float(np.max(np.diag(first))))
    sizes = checked_widths(widths)
    depth = len(sizes)
    check_memory(len(first), depth, vertex)
    weights = per_layer("weight_var", default_weight_var(phi) if weight_var is None else weight_var, depth, 0.0, True)
    biases = per_layer("bias_var", bias_var, depth, 0.0)
    rates = weights if weight_rate is None else per_layer("weight_rate", weight_rate, depth, 0.0)
    bias_rates = biases if bias_rate is None else per_layer("bias_rate", bias_rate, depth, 0.0)
    where = entries(len(first))
    state = first_state(first[where.rows, where.columns], _first_tangent(first_tangent, first)[where.rows, where.columns])

    states, error = [], 0.0
    for layer, width in enumerate(sizes):
        moments = layer_moments(phi, state.kernel, where)
        if vertex == "all":
            moments, new = with_vertex(moments, phi, state.kernel, where)
            error = max(error, new)
        scales = LayerScales(float(width), weights[layer], biases[layer], rates[layer], bias_rates[layer])
        state = next_state(state, moments, scales, where)
        diagonal = state.kernel[where.diagonal]
        if not (np.isfinite(state.kernel).all() and np.isfinite(state.tangent).all() and (diagonal > 1e-290).all()):
            raise SpecError(
                refusal(
                    f"kernels that leave float64 after hidden layer {layer + 1}",
                    "variances between 1e-290 and 1e290",
                    f"Take a weight variance nearer to the critical one, or at most {layer} layers.",
                )
            )
        states.append(state)

    kind = criticality_class(phi, float(weights[-1]), float(biases[-1]), mean_square=float(first[0, 0]))
    total = np.cumsum(1.0 / sizes)
    each = State(*(np.stack(field) for field in zip(*states, strict=True)))
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
        angle_spread=_angle_spread(each, where),
        sum_inverse_widths=total,
        vertex_error=error,
        largest_sum=kind.largest_sum,
        class_name=kind.name,
        valid_for=(
            f"independent Gaussian weights; sum of 1/width up to about {kind.largest_sum:g} (class {kind.name}), here "
            f"{total[-1]:.3g}; error O(r^2), which two widths show. With kinks also angle_spread << 1."
        ),
    )


def tangent_covariance(corrections: KernelCorrections, num_outputs: int = 1) -> np.ndarray:
    """[L, p, p] covariance of the tangent kernel averaged over `num_outputs` output neurons: A + (B + B crossed) / outputs.

    Args:
        corrections: of `kernel_corrections`.
        num_outputs: outputs over which Theta_ii is averaged, >= 1; 1 for a single one.

    Raises:
        SpecError: less than one output.
    """
    if not num_outputs >= 1:
        raise SpecError(refusal(f"num_outputs={num_outputs!r}", "integers >= 1", "1 is a single output neuron."))
    return corrections.tangent_covariance + (corrections.straight + corrections.crossed) / num_outputs


def _first_tangent(given: Any, first: np.ndarray) -> np.ndarray:
    if given is None:
        return first
    matrix = np.asarray(given, dtype=np.float64)
    if matrix.size != first.size or not np.isfinite(matrix).all():
        raise SpecError(
            refusal(f"first_tangent of shape {matrix.shape}", f"a finite {first.shape}", "Leave it out to take K^1.")
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
