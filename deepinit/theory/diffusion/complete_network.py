"""A complete network in the double limit: embedding, infinitely many blocks, readout.

x_0 = A z with A_dk ~ N(0, sigma_Z^2), blocks x + phi(dW x + db), y = G x_T with
G_d ~ N(0, sigma_Y^2 / D). The coordinates start Gaussian with mean 0 and covariance
lambda_0 = sigma_Z^2 <z, z'>; gradients are in the NTK parametrization. The tangent kernel has the
shares

    readout sigma_Y^2 lambda_T,   blocks sigma_Y^2 Theta,   embedding sigma_Y^2 sigma_Z^2 E <z, z'>,

the last because backward gradients grow by E for every phi''(0). For b = 0

    NNGP = sigma_Y^2 [sigma_Z^2 E <z, z'> + r (E - 1)],
    NTK  = sigma_Y^2 [sigma_Z^2 (C + 2) E <z, z'> + r (C E + E - 1)]

are affine in <z, z'>: kernels of a Bayesian linear model y = alpha + beta . z, of rank at most
dim z + 1, hence singular for more inputs (condition with noise, or in weight space). As noise -> 0
they predict as least squares with intercept. The publication assumes, without proof, that a trained
network follows the NTK.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.theory.diffusion.double_limit import double_limit
from deepinit.theory.diffusion.growth import (
    diffusion_constants,
    gram_matrix,
    growth_of,
    without_curvature,
)

PARTS = ("readout", "blocks", "embedding")


class NetworkKernels(NamedTuple):
    """Kernels of a complete network, and the shares of its parts in the tangent kernel.

    Attributes:
        nngp: [N, N], covariance of the output; the tangent kernel of the readout.
        ntk: [N, N], sum of the shares of the trained parts.
        readout: [N, N].
        blocks: [N, N].
        embedding: [N, N].
    """

    nngp: np.ndarray
    ntk: np.ndarray
    readout: np.ndarray
    blocks: np.ndarray
    embedding: np.ndarray


class LinearModel(NamedTuple):
    """y = alpha + beta . z, of kernel intercept_var + slope_var <z, z'>.

    alpha ~ N(0, intercept_var), beta_k ~ N(0, slope_var).

    Attributes:
        intercept_var: sigma_alpha^2.
        slope_var: sigma_beta^2, of each coefficient.
    """

    intercept_var: float
    slope_var: float


def network_kernels(
    activation: Any,
    inner_products: ArrayLike,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    *,
    embedding_var: float = 1.0,
    readout_var: float = 1.0,
    trained: tuple[str, ...] = PARTS,
) -> NetworkKernels:
    """NNGP and NTK of the complete network in the double limit, with the shares of its parts.

    Formulas in the module docstring; b = phi''(0) may differ from 0 below the explosion.

    Args:
        activation: phi with phi(0) = 0, smooth at 0.
        inner_products: [N, N], <z_i, z_j> of the inputs, not divided by their dimension.
        weight_var, bias_var, horizon: sigma_w^2, sigma_b^2, T.
        embedding_var: sigma_Z^2 > 0, of one embedding weight; 1 / dim z keeps the inputs' scale.
        readout_var: sigma_Y^2 > 0; a readout weight has variance readout_var / D.
        trained: the parts whose share enters `ntk`.

    Returns:
        `NetworkKernels`.

    Raises:
        SpecError: as `double_limit`; a variance that is not positive; an unknown part.

    Valid for: the double limit, with mean 0 start (Gaussian embedding).

    Reference: arXiv:2007.03253, section 5 and section 6.3 (the variances stated there as Z/I and
        1/D read 1/Z and 1).
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
    activation: Any,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    *,
    embedding_var: float = 1.0,
    readout_var: float = 1.0,
    trained: tuple[str, ...] = ("readout",),
) -> LinearModel:
    """The Bayesian linear model with the kernel of the complete network, b = 0.

        trained part    sigma_alpha^2             sigma_beta^2
        readout         sigma_Y^2 r (E - 1)       sigma_Y^2 sigma_Z^2 E       (Bayesian inference)
        blocks          sigma_Y^2 r C E           sigma_Y^2 sigma_Z^2 C E
        embedding       0                         sigma_Y^2 sigma_Z^2 E

    and sums of these for several trained parts.

    Args:
        activation: phi with phi(0) = phi''(0) = 0.
        weight_var, bias_var, horizon: sigma_w^2, sigma_b^2, T.
        embedding_var: sigma_Z^2 > 0.
        readout_var: sigma_Y^2 > 0.
        trained: the parts that enter; the readout alone is the NNGP.

    Returns:
        `LinearModel`.

    Raises:
        SpecError: phi(0) or phi''(0) not 0, a kink at 0, a negative variance, an unknown part.

    Valid for: the double limit, psi = id.

    Reference: arXiv:2007.03253, section 5 and section 6.5, eq. (41).
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
