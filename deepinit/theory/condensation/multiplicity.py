"""Multiplicity of an activation, from both sides of 0.

Automatic derivatives at kinks follow a convention (JAX's relu'(0) is 0): each is checked against
(sigma(h) - sigma(0)) / h^k at h, h/2, h/4, extrapolated to h = 0 from each side.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import on_host, values
from deepinit.core.typing import ActivationLike

HIGHEST_MULTIPLICITY = 6  # nested derivatives double their cost with every order
_NEGLIGIBLE = 1e-7  # smaller coefficients are rounding of float32 constants in a user's function


class Multiplicity(NamedTuple):
    """sigma(s) = value_at_0 + c s^p + ..., c = sigma^{(p)}(0) / p!; left, right: c by side."""

    p: int
    value_at_0: float
    c: float
    left: float
    right: float


def multiplicity(activation: ActivationLike) -> Multiplicity:
    """Multiplicity p: the smallest p >= 1 with sigma^{(p)}(0) != 0, equal from both sides.

    p = 1: tanh, GELU, sigmoid; 2: s tanh(s), cos; 3: s^2 tanh(s). Coefficients below 1e-7 of the
    largest value on [-1, 1] count as 0. SpecError: different expansions on the two sides of 0
    (ReLU, leaky ReLU, SELU, |s|); sigma or a derivative not finite at 0; no term up to order 6.
    Valid for: a Taylor expansion at 0 from each side to order p + 1. Reference: arXiv:2105.11686
    (definition).
    """
    sigma = as_activation(activation)
    points = np.concatenate([-_all_steps()[::-1], [0.0], _all_steps()])
    samples = values(sigma, points)
    middle = len(points) // 2
    if samples.shape != points.shape or not np.isfinite(samples).all():
        given = f"the activation {sigma!r}, whose values near 0 are not finite or not elementwise"
        remedy = "Guard divisions at 0 inside jnp.where on both branches."
        raise SpecError(given, "elementwise functions that are finite on [-1, 1]", remedy)
    origin = float(samples[middle])
    scale = float(np.abs(samples - origin).max())
    floor = _NEGLIGIBLE * scale
    derivative: Callable[[Any], Any] = sigma
    for p in range(1, HIGHEST_MULTIPLICITY + 1) if scale > 0.0 else ():
        derivative = _differentiated(derivative)
        left, left_error = _one_sided(-_all_steps(), samples[middle - 1 :: -1] - origin, origin, p)
        right, right_error = _one_sided(_all_steps(), samples[middle + 1 :] - origin, origin, p)
        error = max(left_error, right_error)
        if max(abs(left), abs(right)) + error < floor:
            continue  # 0 from both sides
        c = float(on_host(derivative, np.zeros(()))) / math.factorial(p)
        tolerance = 1e-4 * abs(c) + 10.0 * error + floor
        if not max(abs(left - c), abs(right - c)) <= tolerance or not math.isfinite(c):
            raise _different_sides(sigma, p, left, right)
        if abs(c) > floor:
            return Multiplicity(p, origin if abs(origin) > floor else 0.0, c, left, right)
    given = f"the activation {sigma!r}, flat at 0 up to order {HIGHEST_MULTIPLICITY}"
    allowed = f"activations with a nonzero derivative of order 1 to {HIGHEST_MULTIPLICITY} at 0"
    raise SpecError(given, allowed, "Neurons at a flat point do not move at tiny initialization.")


def _differentiated(fn: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def derivative(x: Any) -> Any:
        import jax
        import jax.numpy as jnp

        return jax.jvp(fn, (x,), (jnp.ones_like(x),))[1]

    return derivative


def _all_steps() -> np.ndarray:
    """Steps of the triples: powers of two down from 1."""
    return 2.0 ** -np.arange(0.0, 24.0)


def _one_sided(
    steps: np.ndarray, increments: np.ndarray, origin: float, p: int
) -> tuple[float, float]:
    """Limit of increments / steps^p and its error."""
    ratios = increments / steps**p
    once = 2.0 * ratios[1:] - ratios[:-1]  # no error of order h
    twice = (4.0 * once[1:] - once[:-1]) / 3.0  # none of order h^2
    smallest = np.abs(steps[2:])
    rounding = 1e-15 * (abs(origin) + np.abs(increments[2:]) + smallest) / smallest**p
    # Three estimates in a row exclude a chance agreement across a distant kink.
    jumps = np.abs(np.diff(twice))
    spread = np.maximum(np.abs(twice - once[1:])[1:-1], np.maximum(jumps[1:], jumps[:-1]))
    errors = spread + rounding[1:-1]
    best = int(np.argmin(errors))
    return float(twice[best + 1]), float(errors[best])


def _different_sides(sigma: Activation, p: int, left: float, right: float) -> SpecError:
    terms = f"{left:.4g} s^{p} on the left and {right:.4g} s^{p} on the right"
    given = f"the activation {sigma!r}, whose term of order {p} at 0 is {terms}"
    allowed = "activations with one Taylor expansion on both sides of 0 (tanh, sigmoid, GELU, ...)"
    remedy = "A kink at 0 has no multiplicity: for ReLU take homogeneous_orientations."
    return SpecError(given, allowed, remedy)
