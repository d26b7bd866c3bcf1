"""Kernels of homogeneous networks with one input, exact at every width.

Slopes (left, right), no forward biases; p, q: means of their squares and fourth powers. A layer
multiplies the kernel by the independent factor w (right^2 chi^2_M + left^2 chi^2_{n-M})/n,
M ~ Binomial(n, 1/2) (`numerics.layer_factors`). u_l = w^2 (p^2 + (3q - p^2)/n_l), forward norm G^l,
Delta_l = |d output / d z^l|^2, bias rate tb:

    E G^l = K^1 (w p)^{l-1},        E (G^l)^2 = (K^1)^2 prod_{j<l} u_j,
    E Delta_m = (w p)^{L+1-m},      E Delta_m^2 = prod_{j>=m} u_j,
    Theta = sum_l (G^l + tb) Delta_l,
    E G^l Delta_l G^m Delta_m = E (G^l)^2 E Delta_m^2 a_{l,m},

powers of w p being products over layers. P is the gated product between layers l < m; a = E
(tr P^T P)^2 and t = E tr (P^T P)^2 obey a two-term recursion.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.kernel_corrections.validate import layer_widths, per_layer
from deepinit.theory.numerics.homogeneous_layers import LayerFactor
from deepinit.theory.numerics.layer_factors import factor_log_moments, layer_factor_moment


class TangentMoments(NamedTuple):
    """E Theta and E Theta^2 of one output, one input."""

    mean: float
    second: float

    @property
    def variance(self) -> float:
        """E Theta^2 - (E Theta)^2; inf where E Theta^2 overflows."""
        return self.second - self.mean * self.mean if math.isfinite(self.second) else self.second


class ExactKernel(NamedTuple):
    """Mean and variance of the kernel after hidden layers 1, ..., L."""

    mean: Float[np.ndarray, "layers *shape"]
    variance: Float[np.ndarray, "layers *shape"]


class KernelLogMoments(NamedTuple):
    """Mean and variance of ln(G^{L+1} / K^1) given G > 0, and P(G = 0)."""

    mean: float
    variance: float
    death_probability: float


def homogeneous_kernel_moment(
    activation: ActivationLike,
    widths: Real[Array, "layers"] | Plain,
    weight_var: Real[Array, "layers"] | Plain,
    order: float = 2.0,
) -> float:
    """E (G^{L+1} / K^1)^s after L hidden layers, one input, exact.

        prod_l (w p)^s E X_l^s,    X_l the layer's factor over its mean;
        s = 2: prod_l (w p)^2 (1 + c/n_l),    c = 3q/p^2 - 1 (ReLU 5, linear 2).

    Activation positively homogeneous, weight_var w > 0 (scalar or per layer), order s >= 0; else
    SpecError. inf on overflow. Valid for: Gaussian weights, no biases; relative error 1e-13 per
    layer. Reference: arXiv:1812.05994.
    """
    steep, ratio = _steep_and_ratio(activation)
    sizes, order = layer_widths(widths), validate.not_negative("order", order, "2 is usual.")
    weights = per_layer("weight_var", weight_var, len(sizes), 0.0, True)
    mean = 0.5 * steep**2 * (1.0 + ratio**2)
    factors = np.log(layer_factor_moment(sizes, 2.0 * order, negative_slope=ratio))
    with np.errstate(over="ignore"):
        return float(np.exp(np.sum(factors + order * np.log(weights * mean))))


def homogeneous_kernel_layers(
    activation: ActivationLike,
    first_kernel: float,
    widths: Real[Array, "layers"] | Plain,
    weight_var: Real[Array, "layers"] | Plain,
) -> ExactKernel:
    """Mean and variance of G^{l+1} after every hidden layer, one input, exact.

        E G^{l+1} = K^1 prod_{j<=l} w_j p,
        Var G^{l+1}/(E G^{l+1})^2 = prod_{j<=l} (1 + c/n_j) - 1,   c = 3q/p^2 - 1 (ReLU 5, linear 2)

    Arguments and errors: `homogeneous_kernel_moment`. inf on overflow. Valid for: Gaussian weights,
    no biases; relative error 1e-15 per layer. Reference: arXiv:1812.05994.
    """
    p, _, c = homogeneous_constants(activation)
    sizes, first = layer_widths(widths), validate.positive("first_kernel", first_kernel)
    weights = per_layer("weight_var", weight_var, len(sizes), 0.0, True)
    with np.errstate(over="ignore"):
        mean = first * np.cumprod(p * weights)
        return ExactKernel(mean, mean**2 * np.expm1(np.cumsum(np.log1p(c / sizes))))


def homogeneous_kernel_log(
    activation: ActivationLike,
    widths: Real[Array, "layers"] | Plain,
    weight_var: Real[Array, "layers"] | Plain,
) -> KernelLogMoments:
    """Mean and variance of ln(G^{L+1} / K^1) given G > 0, exact.

    ReLU, w = 2: a layer adds -5/(2n) - 49/(12 n^2) + ... to the mean, 5/n + 37/(2 n^2) + ... to the
    variance; N(-5 beta/2, 5 beta) as sum 1/n_l -> beta. Arguments and errors:
    `homogeneous_kernel_moment`. Valid for: Gaussian weights, no biases; error 1e-12. Reference:
    arXiv:1812.05994.
    """
    steep, ratio = _steep_and_ratio(activation)
    sizes = layer_widths(widths)
    weights = per_layer("weight_var", weight_var, len(sizes), 0.0, True)
    masked, slope = ratio != 1.0, ratio if ratio != 1.0 else 0.0
    factors = [LayerFactor(int(n), masked, slope) for n in sizes]
    moments = np.array([factor_log_moments(factor) for factor in factors])
    mean = float(np.sum(moments[:, 0] + np.log(steep**2 * weights / sizes)))
    alive = sum(factor.log_alive for factor in factors)
    return KernelLogMoments(mean, float(moments[:, 1].sum()), -math.expm1(alive))


def homogeneous_ntk_moments(
    activation: ActivationLike,
    first_kernel: float,
    widths: Real[Array, "layers"] | Plain,
    weight_var: Real[Array, "layers"] | Plain,
    *,
    bias_rate: float = 0.0,
) -> TangentMoments:
    """E Theta and E Theta^2 of the NTK, one output and input, exact.

    E Theta = (L + 1) K^1 (w p)^L + bias_rate sum_l (w p)^{L+1-l}, its infinite-width value. One
    hidden ReLU layer: E Theta^2/(E Theta)^2 = 1 + 3/n. inf on overflow. `bias_rate`: learning-rate
    factor of the biases; 0: not trained; other arguments and errors: `homogeneous_kernel_moment`.
    Valid for: Gaussian weights, NTK parametrization, biases initialized at 0; relative error 1e-14
    per layer. Reference: arXiv:1909.05989 (first order, exponential growth in depth/width).
    """
    with np.errstate(over="ignore"):
        return _ntk_moments(activation, first_kernel, widths, weight_var, bias_rate)


def _ntk_moments(
    activation: Any, first_kernel: float, widths: Any, weight_var: Any, bias_rate: float
) -> TangentMoments:
    p, q, _ = homogeneous_constants(activation)
    sizes = layer_widths(widths).astype(np.float64)
    depth = len(sizes)
    w = per_layer("weight_var", weight_var, depth, 0.0, True)
    # NumPy's floats overflow to inf
    k = np.float64(validate.positive("first_kernel", first_kernel))
    tb = np.float64(validate.not_negative("bias_rate", bias_rate, "0: no trained biases."))
    factor, factor2 = w * p, w**2 * (p**2 + (3.0 * q - p**2) / sizes)
    g, g2 = k * np.append(1.0, np.cumprod(factor)), k**2 * np.append(1.0, np.cumprod(factor2))
    delta, delta2 = (np.append(np.cumprod(u[::-1])[::-1], 1.0) for u in (factor, factor2))
    mean = float(np.sum((g + tb) * delta))
    second = float(np.sum((g2 + 2.0 * tb * g + tb**2) * delta2))
    scale = (w / sizes) ** 2
    single, double = scale * sizes * q, scale * (sizes * q + sizes * (sizes - 1.0) * p**2)
    spread = scale * sizes * (sizes - 1.0) * p**2 + 2.0 * single
    # trace^2 and trace of the square for all starts l at once, m increasing; hidden layer n is the
    # input of weight layer m
    squared, fourth, chain = np.zeros((3, 0))
    for m in range(1, depth + 1):
        n = m - 1
        squared, fourth = (
            double[n] * squared + 2.0 * single[n] * fourth,
            single[n] * squared + spread[n] * fourth,
        )
        squared, fourth = np.append(squared, double[n]), np.append(fourth, single[n])
        chain = np.append(chain, 1.0) * factor[n]
        terms = 2.0 * g2[:m] * squared + 2.0 * tb * g[:m] * (squared + chain) + 2.0 * tb**2 * chain
        second += float(delta2[m] * np.sum(terms))
    return TangentMoments(mean, second)


def homogeneous_constants(activation: ActivationLike) -> tuple[float, float, float]:
    """(p, q, c): means of squares and fourth powers of the slopes, c = 3q/p^2 - 1."""
    phi = as_activation(activation)
    if phi.slopes is None or phi.slopes == (0.0, 0.0):
        raise SpecError(
            f"the activation {phi!r}",
            "positively homogeneous ones that are not 0 (ReLU, leaky ReLU, absolute value, linear)",
            "For others use `kernel_corrections`, first order in 1/width.",
        )
    p, q = (0.5 * sum(slope**power for slope in phi.slopes) for power in (2, 4))
    return p, q, 3.0 * q / p**2 - 1.0


def _steep_and_ratio(activation: Any) -> tuple[float, float]:
    """The larger |slope|, and the smaller over it."""
    homogeneous_constants(activation)
    low, high = sorted(abs(slope) for slope in as_activation(activation).slopes or ())
    return high, low / high
