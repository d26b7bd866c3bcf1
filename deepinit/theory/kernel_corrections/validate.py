"""What the corrections of order 1/width accept, and refusals in words."""

import math
from typing import Any, Literal

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import ResourceError, SpecError
from deepinit.core.gaussian import normal_rule
from deepinit.theory.numerics.normal_nodes import values_and_slopes
from deepinit.theory.numerics.validate import width_array

LARGEST_SUM = 3.0  # of 1/width: beyond it the first order says nothing (it is off by a factor 1e5 for ReLU, by 3 for tanh)
_LARGEST_BYTES = 2 * 2**30
_PARALLEL = 1e-10  # 1 - |rho|
Vertex = Literal["pairs", "all"]


def checked_activation(activation: Any, variance: float) -> Activation:
    """An activation without jumps whose derivative is that of its values: E phi' = E z phi / K at
    the given variance."""
    phi = as_activation(activation)
    if phi.slopes is not None:
        return phi
    std = math.sqrt(variance)
    kinks = tuple(kink / std for kink in phi.kinks)
    nodes, weights = normal_rule(kinks)
    height, slope = values_and_slopes(phi, std * nodes)
    by_parts, direct = float(weights @ (nodes * height)) / std, float(weights @ slope)
    scale = math.sqrt(float(weights @ slope**2)) + math.sqrt(float(weights @ height**2)) / std
    if not abs(by_parts - direct) <= 1e-6 * scale:
        raise SpecError(
            f"the activation {phi!r}, whose derivative ({direct:.6g} on average) is not that of its values ({by_parts:.6g})",
            "continuous activations with a first derivative, smooth between their kinks",
            "Declare where the derivative jumps, or the second one (ELU), from_function(fn, kinks=(0.0,)). A step or a staircase has no tangent kernel.",
        )
    finer, masses = normal_rule(kinks, 481)
    squares = float(weights @ slope**2), float(masses @ values_and_slopes(phi, std * finer)[1] ** 2)
    if not abs(squares[0] - squares[1]) <= 1e-3 * squares[1]:
        raise SpecError(
            f"the activation {phi!r}, whose squared derivative has no mean that quadrature finds ({squares[0]:.6g}, {squares[1]:.6g} on finer nodes)",
            "activations with a bounded first derivative",
            "Without E phi'^2 there is no tangent kernel: take a function whose slope stays finite, or declare its kinks.",
        )
    return phi


def checked_kernel(name: str, kernel: Any, *, parallel: bool = False) -> np.ndarray:
    """[k, k], symmetric, positive semi-definite, no two inputs parallel unless allowed; a number is
    one input."""
    given = validate.real_numbers(kernel)
    matrix = given.reshape(1, 1) if given is not None and given.ndim == 0 else given
    if matrix is None or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise SpecError(
            f"{name} of {validate.shape_text(kernel)}",
            "[inputs, inputs]",
            "It is the kernel of the first layer.",
        )
    scale = np.sqrt(np.abs(np.diag(matrix)))
    if not (
        np.isfinite(matrix).all() and np.abs(matrix - matrix.T).max() <= 1e-12 * scale.max() ** 2
    ):
        raise SpecError(
            f"{name} that is not symmetric or not finite", "symmetric matrices", "Take X X^T."
        )
    if not (np.diag(matrix) > 0.0).all():
        which = int(np.argmin(np.diag(matrix)))
        raise SpecError(
            f"{name} with entry {matrix[which, which]:g} of input {which} with itself",
            "positive variances",
            "Leave out inputs that are 0, or take biases.",
        )
    rho = matrix / np.outer(scale, scale)
    close = np.argwhere(np.triu(np.abs(rho) > 1.0 - _PARALLEL, 1))
    if len(close) and not parallel:
        a, b = (int(each) for each in close[0])
        raise SpecError(
            f"inputs {a} and {b} of correlation {rho[a, b]:.12g}",
            f"inputs of which no two are parallel (1 - |correlation| > {_PARALLEL:g})",
            "Leave one of the two out: for equal inputs, or proportional ones without biases, it carries nothing new.",
        )
    if np.linalg.eigvalsh(rho)[0] < -1e-10 * len(rho):
        raise SpecError(
            f"{name} with a negative eigenvalue", "positive semi-definite matrices", "Take X X^T."
        )
    return matrix


def checked_layers(widths: Any) -> np.ndarray:
    """[layers] integers >= 1, at least one."""
    sizes = width_array(widths)
    if sizes.ndim != 1 or not sizes.size:
        raise SpecError(f"widths={widths!r}", "one integer per hidden layer", "Write (256,) * 10.")
    return sizes


def checked_widths(widths: Any) -> np.ndarray:
    """[layers] widths >= 1 of which the inverses do not add up to nonsense."""
    sizes = checked_layers(widths)
    total = float(np.sum(1.0 / sizes))
    if total > LARGEST_SUM:
        raise SpecError(
            f"widths whose inverses add up to {total:.3g}",
            f"a sum of 1/width up to {LARGEST_SUM:g}; the expansion is good up to 0.1 (ReLU) or 0.5 (critical tanh)",
            "Take wider or fewer layers, or the exact moments (`homogeneous_kernel_moment`, `homogeneous_ntk_moments`).",
        )
    return sizes


def per_layer(
    name: str, given: Any, depth: int, least: float, strictly: bool = False
) -> np.ndarray:
    """One number for all layers or one per layer."""
    array = validate.real_numbers(given)
    if array is not None and array.ndim == 0:
        array = np.full(depth, float(array))
    sign = ">" if strictly else ">="
    good = array is not None and array.shape == (depth,) and np.isfinite(array).all()
    if array is None or not good or not (array > least if strictly else array >= least).all():
        raise SpecError(
            f"{name}={given!r}",
            f"a finite number {sign} {least:g}, or one for each of the {depth} hidden layers",
            "Entry l belongs to the weights and biases that follow hidden layer l.",
        )
    return array


def check_memory(num_inputs: int, depth: int, vertex: str) -> None:
    """Refuse four-point tensors that do not fit, before anything is computed."""
    if not (isinstance(vertex, str) and vertex in ("pairs", "all")):
        raise SpecError(f"vertex={vertex!r}", "'pairs', 'all'", "'pairs' is exact and cheap.")
    count = num_inputs * (num_inputs + 1) // 2
    needed = (
        8 * count**2 * (5 * depth + 30)
    )  # five tensors kept per layer, the rest while one layer is computed
    if needed > _LARGEST_BYTES:
        raise ResourceError(
            f"{num_inputs} inputs and {depth} layers, whose covariances of pairs of inputs take {needed} bytes ({needed / 2**30:.3g} GiB)",
            f"{_LARGEST_BYTES} bytes ({_LARGEST_BYTES // 2**30} GiB)",
            "Means and variances of an entry need the two inputs of that entry alone: take the inputs two by two.",
        )
