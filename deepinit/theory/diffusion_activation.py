"""What the limit of infinitely many blocks needs of the activations: the outer one's Taylor coefficients, and how fast the inner one grows."""

import math
from typing import Any

import numpy as np

from deepinit.core.activations import Activation, as_activation, linear
from deepinit.core.errors import SpecError, refusal
from deepinit.core.gaussian import values
from deepinit.core.taylor import Taylor as DiffusionConstants
from deepinit.core.taylor import taylor_at_zero as diffusion_constants

__all__ = ["DiffusionConstants", "diffusion_constants", "growth_order", "may_explode", "without_curvature"]


def may_explode(activation: Any, inner: Any = linear) -> bool:
    """May the diffusion dx = a dW psi(x) + (b/2) diag Var dt + ... reach infinity in finite time?

    Not if psi grows at most like |x|^(1/2) (bounded functions among them), and not if psi grows at most linearly and
    b = phi''(0) = 0; otherwise explosion is possible, at finite width with positive probability at every time.

    Args:
        activation: phi, as for `diffusion_constants`.
        inner: psi: an `Activation`, a built-in's name or a JAX function.

    Returns:
        True where neither condition holds.

    Raises:
        SpecError: as `diffusion_constants`.

    Valid for: Gaussian weights. The growth exponent of psi is read off between 10^4 and 4 * 10^4, to one decimal.

    Reference: arXiv:2007.03253, section 4 (where "= 0" is missing after phi''(0)).
    """
    order = growth_order(as_activation(inner))
    return order > 1.0 or (order > 0.5 and diffusion_constants(activation).curvature != 0.0)


def growth_order(psi: Activation) -> float:
    """The power of |x| with which psi grows far out, to one decimal; 0 if it is bounded, infinite beyond every power."""
    if psi.is_homogeneous:
        return 1.0
    spread = np.geomspace(1.0, 2.0, 16, endpoint=False)  # an oscillating function is not judged by one value
    with np.errstate(over="ignore", invalid="ignore"):
        first, second = (
            float(np.max(np.abs(values(psi, size * np.concatenate([-spread, spread]))))) for size in (1e4, 2e4)
        )
    if not math.isfinite(second):
        return math.inf
    return max(0.0, round(math.log2(second / first), 1)) if first > 0.0 < second else 0.0


def without_curvature(activation: Any) -> DiffusionConstants:
    """The constants of an activation with b = 0, for the laws of the linear diffusion; refused otherwise."""
    constants = diffusion_constants(activation)
    if constants.curvature != 0.0:
        raise SpecError(
            refusal(
                f"the activation {as_activation(activation)!r} with phi''(0) = {constants.curvature:.6g}",
                "activations with phi''(0) = 0 (tanh, erf, sin, linear): the diffusion is then linear and cannot explode",
                "With phi''(0) != 0 it may explode at any finite width; `double_limit` has the limit of large width.",
            )
        )
    return constants
