"""Deterministic recursions for the angle of two inputs through a ReLU network."""

import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import array_namespace, as_floats
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Like, Plain, Real
from deepinit.theory.angles.layer import rho
from deepinit.theory.angles.relu import next_angle
from deepinit.theory.angles.small_angle import check_width

_COLLINEAR = -1400.0  # floor of ln sin^2
DRIFT = 2.0 / (3.0 * math.pi)  # of -ln sin^2 per layer and radian at infinite width, small angles


def infinite_width_angles(
    theta0: Real[Array, "*shape"] | Plain, depth: int
) -> Float[Like, "layers *shape"]:
    """Angle of two inputs layer by layer at infinite width: theta_L ~ 3 pi / L.

    Arc-cosine kernel of order one, relative error a few roundings per layer; from theta0 in [0,
    pi]. NumPy float64, or JAX in theta0's dtype. Valid for: ReLU, no bias, weights of finite
    variance. Reference: arXiv:2302.09712v3.
    """
    depth = validate.integer("depth", depth, 0, "It counts the layers after the input.")
    xp = array_namespace(theta0)
    (theta,) = as_floats(xp, theta0)
    validate.angle(theta)
    return _iterate(xp, lambda angle, _: next_angle(angle), theta, np.zeros(depth))


def approximation_1(
    theta0: Real[Array, "*shape"] | Plain, widths: Sequence[int]
) -> Float[Like, "layers *shape"]:
    """ln sin^2 of the angle after each layer by the paper's Approximation 1.

    X_{l+1} = X_l - (2/(3 pi)) theta_l - rho(n_{l+1}), X_0 = ln sin^2(theta_0),
    theta_l = arcsin(exp(X_l / 2)) for l >= 1, n_l >= 2. NumPy float64, or JAX in theta0's dtype.
    Valid for: ReLU, small angles, wide layers. rho overstates the drift by 92/n^2 per layer, theta
    at the mean understates it, unlike `log_sin2_propagation`. Reference: arXiv:2302.09712v3,
    Approximation 1.
    """
    check_widths(widths, 2)
    xp = array_namespace(theta0)
    (theta,) = as_floats(xp, theta0)
    validate.angle(theta)
    start = log_sin2(theta)

    def step(x: Any, drift: Any) -> Any:
        return x - DRIFT * acute_angle(x) - drift

    drifts = rho(np.asarray(widths))
    return _iterate(xp, step, start - DRIFT * theta - drifts[0], drifts[1:])


def log_sin2(theta: Float[Like, "*shape"]) -> Float[Like, "*shape"]:
    """ln sin^2(theta); -inf at 0."""
    xp = array_namespace(theta)
    with np.errstate(divide="ignore"):
        return 2.0 * xp.log(xp.sin(xp.minimum(theta, math.pi - theta)))


def acute_angle(x: Float[Like, "*shape"]) -> Float[Like, "*shape"]:
    """Angle in [0, pi/2] with ln sin^2 = x; pi/2 for x > 0."""
    xp = array_namespace(x)
    return xp.arcsin(xp.exp(0.5 * xp.minimum(xp.where(x > _COLLINEAR, x, _COLLINEAR), 0.0)))


def check_widths(widths: Sequence[int], least: int) -> None:
    """Refuse no widths and widths below `least`."""
    if np.ndim(widths) != 1 or len(widths) == 0:
        raise SpecError(f"widths={widths!r}", "one whole number per layer", "Write (256,) * depth.")
    check_width(widths, least, "every layer")


def _iterate(
    xp: ModuleType, step: Callable[[Any, Any], Any], start: Any, inputs: np.ndarray
) -> Any:
    """Orbit of start under step(., inputs[l])."""
    if xp is np:
        states = [start]
        for value in inputs:
            states.append(step(states[-1], value))
        return np.stack(states)
    import jax

    def body(state: Any, value: Any) -> tuple[Any, Any]:
        following = step(state, value)
        return following, following

    _, states = jax.lax.scan(body, start, xp.asarray(inputs, dtype=start.dtype))
    return xp.concatenate([start[None], states])
