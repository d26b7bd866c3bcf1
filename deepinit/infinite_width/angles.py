"""Angles between two inputs by layer, at infinite width."""

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP
from deepinit.core.typing import Float
from deepinit.infinite_width.recursion import pair_layers
from deepinit.infinite_width.validate import checked_limit


def log_sin2_angles(spec: MLP, inputs: Inputs) -> Float[np.ndarray, "layers pairs"]:
    """ln sin^2 of the angle between phi(z^l) of each pair (displacement), in float64.

    cos(theta^l) = E[phi(u) phi(v)] / sqrt(E[phi(u)^2] E[phi(v)^2]), (u, v) ~ N(0, K^l),
    l = 1..depth. ReLU without bias: cos(theta^l) = (sin t + (pi - t) cos t)/pi, t = theta^{l-1},
    theta^0 the input angle; theta^l ~ 3 pi / l. Accurate relative to the angle, also far below
    1e-12; -inf for collinear images. The output layer plays no part.

    Raises SpecError: non-Gaussian biases; unresolved activation.
    Valid for: infinite width, fixed depth; finite networks are lower by about 2 depth/width.
    Reference: arXiv 2302.09712.
    """
    angles = pair_layers(spec, inputs, _log_sin2, _within_range)
    return checked_limit(angles, "ln sin^2 of the angle", along="layer", is_log=True)


def _log_sin2(after):
    return after.angle.log_sin2


def _within_range(rows):
    """Rows of homogeneous activations, rescaled into range."""
    import jax.numpy as jnp

    largest = jnp.max(rows.variance)
    # to 1e-100 and 1e100 exactly: the next layer may multiply by 1e-200 or 1e200
    target = jnp.where(largest < 1.0, 1e-100, 1e100)
    is_within = (largest >= 1e-150) & (largest <= 1e150) | (largest == 0.0)
    factor = jnp.where(is_within, 1.0, target / jnp.where(is_within, 1.0, largest))
    scaled = {name: factor * getattr(rows, name) for name in ("variance", "growth", "covariance")}
    return rows._replace(**scaled)
