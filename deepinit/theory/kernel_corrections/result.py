"""The result of `kernel_corrections`, and the covariance of an averaged tangent kernel."""

from typing import NamedTuple

import numpy as np

from deepinit.core import validate


class KernelCorrections(NamedTuple):
    """Kernels after 1, ..., L hidden layers: row l enters the linear layer after hidden layer l.

    p entries (a, b), a <= b, row by row of the upper triangle. Covariances of entries with three or
    more different inputs are NaN unless vertex="all". With a kink at 0 (ReLU) the shifts and the
    tangent kernel's covariances of inputs that became parallel, 1 - |correlation| < 1e-7, are NaN.

    Attributes:
        rows, columns: [p], a and b of each entry.
        kernel, kernel_shift: [L, p], K and K1; the mean of the kernel is their sum.
        kernel_covariance: [L, p, p], V, the four-point vertex.
        tangent, tangent_shift: [L, p], T and T1 of Theta_ii, one output.
        tangent_covariance: [L, p, p], A = Cov(Theta_ii, Theta_jj), i != j, between two outputs.
        tangent_kernel_covariance: [L, p, p], D = Cov(Theta_ii, kernel), rows: Theta.
        straight, crossed: [L, p, p], B_{ab|cd} = E Theta_ij,ab Theta_ij,cd and B_{ab|dc}, i != j.
        angle_spread: [L, p], standard deviation of the correlation of inputs a and b divided by
            1 - |correlation|; NaN for a = b. Where it is not small the inputs are nearly parallel
            and the expansion of ReLU fails.
        sum_inverse_widths: [L], r = sum of 1/width.
        relative_variance, relative_shift: [L], the largest of V/K^2 and Var Theta/T^2, and of
            |K1/K| and |T1/T|, of one input with itself; first order fails where they approach 1.
        vertex_error: largest relative standard error of the covariances of three and four inputs; 0
            where exact.
        largest_sum: r up to which first-order variances are within about 30 %: of the class where
            known, else the r at which the largest relative variance so far would be 0.1.
        class_name: of `criticality_class`, at the variances after the first hidden layer.
        valid_for: hypotheses and range.
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
    relative_variance: np.ndarray
    relative_shift: np.ndarray
    vertex_error: float
    largest_sum: float
    class_name: str
    valid_for: str


def tangent_covariance(corrections: KernelCorrections, num_outputs: int = 1) -> np.ndarray:
    """[L, p, p] covariance of the tangent kernel averaged over outputs.

    A + (straight + crossed) / num_outputs.

    Args:
        corrections: of `kernel_corrections`.
        num_outputs: outputs over which Theta_ii is averaged, >= 1.

    Raises:
        SpecError: less than one output, or something else than `KernelCorrections`.

    Valid for: as `kernel_corrections`.

    Reference: derivation in `kernel_corrections.expansion`.
    """
    check_corrections(corrections)
    validate.integer("num_outputs", num_outputs, 1, "1 is a single output neuron.", most=2**53)
    between = (corrections.straight + corrections.crossed) / num_outputs
    return corrections.tangent_covariance + between


def check_corrections(given: KernelCorrections) -> None:
    """Raise SpecError for something else than `KernelCorrections`."""
    remedy = "Pass the result of kernel_corrections(activation, first_kernel, widths)."
    validate.instance("corrections", given, KernelCorrections, "KernelCorrections", remedy)
