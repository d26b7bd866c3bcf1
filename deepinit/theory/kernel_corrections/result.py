"""Result of `kernel_corrections`, and covariance of an output-averaged tangent kernel."""

from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.typing import Float, Int


class KernelCorrections(NamedTuple):
    """Kernels after hidden layers 1, ..., L: row l enters the layer after hidden layer l.

    p entries (a, b), a <= b, row-major upper triangle. NaN: covariances of entries with three or
    more different inputs unless vertex="all"; with a kink at 0 (ReLU), shifts and tangent
    covariances of parallel inputs, 1 - |correlation| < 1e-7.

    Attributes:
        rows, columns: a and b.
        kernel, kernel_shift, kernel_covariance: K and K1, E G = K + K1; V, the four-point vertex.
        tangent, tangent_shift: T and T1 of Theta_ii, one output.
        tangent_covariance, tangent_kernel_covariance: A = Cov(Theta_ii, Theta_jj), i != j;
            D = Cov(Theta_ii, kernel), rows: Theta.
        straight, crossed: B_{ab|cd} = E Theta_ij,ab Theta_ij,cd and B_{ab|dc}, i != j.
        angle_spread: standard deviation of the correlation over 1 - |correlation|; NaN for a = b.
            Where not small, the expansion of ReLU fails.
        sum_inverse_widths, largest_sum: r = sum of 1/width; r at which first-order variances are
            off by about 30 %: of the class, else where the relative variance would reach 0.1.
        relative_variance, relative_shift: largest V/K^2 and Var Theta/T^2; largest |K1/K| and
            |T1/T|, one input. First order fails near 1.
        vertex_error: largest relative standard error of covariances of three and four inputs.
        class_name: of `criticality_class`, at the variances after the first hidden layer.
        valid_for: hypotheses and range.
    """

    rows: Int[np.ndarray, "p"]
    columns: Int[np.ndarray, "p"]
    kernel: Float[np.ndarray, "L p"]
    kernel_shift: Float[np.ndarray, "L p"]
    kernel_covariance: Float[np.ndarray, "L p p"]
    tangent: Float[np.ndarray, "L p"]
    tangent_shift: Float[np.ndarray, "L p"]
    tangent_covariance: Float[np.ndarray, "L p p"]
    tangent_kernel_covariance: Float[np.ndarray, "L p p"]
    straight: Float[np.ndarray, "L p p"]
    crossed: Float[np.ndarray, "L p p"]
    angle_spread: Float[np.ndarray, "L p"]
    sum_inverse_widths: Float[np.ndarray, "L"]
    relative_variance: Float[np.ndarray, "L"]
    relative_shift: Float[np.ndarray, "L"]
    vertex_error: float
    largest_sum: float
    class_name: str
    valid_for: str


def tangent_covariance(
    corrections: KernelCorrections, num_outputs: int = 1
) -> Float[np.ndarray, "L p p"]:
    """A + (straight + crossed) / num_outputs: covariance of the output-averaged tangent kernel."""
    check_corrections(corrections)
    validate.integer("num_outputs", num_outputs, 1, "1 is a single output neuron.", most=2**53)
    between = (corrections.straight + corrections.crossed) / num_outputs
    return corrections.tangent_covariance + between


def check_corrections(given: KernelCorrections) -> None:
    """Raise SpecError unless given `KernelCorrections`."""
    remedy = "Pass the result of kernel_corrections(activation, first_kernel, widths)."
    validate.instance("corrections", given, KernelCorrections, "KernelCorrections", remedy)
