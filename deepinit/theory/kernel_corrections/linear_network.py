"""Kernels of deep linear networks at every width, several inputs.

G' = (w/n) X^T X with n rows X_i ~ N(0, G). By Isserlis' theorem, exactly,
E'_abcd = E G'_ab G'_cd = w^2 (E_abcd + (E_acbd + E_adbc)/n). Of one entry, with v = Var G_ab and
u = Cov(G_aa, G_bb), sums of terms >= 0,

    v' = w^2 (v + (v + u + K_ab^2 + K_aa K_bb)/n),    u' = w^2 (u + 2 (v + K_ab^2)/n),    K' = w K.
"""

import numpy as np
from numpy.typing import ArrayLike

from deepinit.theory.kernel_corrections.exact import ExactKernel
from deepinit.theory.kernel_corrections.validate import kernel_matrix, layer_widths, per_layer


def linear_kernel_layers(
    first_kernel: ArrayLike, widths: ArrayLike, weight_var: ArrayLike
) -> ExactKernel:
    """Mean and variance of every kernel entry after every hidden layer of a linear network, exact.

    E G^{l+1} = K^1 prod_{j<=l} w_j; the variance by the two-term recursion of the module docstring,
    in O(L k^2).

    Args:
        first_kernel: [k, k] K^1, or a number.
        widths: [L] integers >= 1.
        weight_var: w, one number or [L]; times the square of the slope where it is not 1.

    Returns:
        `ExactKernel`, [L, k, k].

    Raises:
        SpecError: as `linear_kernel_second_moments`.

    Valid for: Gaussian weights, no biases; exact.

    Reference: derivation in the module docstring.
    """
    k = kernel_matrix("first_kernel", first_kernel, parallel=True)
    sizes = layer_widths(widths)
    own = np.outer(np.diag(k), np.diag(k))
    variance = between = np.zeros_like(k)
    layers = []
    for n, w in zip(sizes, per_layer("weight_var", weight_var, len(sizes), 0.0, True), strict=True):
        variance, between = (
            w**2 * (variance + (variance + between + k**2 + own) / n),
            w**2 * (between + 2.0 * (variance + k**2) / n),
        )
        k, own = w * k, w**2 * own
        layers.append((k, variance))
    return ExactKernel(*(np.stack(part) for part in zip(*layers, strict=True)))


def linear_kernel_second_moments(
    first_kernel: ArrayLike, widths: ArrayLike, weight_var: ArrayLike
) -> np.ndarray:
    """[k, k, k, k] E G_ab G_cd after L hidden layers of a linear network, exact; E G = K^1 prod w.

        E'_abcd = w^2 (E_abcd + (E_acbd + E_adbc)/n)

    Args:
        first_kernel: [k, k] K^1, or a number.
        widths: [L] integers >= 1.
        weight_var: w, one number or [L].

    Raises:
        SpecError: a matrix that is no kernel, bad widths or variances.

    Valid for: Gaussian weights, no biases; exact.

    Reference: derivation in the module docstring.
    """
    k = kernel_matrix("first_kernel", first_kernel, parallel=True)
    sizes = layer_widths(widths)
    second = np.einsum("ab,cd->abcd", k, k)
    for n, w in zip(sizes, per_layer("weight_var", weight_var, len(sizes), 0.0, True), strict=True):
        crossed = second.transpose(0, 2, 1, 3) + second.transpose(0, 2, 3, 1)
        second = w**2 * (second + crossed / n)
    return second
