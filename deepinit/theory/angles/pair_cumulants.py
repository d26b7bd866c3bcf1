"""One layer's action on an angle, to order 1/width^2, by `numerics.delta_method`."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.array_api import array_namespace, as_floats, is_traced, with_derivative_of
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Like, Plain, Real
from deepinit.theory.numerics.delta_method import angle_expansion
from deepinit.theory.numerics.gaussian_pairs import homogeneous_frame, quadrature_frame


class Coefficients(NamedTuple):
    """E ln sin^2 = log_mean + c1/n + c2/n^2 + O(n^-3), Var ln sin^2 = d1/n + d2/n^2 + O(n^-3)."""

    log_mean: Float[Like, "*shape"]
    c1: Float[Like, "*shape"]
    d1: Float[Like, "*shape"]
    c2: Float[Like, "*shape"]
    d2: Float[Like, "*shape"]


def coefficients(
    theta: Real[Array, "*shape"] | Plain,
    activation: ActivationLike,
    variances: tuple[float, float] = (1.0, 1.0),
) -> Coefficients:
    """Coefficients in 1/n of mean and variance of ln sin^2 after a layer.

    Angle between phi(u_i) and phi(v_i), i = 1..n, (u_i, v_i) i.i.d. Gaussian pairs. ReLU: c1 = 4
    (1 - T/e^2), d1 = 8 (J_22 + 1 + T/e^2 - 2 U/e) (`angles.relu`); -2 and 8 at 0, where log_mean is
    -inf, others are limits (homogeneous). Near pi log_mean has absolute accuracy. NumPy float64, or
    JAX in theta's dtype; not positively homogeneous: host float64, under jit and vmap but not grad.

    Args:
        theta: in [0, pi], angle of the preactivations at infinite width; tracers unchecked.
        variances: of u and v; no effect if positively homogeneous.

    SpecError: not positively homogeneous: a variance not positive or traced, an activation 0
    everywhere, collinear images. Valid for: independent Gaussian weights, no jumps, images neither
    zero nor collinear. Above a right angle ReLU has d1 << d2/n: use both orders. Reference:
    arXiv:2302.09712v3 (ReLU, order 1/n); `numerics.delta_method`.
    """
    activation = as_activation(activation)
    xp = array_namespace(theta)
    (angle,) = as_floats(xp, theta)
    validate.angle(angle)
    angle = with_derivative_of(angle, xp.minimum(angle, math.pi))  # pi in float32 is above pi
    if activation.slopes is not None:
        frame = homogeneous_frame(xp, angle, activation.slopes)
        with np.errstate(divide="ignore"):
            # -inf at 0, with an infinite derivative
            log_mean = xp.where(angle > 0, frame.log_sine2, xp.log(angle))
        expansion = angle_expansion(frame)
        return Coefficients(log_mean, expansion.c1, expansion.d1, expansion.c2, expansion.d2)
    if is_traced(*variances):
        allowed = "concrete variances, or a positively homogeneous activation"
        remedy = "Tabulate over a grid of variances outside jit, and interpolate inside."
        raise SpecError(f"traced variances with {activation!r}", allowed, remedy)
    var_u, var_v = (float(variance) for variance in variances)
    on_host = partial(_on_host, activation=activation, variances=(var_u, var_v))
    if is_traced(angle):
        return Coefficients(*_called_back(on_host, angle))
    return Coefficients(*(xp.asarray(row, dtype=angle.dtype) for row in on_host(angle)))


def _on_host(theta: Any, activation: Activation, variances: tuple[float, float]) -> np.ndarray:
    """[5, ...]: rows of `Coefficients`."""
    angles = np.minimum(np.asarray(theta, dtype=np.float64), math.pi)
    rows = [_host_coefficients(activation, float(angle), variances) for angle in angles.ravel()]
    return np.array(rows, dtype=np.float64).reshape(-1, 5).T.reshape(5, *angles.shape)


def _called_back(function: Callable[[Any], np.ndarray], theta: Any) -> Any:
    """Rows of `function` by host callback."""
    import jax

    row = jax.ShapeDtypeStruct(theta.shape, theta.dtype)

    @jax.custom_jvp
    def called(theta: Any) -> Any:
        return jax.pure_callback(
            lambda angle: tuple(function(angle).astype(row.dtype)),
            (row,) * 5,
            theta,
            vmap_method="expand_dims",
        )

    @called.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        given = "a derivative in the angle of an activation that is not positively homogeneous"
        remedy = "Take a difference of two angles outside jax.grad."
        raise SpecError(given, "values, or a positively homogeneous activation", remedy)

    return called(theta)


def _host_coefficients(
    activation: Activation, theta: float, variances: tuple[float, float]
) -> tuple[float, ...]:
    frame = quadrature_frame(activation, theta, variances)
    expansion = angle_expansion(frame)
    return tuple(float(value) for value in (frame.log_sine2, *expansion))
