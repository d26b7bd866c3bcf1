"""Kernels of deep linear networks, several inputs, exact at every width.

G' = (w/n) X^T X, rows X_i ~ N(0, G). With v = Var G_ab and u = Cov(G_aa, G_bb) (Isserlis)

    v' = w^2 (v + (v + u + K_ab^2 + K_aa K_bb)/n),    u' = w^2 (u + 2 (v + K_ab^2)/n),    K' = w K.
"""

import numpy as np

from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.theory.kernel_corrections.exact import ExactKernel
from deepinit.theory.kernel_corrections.validate import kernel_matrix, layer_widths, per_layer


def linear_kernel_layers(
    first_kernel: Real[Array, "k k"] | Plain,
    widths: Real[Array, "layers"] | Plain,
    weight_var: Real[Array, "layers"] | Plain,
) -> ExactKernel:
    """Mean and variance of the kernel of a linear network, by layer, exact.

    E G^{l+1} = K^1 prod_{j<=l} w_j, w times the squared slope, K^1 a matrix or scalar. Cost
    O(L k^2). Valid for: Gaussian weights, no biases.
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
    first_kernel: Real[Array, "k k"] | Plain,
    widths: Real[Array, "layers"] | Plain,
    weight_var: Real[Array, "layers"] | Plain,
) -> Float[np.ndarray, "k k k k"]:
    """E G_ab G_cd after L hidden linear layers, exact.

    E'_abcd = w^2 (E_abcd + (E_acbd + E_adbc)/n). Valid for: Gaussian weights, no biases.
    """
    k = kernel_matrix("first_kernel", first_kernel, parallel=True)
    sizes = layer_widths(widths)
    second = np.einsum("ab,cd->abcd", k, k)
    for n, w in zip(sizes, per_layer("weight_var", weight_var, len(sizes), 0.0, True), strict=True):
        crossed = second.transpose(0, 2, 1, 3) + second.transpose(0, 2, 3, 1)
        second = w**2 * (second + crossed / n)
    return second
