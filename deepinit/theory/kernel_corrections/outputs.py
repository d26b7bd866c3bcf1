"""Statistics of outputs and log kernels; homogeneous networks with depth ~ width.

Given G, outputs f_i are i.i.d. N(0, G): cov(f_i f_i, f_j f_j) = Cov(G_ab, G_cd). As sum
1/n_l -> beta at the critical gain, with the trace moment a(s) = e^{cs}/3 + 2 e^{-s}/3 of
`kernel_corrections.exact`, E Theta^2/(E Theta)^2 = (2/beta^2) int_0^beta (beta - s) e^{c
(beta - s)} a(s) ds.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Like, Plain, Real
from deepinit.theory.kernel_corrections.exact import homogeneous_constants
from deepinit.theory.kernel_corrections.result import KernelCorrections, check_corrections
from deepinit.theory.numerics import LogNormal
from deepinit.theory.numerics.entries import entries


class OutputStatistics(NamedTuple):
    """Excess kurtosis of an output, and correlation of two outputs' squares, one input."""

    excess_kurtosis: Float[Like, "*shape"]
    square_correlation: Float[Like, "*shape"]


class LogKernel(NamedTuple):
    """Mean and variance of ln G_aa."""

    mean: Float[np.ndarray, "L k"]
    variance: Float[np.ndarray, "L k"]


def output_statistics(relative_variance: Real[Array, "*shape"] | Plain) -> OutputStatistics:
    """Excess kurtosis 3 v of an output; correlation v/(2 + 3 v) of squared outputs.

    v = Var G_aa/(E G_aa)^2 >= 0: first order V_(aa)(aa)/K_aa^2, homogeneous activations prod
    (1 + c/n_l) - 1. Exact in v for Gaussian output weights and biases. Reference: arXiv:2106.10165,
    chapter 4.
    """
    v = validate.array("relative_variance", relative_variance, remedy="Take V/K^2.")
    if not (v >= 0.0).all():
        raise SpecError(f"relative_variance={relative_variance!r}", "numbers >= 0", "Take V/K^2.")
    return OutputStatistics(3.0 * v, v / (2.0 + 3.0 * v))


def output_fourth_cumulant(
    corrections: KernelCorrections, inputs: tuple[int, int, int, int], same: bool = True
) -> Float[np.ndarray, "layers"]:
    """Connected E f_i(a) f_i(b) f_j(c) f_j(d) of the outputs, by layer.

    i = j: V_(ab)(cd) + V_(ac)(bd) + V_(ad)(bc); else V_(ab)(cd); inputs (a, b, c, d); vertex="all"
    for three or more different ones. First order in 1/width. Reference: arXiv:1910.00019.
    """
    check_corrections(corrections)
    count = int(corrections.rows.max()) + 1
    numbers = validate.array("inputs", inputs, (4,))
    if not np.isin(numbers, np.arange(count)).all():
        raise SpecError(f"inputs={inputs!r}", f"four numbers from 0 to {count - 1}")
    validate.flag("same", same, "True is one neuron, False is two.")
    at = entries(count).at

    def vertex(i: int, j: int, k: int, m: int) -> np.ndarray:
        return corrections.kernel_covariance[:, at[i, j], at[k, m]]

    a, b, c, d = map(int, numbers)
    if not same:
        return vertex(a, b, c, d)
    return vertex(a, b, c, d) + vertex(a, c, b, d) + vertex(a, d, b, c)


def log_kernel(corrections: KernelCorrections) -> LogKernel:
    """E ln G_aa = ln K + K1/K - V/(2 K^2), Var ln G_aa = V/K^2.

    Valid for: see `kernel_corrections`; error O(r^2), delta method.
    """
    check_corrections(corrections)
    own = np.flatnonzero(corrections.rows == corrections.columns)
    k, shift = corrections.kernel[:, own], corrections.kernel_shift[:, own]
    variance = corrections.kernel_covariance[:, own, own] / k**2
    return LogKernel(np.log(k) + shift / k - 0.5 * variance, variance)


def deep_wide_kernel(activation: ActivationLike, beta: float) -> LogNormal:
    """Limit law N(-c beta/2, c beta) of ln(G/K) as sum 1/n_l -> beta, c = 3q/p^2 - 1 (ReLU 5).

    Valid for: homogeneous activation (else SpecError), critical gain, Gaussian weights, no biases;
    error O(1/width). Reference: arXiv:1812.05994.
    """
    c, total = homogeneous_constants(activation)[2], validate.not_negative("beta", beta)
    return LogNormal(-0.5 * c * total, c * total)


def deep_wide_ntk_ratio(activation: ActivationLike, beta: float) -> float:
    """E Theta^2/(E Theta)^2 of one output and input as sum 1/n_l -> beta.

        e^{c beta} (1/3 + (4/(3 beta^2)) (beta/(c+1) - (1 - e^{-(c+1) beta})/(c+1)^2))
            = 1 + (7c - 2)/9 beta + ...

    Valid for: homogeneous activation (else SpecError), critical gain, equal widths, Gaussian
    weights, no biases; error O(1/depth). Reference: arXiv:1909.05989 (growth e^{c beta}).
    """
    c, total = homogeneous_constants(activation)[2], validate.not_negative("beta", beta)
    x = (c + 1.0) * total
    series = 0.5 - x * (1.0 / 6.0 - x * (1.0 / 24.0 - x / 120.0))
    rest = series if x < 1e-3 else (1.0 + math.expm1(-x) / x) / x  # cancels for small x
    with np.errstate(over="ignore"):
        return float(np.exp(c * total)) * (1.0 + 4.0 * rest) / 3.0
