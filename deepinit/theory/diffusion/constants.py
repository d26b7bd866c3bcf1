"""What the limit of infinitely many blocks needs of the activations: the outer one's Taylor
coefficients, and how fast the inner one grows."""

from typing import Any

from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.explosions import growth_order, may_explode
from deepinit.core.taylor import Taylor as DiffusionConstants
from deepinit.core.taylor import taylor_at_zero as diffusion_constants

__all__ = [
    "DiffusionConstants",
    "diffusion_constants",
    "growth_order",
    "may_explode",
    "without_curvature",
]


def without_curvature(activation: Any) -> DiffusionConstants:
    """The constants of an activation with b = 0, for the laws of the linear diffusion; refused
    otherwise."""
    constants = diffusion_constants(activation)
    if constants.curvature != 0.0:
        raise SpecError(
            f"the activation {as_activation(activation)!r} with phi''(0) = {constants.curvature:.6g}",
            "activations with phi''(0) = 0 (tanh, erf, sin, linear): the diffusion is then linear and cannot explode",
            "With phi''(0) != 0 it may explode at any finite width; `double_limit` has the limit of large width.",
        )
    return constants
