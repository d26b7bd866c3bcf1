"""A complete network in the double limit: embedding, infinitely many blocks, readout; its NNGP and
tangent kernel in three shares.

x_0 = A z with A_dk ~ N(0, sigma_Z^2), blocks x + phi(dW x + db), y = G x_T with G_d ~ N(0,
sigma_Y^2 / D). The coordinates start Gaussian with mean 0 and covariance lambda_0 = sigma_Z^2 <z,
z'>; gradients are taken in the NTK parametrisation. The shares are

    readout sigma_Y^2 lambda_T,    blocks sigma_Y^2 Theta,    embedding sigma_Y^2 sigma_Z^2 E <z,
    z'>,

the last because backward gradients grow by E whatever phi''(0). For b = 0

    NNGP = sigma_Y^2 [sigma_Z^2 E <z, z'> + r (E - 1)],    NTK = sigma_Y^2 [sigma_Z^2 (C + 2) E <z, z'> + r (C E + E - 1)]

are affine in <z, z'>: the kernels of a Bayesian linear model y = alpha + beta . z, of rank dim z +
1 at most; with more inputs than that they are singular (condition with noise, or in weight space).
As noise -> 0 all of them predict as least squares with intercept. That a trained network follows
the NTK is assumed in the publication, not proved.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.theory.cutoff.validate import check_positive
from deepinit.theory.diffusion.constants import diffusion_constants, without_curvature
from deepinit.theory.diffusion.double_limit import double_limit
from deepinit.theory.diffusion.validate import check_gram, growth_of

PARTS = ("readout", "blocks", "embedding")


class NetworkKernels(NamedTuple):
    """Kernels of a complete network, and the shares of its three parts in the tangent kernel.

    Attributes:
        nngp: [N, N], covariance of the output; the tangent kernel of the readout alone.
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
    """y = alpha + beta . z, alpha ~ N(0, intercept_var), beta_k ~ N(0, slope_var): the kernel
    intercept_var + slope_var <z, z'>.

    Attributes:
        intercept_var: sigma_alpha^2.
        slope_var: sigma_beta^2, of each coefficient.
    """

    intercept_var: float
    slope_var: float


def network_kernels(
    activation: Any,
    inner_products: Any,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    *,
    embedding_var: float = 1.0,
    readout_var: float = 1.0,
    trained: tuple[str, ...] = PARTS,
) -> NetworkKernels:
    """NNGP and NTK of the complete network in the double limit, with the shares of readout, blocks
    and embedding.

    Formulas in the module docstring; b = phi''(0) may be other than 0 below the explosion.

    Args:
        activation: phi with phi(0) = 0, smooth at 0.
        inner_products: [N, N], <z_i, z_j> of the inputs, not divided by their dimension.
        weight_var: sigma_w^2 of the blocks.
        bias_var: sigma_b^2 of the blocks.
        horizon: T.
        embedding_var: sigma_Z^2 > 0, of one embedding weight; 1 / dim z keeps the inputs' scale.
        readout_var: sigma_Y^2 > 0; a readout weight has variance readout_var / D.
        trained: the parts whose share enters `ntk`; a frozen part is left out.

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
    products = check_gram("inner_products", inner_products)
    limit = double_limit(activation, scale_in * products, weight_var, bias_var, horizon)
    readout = scale_out * limit.overlap
    blocks = scale_out * limit.block_kernel
    embedding = scale_out * _factor(activation, weight_var, bias_var, horizon) * scale_in * products
    shares = {"readout": readout, "blocks": blocks, "embedding": embedding}
    return NetworkKernels(
        readout, sum((shares[part] for part in parts), np.zeros_like(products)), **shares
    )


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

        readout (Bayes): sigma_alpha^2 = sigma_Y^2 r (E - 1),          sigma_beta^2 = sigma_Y^2 sigma_Z^2 E
        blocks:          sigma_alpha^2 = sigma_Y^2 r C E,              sigma_beta^2 = sigma_Y^2
            sigma_Z^2 C E
        embedding:       sigma_alpha^2 = 0,                            sigma_beta^2 = sigma_Y^2
            sigma_Z^2 E

    and sums of those for several trained parts.

    Args:
        activation: phi with phi(0) = phi''(0) = 0.
        weight_var: sigma_w^2 of the blocks.
        bias_var: sigma_b^2 of the blocks.
        horizon: T.
        embedding_var: sigma_Z^2 > 0.
        readout_var: sigma_Y^2 > 0.
        trained: the parts that enter; the readout alone is the NNGP, hence Bayesian inference.

    Returns:
        `LinearModel`.

    Raises:
        SpecError: phi(0) or phi''(0) not 0, a kink at 0, a negative variance, an unknown part.

    Valid for: the double limit, psi = id.

    Reference: arXiv:2007.03253, section 5 and section 6.5, eq. (41).
    """
    scale_in, scale_out = _scales(embedding_var, readout_var)
    growth = growth_of(without_curvature(activation).slope, weight_var, bias_var, horizon)
    shares = {
        "readout": (growth.bias_gain, growth.factor),
        "blocks": (
            growth.bias_rate * growth.horizon * growth.factor,
            growth.exponent * growth.factor,
        ),
        "embedding": (0.0, growth.factor),
    }
    intercept, slope = (sum(shares[part][which] for part in _parts(trained)) for which in (0, 1))
    return LinearModel(scale_out * intercept, scale_out * scale_in * slope)


def _factor(activation: Any, weight_var: float, bias_var: float, horizon: float) -> float:
    return growth_of(diffusion_constants(activation).slope, weight_var, bias_var, horizon).factor


def _scales(embedding_var: Any, readout_var: Any) -> tuple[float, float]:
    return (
        check_positive("embedding_var", embedding_var, "1 / dimension keeps the inputs' scale."),
        check_positive("readout_var", readout_var, "1 keeps the scale of the last layer."),
    )


def _parts(trained: Any) -> tuple[str, ...]:
    given = (trained,) if isinstance(trained, str) else tuple(trained)
    if not set(given) <= set(PARTS) or len(set(given)) != len(given) or not given:
        raise SpecError(
            f"trained={trained!r}",
            "one or more of " + ", ".join(PARTS),
            "Name each trained part once.",
        )
    return given
