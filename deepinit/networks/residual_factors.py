"""Stretch of a tangent by each residual block of one random network: O(1) per block, whatever the widths.

In the block x + V phi(W x + b), the inner layer phi(W x + b) is one of `networks.factors`: it stretches a tangent by a
factor that is independent of the past. V maps the inner tangent to a Gaussian vector with equal independent entries,
independent of the tangent e_1 of the trunk, so only its part along e_1 and the squared length of the rest matter:

    |e_1 + tau g|^2 = (1 + tau g_1)^2 + tau^2 chi^2_{n - 1},    tau^2 = strength X / n,

with n the width of the trunk and X the inner factor of mean 1. The mean of the squared stretch is 1 + strength.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import is_traced
from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.networks.chi_square import log_chi_square, normal_from_bits
from deepinit.networks.factors import RELU_SLOPES, WIDEST, log_layer_factors


def log_residual_factors(
    key: Any,
    width: int,
    inner_widths: tuple[int, ...],
    strengths: Any,
    *,
    slopes: tuple[float, float] = RELU_SLOPES,
    dtype: Any = "float32",
) -> jax.Array:
    """Logarithms of the squared stretch of one tangent by every residual block x + V phi(W x + b) of one network.

    log |e_1 + tau g|^2 (see the module's docstring). With V_ij ~ N(0, s / inner) and W_ij ~ N(0, v / width), strength =
    s v (left^2 + right^2) / 2, which is s for He weights in ReLU blocks.

    Args:
        key: the network's key.
        width: neurons of the trunk.
        inner_widths: neurons of each block's inner layer, static.
        strengths: [blocks] or a number, >= 0.
        slopes: (left, right) of the activation.
        dtype: of the result. Both dtypes take the same random bits, so they give the same network to rounding.

    Returns:
        [blocks], with nothing divided out: cumsum(log_residual_factors) = log ||J_l u||^2. No tangent dies.

    Raises:
        SpecError: no blocks, a width that is no integer in [1, 2^23], slopes that are both 0 or not finite, strengths
            that are negative, not finite or of another shape.

    Valid for: every width and depth, exactly in law, at one point; b symmetric about 0 and independent of W.

    Reference: derivation in the module docstring.
    """
    validate.integer("width", width, 1, "Give the trunk a whole number of neurons.", most=WIDEST)
    inner_key, along_key, rest_key = (jax.random.fold_in(key, purpose) for purpose in range(3))
    inner = log_layer_factors(inner_key, inner_widths, slopes=slopes, dtype=dtype)
    _check_strengths(strengths, len(inner_widths))
    tau2 = jnp.asarray(strengths, dtype) / width * jnp.exp(inner)
    with sequential_bits():
        normal = normal_from_bits(jax.random.bits(along_key, inner.shape, "uint32"), dtype)
    along = jnp.sqrt(tau2) * normal
    across = tau2 * jnp.exp(log_chi_square(rest_key, jnp.full(inner.shape, width - 1), 1.0, dtype))
    growth = along * (2 + along) + across
    return jnp.where(growth > -0.5, jnp.log1p(growth), jnp.log((1 + along) ** 2 + across))


def _check_strengths(strengths: Any, num_blocks: int) -> None:
    if np.shape(strengths) not in ((), (num_blocks,)):
        raise SpecError(
            f"strengths of shape {np.shape(strengths)}",
            f"a number, or [{num_blocks}]",
            "Give one for every block.",
        )
    if is_traced(strengths):
        return
    values = np.asarray(strengths, np.float64)
    if not (np.isfinite(values) & (values >= 0)).all():
        raise SpecError(f"strengths={strengths!r}", "finite numbers >= 0", "They are variances.")
