"""Checks of the corrections of order 1/width."""

import math
from typing import Literal

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import ResourceError, SpecError
from deepinit.core.gaussian import normal_rule
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.numerics.homogeneous_layers import width_array
from deepinit.theory.numerics.normal_nodes import values_and_derivatives

LARGEST_SUM = 3.0  # of 1/width: first order is off by 1e5 there for ReLU, by 3 for tanh
_LARGEST_BYTES = 2 * 2**30
_PARALLEL = 1e-10  # 1 - |rho|
Vertex = Literal["pairs", "all"]


def differentiable(activation: ActivationLike, variance: float) -> Activation:
    """The activation, whose derivative is that of its values: E phi' = E z phi / K, in L2."""
    phi = as_activation(activation)
    if phi.slopes is not None:
        return phi
    std = math.sqrt(variance)
    kinks = tuple(kink / std for kink in phi.kinks)
    nodes, weights = normal_rule(kinks)
    height, slope = values_and_derivatives(phi, std * nodes)
    by_parts, direct = float(weights @ (nodes * height)) / std, float(weights @ slope)
    scale = math.sqrt(float(weights @ slope**2)) + math.sqrt(float(weights @ height**2)) / std
    if not abs(by_parts - direct) <= 1e-6 * scale:
        raise SpecError(
            f"{phi!r}, whose mean derivative is {direct:.6g}, by its values {by_parts:.6g}",
            "continuous activations, smooth between their kinks",
            "Declare kinks of phi or phi', from_function(fn, kinks=(0.0,)); steps are excluded.",
        )
    finer, masses = normal_rule(kinks, 481)
    squares = (
        float(weights @ slope**2),
        float(masses @ values_and_derivatives(phi, std * finer)[1] ** 2),
    )
    if not abs(squares[0] - squares[1]) <= 1e-3 * squares[1]:
        given = f"{phi!r}, whose E phi'^2 does not converge ({squares[0]:.6g}, {squares[1]:.6g})"
        allowed = "activations with a bounded first derivative"
        raise SpecError(given, allowed, "Bound the derivative, or declare the kinks.")
    return phi


def kernel_matrix(
    name: str, kernel: Real[Array, "k k"] | Plain, *, parallel: bool = False
) -> Float[np.ndarray, "k k"]:
    """Covariance matrix, variances > 0, no parallel inputs unless allowed."""
    given = validate.array(name, kernel, remedy="Take X X^T.")
    matrix = validate.symmetric(name, np.atleast_2d(given), remedy="Take X X^T.")
    if not (np.diag(matrix) > 0.0).all():
        which = int(np.argmin(np.diag(matrix)))
        zero = f"{name} with entry {matrix[which, which]:g} of input {which} with itself"
        raise SpecError(zero, "positive variances", "Leave out inputs that are 0, or take biases.")
    scale = np.sqrt(np.diag(matrix))
    rho = matrix / np.outer(scale, scale)
    close = np.argwhere(np.triu(np.abs(rho) > 1.0 - _PARALLEL, 1))
    if len(close) and not parallel:
        a, b = map(int, close[0])
        pair = f"inputs {a} and {b} of correlation {rho[a, b]:.12g}"
        allowed = f"no two parallel inputs (1 - |correlation| > {_PARALLEL:g})"
        raise SpecError(pair, allowed, "Leave one of the two out; it has no information.")
    if np.linalg.eigvalsh(rho)[0] < -1e-10 * len(rho):
        negative = f"{name} with a negative eigenvalue"
        raise SpecError(negative, "positive semi-definite matrices", "Take X X^T.")
    return matrix


def layer_widths(widths: Real[Array, "layers"] | Plain) -> np.ndarray:
    """Integers >= 1, at least one."""
    sizes = width_array(widths)
    if sizes.ndim != 1 or not sizes.size:
        raise SpecError(f"widths={widths!r}", "one integer per hidden layer", "Write (256,) * 10.")
    return sizes


def check_range(sizes: np.ndarray) -> None:
    """Raise SpecError if sum 1/width > `LARGEST_SUM`."""
    total = float(np.sum(1.0 / sizes))
    if total > LARGEST_SUM:
        allowed = f"up to {LARGEST_SUM:g}; the range is 0.1 (ReLU) to 0.5 (critical tanh)"
        remedy = "Take wider or fewer layers, or `homogeneous_kernel_moment`, `..._ntk_moments`."
        raise SpecError(f"a sum of 1/width of {total:.3g}", allowed, remedy)


def per_layer(
    name: str,
    given: Real[Array, "layers"] | Plain,
    depth: int,
    least: float,
    strictly: bool = False,
) -> Float[np.ndarray, "layers"]:
    """One value per layer, from one number or one per layer."""
    numbers = validate.real_numbers(given)
    if numbers is not None and numbers.ndim == 0:
        numbers = np.full(depth, float(numbers))
    fits = numbers is not None and numbers.shape == (depth,) and np.isfinite(numbers).all()
    if numbers is None or not (fits and (numbers > least if strictly else numbers >= least).all()):
        allowed = f"finite, {'>' if strictly else '>='} {least:g}: one number or [{depth}]"
        remedy = "Entry l belongs to the weights and biases that follow hidden layer l."
        raise SpecError(f"{name}={given!r}", allowed, remedy)
    return numbers


def check_memory(num_inputs: int, depth: int, vertex: str) -> None:
    """Raise ResourceError if four-point tensors do not fit."""
    validate.choice("vertex", vertex, ("pairs", "all"), "'pairs' is exact and cheap.")
    count = num_inputs * (num_inputs + 1) // 2
    needed = 8 * count**2 * (5 * depth + 30)  # five tensors per layer, 30 for the current layer
    if needed > _LARGEST_BYTES:
        raise ResourceError(
            f"{num_inputs} inputs and {depth} layers, {needed} bytes ({needed / 2**30:.3g} GiB)",
            f"{_LARGEST_BYTES} bytes ({_LARGEST_BYTES // 2**30} GiB) of covariances",
            "An entry depends on its two inputs only: take the inputs two by two.",
        )
