"""Taylor coefficients of an activation at 0, for residual networks of infinite depth.

A block adds phi(h) = a h + (b/2) h^2 + (c/6) h^3 + ..., h of variance O(dt): a gives noise and
drift, b the Ito correction (b/2) Var h, c order 1 / depth. phi(0) != 0 adds depth * phi(0), a kink
at 0 a drift of order sqrt(depth): no limit.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import on_host, values

_EXACT = {
    "linear": (1.0, 0.0, 0.0),
    "tanh": (1.0, 0.0, -2.0),
    "sin": (1.0, 0.0, -1.0),
    "erf": (2.0 / math.sqrt(math.pi), 0.0, -4.0 / math.sqrt(math.pi)),
    "silu": (0.5, 0.5, 0.0),
    "gelu": (0.5, math.sqrt(2.0 / math.pi), 0.0),
    "x_tanh": (0.0, 2.0, 0.0),
    "x2_tanh": (0.0, 0.0, 6.0),
}
_VALUES_AT_ZERO = {"softplus": math.log(2.0), "sigmoid": 0.5}
_BESIDE_ZERO = 1e-9  # relative change of a smooth function's derivatives up to there
_ROUNDING = 1e-12  # of the largest value on [-1, 1]


class Taylor(NamedTuple):
    """phi'(0), phi''(0) and phi'''(0) of the outer activation.

    With `curvature` not 0, coordinates have a mean and the limit may explode.
    """

    slope: float
    curvature: float
    third: float


def taylor_at_zero(activation: Any) -> Taylor:
    """phi'(0), phi''(0), phi'''(0) for blocks x + phi(W psi(x) + b); psi may have kinks.

    Exact for built-ins, else by autodiff in float64.
    Raises SpecError: phi(0) != 0 (softplus, sigmoid, cos); not smooth at 0 (ReLU, a hidden 0/0).
    Reference: arXiv:2007.03253, section 3.
    """
    return _constants(as_activation(activation))


@functools.lru_cache(maxsize=256)
def _constants(phi: Activation) -> Taylor:
    """Cached: differentiation costs 50 ms."""
    if phi.slopes is not None and phi.slopes[0] == phi.slopes[1]:
        return Taylor(phi.slopes[0], 0.0, 0.0)
    if phi.name in _EXACT:
        return Taylor(*_EXACT[phi.name])
    if 0.0 in phi.kinks:
        raise _not_smooth(phi)
    at_zero = _VALUES_AT_ZERO.get(phi.name)
    if at_zero is None:
        at_zero = float(on_host(phi, np.zeros(())))
    size = float(np.abs(values(phi, np.linspace(-1.0, 1.0, 65))).max())
    if not abs(at_zero) <= _ROUNDING * size:
        raise SpecError(
            f"the activation {phi!r}, whose value at 0 is {at_zero:.6g}",
            "outer activations with phi(0) = 0 (tanh, erf, sin, SiLU, GELU, linear, ...)",
            f"Take the activation minus {at_zero:.6g}, as in softplus(x) - log 2.",
        )
    left, middle, right = _derivatives(phi, np.array([-_BESIDE_ZERO, 0.0, _BESIDE_ZERO]))
    scale = size + np.max(np.abs(middle))
    jump = np.maximum(np.abs(left - middle), np.abs(right - middle))
    if not (np.isfinite(jump).all() and (jump < 1e3 * _BESIDE_ZERO * scale).all()):
        raise _not_smooth(phi)
    return Taylor(*(float(value) if abs(value) > _ROUNDING * size else 0.0 for value in middle))


def _derivatives(phi: Activation, points: np.ndarray) -> np.ndarray:
    """[points, 3]: first three derivatives in float64."""

    def stacked(x):
        import jax
        import jax.numpy as jnp

        first = jax.grad(lambda t: phi(t))
        second = jax.grad(first)
        third = jax.grad(second)
        return jax.vmap(lambda t: jnp.stack([first(t), second(t), third(t)]))(x)

    return on_host(stacked, points)


def _not_smooth(phi: Activation) -> SpecError:
    return SpecError(
        f"the activation {phi!r}, which is not smooth at 0",
        "outer activations with three derivatives at 0 (tanh, erf, sin, SiLU, GELU, linear, ...)",
        "A kink at 0 gives every block a drift of order sqrt(horizon / depth), without a limit; "
        "as inner_activation ReLU is allowed.",
    )
