"""Moments of the length and volume distortion at a point, E ||J u||^m and E Vol_d^m, exact at every
finite width.

The layers' factors (`numerics.layer_factors`) are independent, so a moment is the product of the
layers' moments. With m = 1 it is also the exact mean distortion of *every* rectifiable curve: F o
gamma is absolutely continuous and E||J(gamma) gamma'|| does not depend on the point (Tonelli). For
other m the length ell of a curve obeys (E||Ju||)^m <= E ell^m <= E||Ju||^m, m >= 1, attained on the
right by segments of rays from the origin in networks without bias.
"""

import math
from typing import Any

import numpy as np

from deepinit.theory.numerics.homogeneous_layers import Layer, Output, network_layers
from deepinit.theory.numerics.layer_factors import exp, log_factor_moment
from deepinit.theory.numerics.validate import check_dimension, check_moment, network_widths


def length_moment(
    widths: Any,
    m: float = 1,
    *,
    hidden_var: float | None = None,
    output_var: float = 1.0,
    negative_slope: float = 0.0,
    law: str = "normal",
    output: Output = "linear",
) -> float:
    """E ||J u||^m of the input-output Jacobian J at any input and any unit tangent u; m = 1: the
    mean length of any curve.

        E||Ju||^m = (output_var n_L / n_0)^{m/2} (hidden_var / 2)^{m H / 2} g_m(n_L) prod_{l=1}^{H} a_m(n_l)

    for ReLU with Gaussian weights, H = L - 1 hidden layers; a_m is `layer_factor_moment`, g_m
    `output_factor_moment`.

    Args:
        widths: (n_0, n_1, ..., n_L): input width, hidden widths, output width.
        m: the moment, any real >= 0; m = 0 gives 1.
        hidden_var: variance times fan_in of the hidden weights; None for 2 / (1 +
            negative_slope^2), He's 2 for ReLU.
        output_var: variance times fan_in of the output weights.
        negative_slope: slope of the activation for negative inputs; 0 for ReLU.
        law: "normal", or "orthogonal" (Haar; rectangular matrices with orthonormal rows or
            columns).
        output: "linear": the last layer has no activation; "relu": it ends in the hidden layers'
            activation; None: it is one more hidden layer.

    Returns:
        A float, the ratio of output to input length to the power m; inf where it exceeds float64.

    Raises:
        SpecError: fewer than two widths, a width that is not an integer >= 1, m < 0, a negative
            variance, an unknown law.

    Valid for: any input (also parallel to u), no biases or any biases symmetric about 0 and
        independent of the weights; exact at every width and depth. Relative error about 1e-15 per
        layer. Constant biases change it.

    Reference: arXiv:2102.10492, Theorems 3.1 and 4.1, as equalities; derivation in the module
    docstring.
    """
    layers = network_layers(
        widths,
        hidden_var=hidden_var,
        output_var=output_var,
        negative_slope=negative_slope,
        law=law,
        output=output,
    )
    return float(_cumulative(layers, m)[-1])


def length_moments_by_layer(
    widths: Any,
    m: float = 1,
    *,
    hidden_var: float | None = None,
    output_var: float = 1.0,
    negative_slope: float = 0.0,
    law: str = "normal",
    output: Output = "linear",
) -> np.ndarray:
    """E ||J_l u||^m after every layer l = 1, ..., L, exact; see `length_moment` for the formula and
    the arguments.

    Returns:
        [L], float64: entry l - 1 after the activation of hidden layer l; the last entry is that of
        `length_moment`.

    Raises:
        SpecError: as `length_moment`.

    Valid for: as `length_moment`.

    Reference: as `length_moment`.
    """
    layers = network_layers(
        widths,
        hidden_var=hidden_var,
        output_var=output_var,
        negative_slope=negative_slope,
        law=law,
        output=output,
    )
    return _cumulative(layers, m)


def volume_moment(
    widths: Any,
    d: int,
    m: float = 1,
    *,
    hidden_var: float | None = None,
    output_var: float = 1.0,
    law: str = "normal",
    output: Output = "linear",
) -> float:
    """E Vol_d^m of the image under J of an orthonormal d-frame; m = 1: the mean volume distortion
    of any d-manifold, ReLU.

        Vol_d^2 = prod_layers (v_l / n_{l-1})^d prod_{j<d} chi^2_{K_l - j},   K_l ~ Binomial(n_l, 1/2), or n_L at a linear output;

    m = 2: (n_L/n_0)^d prod_layers n (n-1) ... (n-d+1) / n^d at hidden_var = 2, output_var = 1.

    Args:
        widths: (n_0, n_1, ..., n_L): input width, hidden widths, output width.
        d: dimension of the manifold, >= 1; 1 gives `length_moment`.
        m: the moment, any real >= 0; m = 0 gives 1.
        hidden_var: variance times fan_in of the hidden weights; None for He's 2.
        output_var: variance times fan_in of the output weights.
        law: "normal" or "orthogonal".
        output: "linear", "relu" or None, as in `length_moment`.

    Returns:
        A float, the ratio of output to input volume to the power m, overlaps counted with
        multiplicity. Exactly 0 if m > 0 and
        any width, n_0 and n_L included, is below d: the image is then at most (d-1)-dimensional, or
            there is no such manifold.

    Raises:
        SpecError: as `length_moment`, and d that is not an integer >= 1.

    Valid for: as `length_moment`; exact.

    Reference: arXiv:2102.10492, Theorem 4.2, as an equality; derivation in the module docstring of
    `numerics.layer_factors`.
    """
    check_dimension(d)
    check_moment(m)
    if m > 0 and min(network_widths(widths)) < d:
        return 0.0
    layers = network_layers(
        widths,
        hidden_var=hidden_var,
        output_var=output_var,
        negative_slope=0.0,
        law=law,
        output=output,
        d=d,
    )
    return float(_cumulative(layers, m)[-1])


def log_moments(layers: list[Layer], s: float) -> np.ndarray:
    """ln E[(Vol^2)^s; Vol > 0] after every layer, [L]; -inf where every network has volume 0."""
    steps = [
        s * layer.factor.d * math.log(layer.entry_var) + log_factor_moment(layer.factor, s)
        if layer.entry_var > 0.0
        else -math.inf
        for layer in layers
    ]
    return np.cumsum(steps)


def _cumulative(layers: list[Layer], m: float) -> np.ndarray:
    check_moment(m)
    if m == 0:
        return np.ones(len(layers))
    return np.array([exp(value) for value in log_moments(layers, 0.5 * m)])
