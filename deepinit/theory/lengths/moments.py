"""Moments of the length and volume distortion at a point, exact at every finite width.

The layers' factors (`numerics.layer_factors`) are independent: a moment is the product of the
layers' moments. m = 1 is also the exact mean distortion of *every* rectifiable curve: F o gamma is
absolutely continuous and E||J(gamma) gamma'|| does not depend on the point (Tonelli). For m >= 1
the length ell of a curve obeys (E||Ju||)^m <= E ell^m <= E||Ju||^m, with equality on the right for
segments of rays from the origin in networks without bias.
"""

import math

import numpy as np

from deepinit.theory.numerics.homogeneous_layers import (
    HomogeneousLayer,
    HomogeneousNetwork,
    checked_moment,
    network_layers,
    network_widths,
)
from deepinit.theory.numerics.layer_factors import exp, log_factor_moment


def length_moment(network: HomogeneousNetwork, m: float = 1) -> float:
    """E ||J u||^m, J the input-output Jacobian at any input, u any unit tangent.

        E||Ju||^m = (output_var n_L / n_0)^{m/2} (hidden_var / 2)^{mH/2} g_m(n_L) prod_l a_m(n_l)

    for ReLU with Gaussian weights and H = L - 1 hidden layers l; a_m is `layer_factor_moment`, g_m
    `output_factor_moment`. m = 1 is the mean length of any curve.

    Args:
        network: `HomogeneousNetwork`.
        m: the moment, any real >= 0; m = 0 gives 1.

    Returns:
        The ratio of output to input length to the power m; inf where it exceeds float64.

    Raises:
        SpecError: fewer than two widths, a width that is not an integer >= 1, m < 0, a negative
            variance, an unknown law.

    Valid for: any input (also parallel to u), no biases or any biases symmetric about 0 and
        independent of the weights; exact at every width and depth. Relative error about 1e-15 per
        layer. Constant biases change it.

    Reference: arXiv:2102.10492, Theorems 3.1 and 4.1, as equalities; derivation in the module
        docstring.
    """
    return volume_moment(network, 1, m)


def length_moments_by_layer(network: HomogeneousNetwork, m: float = 1) -> np.ndarray:
    """E ||J_l u||^m after every layer l = 1, ..., L: [L], float64; see `length_moment`."""
    return _cumulative(network_layers(network), m)


def volume_moment(network: HomogeneousNetwork, d: int, m: float = 1) -> float:
    """E Vol_d^m of the image under J of an orthonormal d-frame; m = 1: of any d-manifold; ReLU.

        Vol_d^2 = prod_layers (v_l / n_{l-1})^d prod_{j<d} chi^2_{K_l - j},

    K_l ~ Binomial(n_l, 1/2), or n_L at a linear output; at hidden_var = 2 and output_var = 1 m = 2
    is (n_L/n_0)^d prod_layers n (n-1) ... (n-d+1) / n^d.

    Args:
        network: `HomogeneousNetwork`, ReLU unless d = 1.
        d: dimension of the manifold, >= 1; 1 gives `length_moment`.
        m: the moment, any real >= 0; m = 0 gives 1.

    Returns:
        The ratio of output to input volume to the power m, overlaps counted with multiplicity.
        Exactly 0 if m > 0 and any width, n_0 and n_L included, is below d.

    Raises:
        SpecError: as `length_moment`; d that is not an integer >= 1; d > 1 with leaky ReLU.

    Valid for: as `length_moment`; exact.

    Reference: arXiv:2102.10492, Theorem 4.2, as an equality; derivation in
        `numerics.layer_factors`.
    """
    layers, order = network_layers(network, d), checked_moment(m)
    if order > 0.0 and min(network_widths(network.widths)) < d:
        return 0.0
    return float(_cumulative(layers, order)[-1])


def log_moments(layers: list[HomogeneousLayer], s: float) -> np.ndarray:
    """ln E[(Vol^2)^s; Vol > 0] after every layer, [L]; -inf where every network has volume 0."""
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
