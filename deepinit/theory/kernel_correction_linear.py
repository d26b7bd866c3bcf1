"""Kernels of deep linear networks at every width, several inputs.

G' = (w/n) X^T X with n rows X_i ~ N(0, G), so that by Isserlis' theorem E'_abcd = E G'_ab G'_cd = w^2 (E_abcd + (E_acbd + E_adbc)/n), exactly.
"""

from typing import Any

import numpy as np

from deepinit.theory.kernel_correction_input import checked_kernel, checked_layers, per_layer


def linear_kernel_second_moments(first_kernel: Any, widths: Any, weight_var: Any) -> np.ndarray:
    """[k, k, k, k] E G_ab G_cd of a linear network of L hidden layers with k inputs, exact at every width; E G = K^1 prod w.

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
    k = checked_kernel("first_kernel", first_kernel)
    sizes = checked_layers(widths)
    second = np.einsum("ab,cd->abcd", k, k)
    for n, w in zip(sizes, per_layer("weight_var", weight_var, len(sizes), 0.0, True), strict=True):
        crossed = second.transpose(0, 2, 1, 3) + second.transpose(0, 2, 3, 1)
        second = w**2 * (second + crossed / n)
    return second
