"""Moments of length and volume distortion at a point, exact at every width.

Products of independent layer moments (`numerics.layer_factors`). m = 1: mean distortion of every
rectifiable curve, as E||J(gamma) gamma'|| does not depend on the point. For m >= 1 a curve of
length ell has (E||Ju||)^m <= E ell^m <= E||Ju||^m, with equality on the right on rays from the
origin without bias.
"""

import math

import numpy as np

from deepinit.core.typing import Float
from deepinit.theory.numerics.homogeneous_layers import (
    HomogeneousLayer,
    HomogeneousNetwork,
    checked_moment,
    network_layers,
    network_widths,
)
from deepinit.theory.numerics.layer_factors import exp, log_factor_moment


def length_moment(network: HomogeneousNetwork, m: float = 1) -> float:
    """E ||J u||^m, J the input-output Jacobian, u a unit tangent; m = 1: mean length.

        (output_var n_L / n_0)^{m/2} (hidden_var / 2)^{mH/2} g_m(n_L) prod_l a_m(n_l)

    for ReLU, Gaussian weights, H hidden layers l, real m >= 0; a_m `layer_factor_moment`, g_m
    `output_factor_moment`. inf on overflow. Valid for: any input; biases none, or symmetric about 0
    and independent of the weights (constant ones change it); exact, relative error 1e-15 per layer.
    Reference: arXiv:2102.10492, Theorems 3.1 and 4.1, as equalities.
    """
    return volume_moment(network, 1, m)


def length_moments_by_layer(
    network: HomogeneousNetwork, m: float = 1
) -> Float[np.ndarray, "layers"]:
    """E ||J_l u||^m after every layer; see `length_moment`."""
    return _cumulative(network_layers(network), m)


def volume_moment(network: HomogeneousNetwork, d: int, m: float = 1) -> float:
    """E Vol_d^m of the image of an orthonormal d-frame; m = 1: of any d-manifold; ReLU.

        Vol_d^2 = prod_layers (v_l / n_{l-1})^d prod_{j<d} chi^2_{K_l - j},

    K_l ~ Binomial(n_l, 1/2), n_L at a linear output. m = 2, hidden_var = 2, output_var = 1:
    (n_L/n_0)^d prod_layers n (n-1) ... (n-d+1) / n^d. Overlaps count with multiplicity; 0 if m > 0
    and any width, n_0 and n_L included, is below d. SpecError: as `length_moment`; d > 1 with leaky
    ReLU. Valid for: see `length_moment`. Reference: arXiv:2102.10492, Theorem 4.2, as an equality.
    """
    layers, order = network_layers(network, d), checked_moment(m)
    if order > 0.0 and min(network_widths(network.widths)) < d:
        return 0.0
    return float(_cumulative(layers, order)[-1])


def log_moments(layers: list[HomogeneousLayer], s: float) -> np.ndarray:
    """ln E[(Vol^2)^s; Vol > 0] after every layer; -inf where the volume is always 0."""
    steps = [
        s * layer.factor.d * math.log(layer.entry_var) + log_factor_moment(layer.factor, s)
        if layer.entry_var > 0.0
        else -math.inf
        for layer in layers
    ]
    return np.cumsum(steps)


def _cumulative(layers: list[HomogeneousLayer], m: float) -> np.ndarray:
    order = checked_moment(m)
    if order == 0.0:
        return np.ones(len(layers))
    return np.array([exp(value) for value in log_moments(layers, 0.5 * order)])
