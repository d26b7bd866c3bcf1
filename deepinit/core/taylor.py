"""The Taylor coefficients of an activation at 0, as far as a residual network of infinite depth sees it.

A block adds phi(h) with h of variance v / depth, so that over all blocks

    sum phi(h) = depth phi(0) + a sum h + (b/2) sum h^2 + ...,    a = phi'(0), b = phi''(0):

sum h tends to a Gaussian, sum h^2 to the number v, and what follows to 0. A value phi(0) other than 0 has no limit, and neither has a
kink at 0, by which every block adds the mean jump * E|h| / 2 of order depth^(-1/2).
"""

import functools
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import BUILTIN, Activation
from deepinit.core.errors import SpecError, refusal
from deepinit.core.gaussian import on_host, values

_STEP = 1e-5  # a smooth function's first two derivatives change by about this much beside 0
_ROUNDING = 1e-12


class Taylor(NamedTuple):
    """phi(h) = slope h + curvature h^2 / 2 + O(h^3)."""

    slope: float
    curvature: float


@functools.lru_cache(maxsize=256)
def taylor_at_zero(phi: Activation) -> Taylor:
    """a = phi'(0) and b = phi''(0), for the activation that ends a residual block.

    Args:
        phi: any activation with phi(0) = 0 and two derivatives there.

    Returns:
        float64, to rounding: automatic differentiation of the derivative that the activation carries.

    Raises:
        SpecError: phi(0) is not 0 (softplus, sigmoid); a kink at 0 (ReLU).
    """
    if phi.slopes is not None and phi.slopes[0] == phi.slopes[1]:
        return Taylor(float(phi.slopes[1]), 0.0)
    if 0.0 in phi.kinks:
        raise _kinked(phi)
    at_zero = float(values(phi, np.zeros(())))
    if not abs(at_zero) <= _ROUNDING:
        raise SpecError(
            refusal(
                f"the activation {phi!r}, whose value at 0 is {at_zero:.6g}, at the end of residual blocks of infinite depth",
                "phi(0) = 0 (tanh, erf, sin, SiLU, GELU, linear, ...): otherwise every block adds phi(0), infinitely often",
                f"Subtract it: x -> phi(x) - {at_zero:.6g}. Before the weights (inner_activation) any value is fine.",
            )
        )
    derivatives = _derivatives(phi, np.array([-_STEP, 0.0, _STEP]))
    jumps = np.abs(derivatives - derivatives[:, 1:2])
    if not (np.isfinite(jumps).all() and jumps.max() <= 1e3 * _STEP * (1.0 + np.abs(derivatives).max())):
        raise _kinked(phi)
    slope, curvature = (float(value) if abs(value) > _ROUNDING else 0.0 for value in derivatives[:, 1])
    return Taylor(slope, curvature)


def _derivatives(phi: Activation, points: np.ndarray) -> np.ndarray:
    """[2, points]: phi' and phi''."""

    def both(x):
        import jax
        import jax.numpy as jnp

        derivative = phi.derivative if phi.name in BUILTIN else jax.vmap(jax.grad(phi))
        return jnp.stack(jax.jvp(derivative, (x,), (jnp.ones_like(x),)))

    return on_host(both, points)


def _kinked(phi: Activation) -> SpecError:
    return SpecError(
        refusal(
            f"the activation {phi!r}, which is not smooth at 0, at the end of residual blocks of infinite depth",
            "two derivatives at 0 (tanh, erf, sin, SiLU, GELU, linear, ...): a kink adds a mean of order depth^(-1/2) in every block",
            "Take it as inner_activation, before the weights, where kinks do no harm.",
        )
    )
