"""Squared growth of a tangent in each residual block, in O(1) per block.

The inner layer of x + V phi(W x + b) multiplies a tangent by an independent factor X of mean 1
(`networks.factors`). V is Gaussian: with tangent e_1 and width n of the trunk,
    |e_1 + tau g|^2 = (1 + tau g_1)^2 + tau^2 chi^2_{n - 1},    tau^2 = strength X / n.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.array_api import is_traced
from deepinit.core.generator import sequential_bits
from deepinit.networks.chi_square import log_chi_square, normal_from_bits
from deepinit.networks.factors import RELU_SLOPES, WIDEST, log_layer_factors


def log_residual_factors(
    key: jax.Array,
    width: int,
    inner_widths: tuple[int, ...],
    strengths: Any,
    *,
    slopes: tuple[float, float] = RELU_SLOPES,
    dtype: DTypeLike = "float32",
) -> jax.Array:
    """Log squared growth of a tangent in every block x + V phi(W x + b).

    cumsum = log ||J_l u||^2, finite; mean growth 1 + strength. For V_ij ~ N(0, s / inner), W_ij ~
    N(0, v / width): strength = s v (left^2 + right^2) / 2, or s for He weights in ReLU blocks.
    `width`: of the trunk. `inner_widths`: of the blocks, static. `strengths`: [blocks] or a
    number, >= 0. `slopes`, `dtype`: as for `log_layer_factors`.
    Raises SpecError: no blocks, or an argument out of range.
    Valid for: as `log_layer_factors`, b independent of W.
    """
    validate.integer("width", width, 1, most=WIDEST)
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
    shape = np.shape(strengths)
    fits = shape in ((), (num_blocks,))
    validate.require(fits, f"strengths of shape {shape}", f"a number, or [{num_blocks}]")
    if not is_traced(strengths):
        values = np.asarray(strengths, np.float64)
        ok = (np.isfinite(values) & (values >= 0)).all()
        validate.require(ok, f"strengths={strengths!r}", "finite numbers >= 0")
