"""A complete network in the double limit: embedding, infinitely many blocks, readout.

x_0 = A z, A_dk ~ N(0, sigma_Z^2), y = G x_T, G_d ~ N(0, sigma_Y^2 / D), NTK parametrization:
lambda_0 = sigma_Z^2 <z, z'>. Tangent kernel, any b: readout sigma_Y^2 lambda_T, blocks sigma_Y^2
Theta, embedding sigma_Y^2 sigma_Z^2 E <z, z'>. For b = 0

    NNGP = sigma_Y^2 [sigma_Z^2 E <z, z'> + r (E - 1)],
    NTK  = sigma_Y^2 [sigma_Z^2 (C + 2) E <z, z'> + r (C E + E - 1)]

are kernels of a Bayesian linear model, singular for more than dim z + 1 inputs
(condition with noise, or in weight space).
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.diffusion.double_limit import double_limit
from deepinit.theory.diffusion.growth import (
    diffusion_constants,
    gram_matrix,
    growth_of,
    without_curvature,
)

PARTS = ("readout", "blocks", "embedding")


class NetworkKernels(NamedTuple):
    """Kernels of a complete network.

    nngp: covariance of the output; ntk: sum of the shares of the trained parts among readout
    (equal to nngp), blocks and embedding.
    """

    nngp: Float[np.ndarray, "N N"]
    ntk: Float[np.ndarray, "N N"]
    readout: Float[np.ndarray, "N N"]
    blocks: Float[np.ndarray, "N N"]
    embedding: Float[np.ndarray, "N N"]


class LinearModel(NamedTuple):
    """y = alpha + beta . z of variances intercept_var of alpha and slope_var of each beta_k."""

    intercept_var: float
    slope_var: float


def network_kernels(
    activation: ActivationLike,
    inner_products: Real[Array, "N N"] | Plain,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    *,
    embedding_var: float = 1.0,
    readout_var: float = 1.0,
    trained: tuple[str, ...] = PARTS,
) -> NetworkKernels:
    """NNGP and NTK of the complete network in the double limit, with its parts' shares.

    Args:
        inner_products: <z_i, z_j>, not divided by the dimension.
        embedding_var: sigma_Z^2, of one weight; 1 / dim z keeps the inputs' scale.
        readout_var: sigma_Y^2; a readout weight has variance readout_var / D.
        trained: parts in `ntk`.

    Other arguments and errors: `double_limit`. Valid for: the double limit, Gaussian embedding.
    Reference: arXiv:2007.03253, sections 5 and 6.3 (its variances Z/I and 1/D read 1/Z and 1).
    """
    scale_in, scale_out = _scales(embedding_var, readout_var)
    parts = _parts(trained)
    products = gram_matrix("inner_products", inner_products)
    limit = double_limit(activation, scale_in * products, weight_var, bias_var, horizon)
    slope = diffusion_constants(activation).slope
    factor = growth_of(slope, weight_var, bias_var, horizon).factor
    shares = {
        "readout": scale_out * limit.overlap,
        "blocks": scale_out * limit.block_kernel,
        "embedding": scale_out * factor * scale_in * products,
    }
    ntk = sum((shares[part] for part in parts), np.zeros_like(products))
    return NetworkKernels(shares["readout"], ntk, **shares)


def linear_model(
    activation: ActivationLike,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    *,
    embedding_var: float = 1.0,
    readout_var: float = 1.0,
    trained: tuple[str, ...] = ("readout",),
) -> LinearModel:
    """The Bayesian linear model with the kernel of the complete network, b = 0.

        trained part    intercept_var             slope_var
        readout         sigma_Y^2 r (E - 1)       sigma_Y^2 sigma_Z^2 E
        blocks          sigma_Y^2 r C E           sigma_Y^2 sigma_Z^2 C E
        embedding       0                         sigma_Y^2 sigma_Z^2 E

    Several trained parts add; the readout alone is the NNGP. Arguments: `network_kernels`.
    SpecError also for phi''(0) != 0. Reference: arXiv:2007.03253, sections 5 and 6.5, eq. (41).
    """
    scale_in, scale_out = _scales(embedding_var, readout_var)
    growth = growth_of(without_curvature(activation).slope, weight_var, bias_var, horizon)
    trained_blocks = growth.bias_rate * growth.horizon * growth.factor
    shares = {
        "readout": (growth.bias_gain, growth.factor),
        "blocks": (trained_blocks, growth.exponent * growth.factor),
        "embedding": (0.0, growth.factor),
    }
    intercept, slope = (sum(shares[part][which] for part in _parts(trained)) for which in (0, 1))
    return LinearModel(scale_out * intercept, scale_out * scale_in * slope)


def _scales(embedding_var: Any, readout_var: Any) -> tuple[float, float]:
    return (
        validate.positive("embedding_var", embedding_var, "1 / dimension keeps the inputs' scale."),
        validate.positive("readout_var", readout_var, "1 keeps the scale of the last layer."),
    )


def _parts(trained: Any) -> tuple[str, ...]:
    given = (trained,) if isinstance(trained, str) else tuple(trained)
    if not set(given) <= set(PARTS) or len(set(given)) != len(given) or not given:
        raise SpecError(f"trained={trained!r}", f"one or more of {', '.join(PARTS)}, each once")
    return given
