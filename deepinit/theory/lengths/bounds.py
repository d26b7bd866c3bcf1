"""Earlier bounds on the mean length of curves through random networks.

Price & Tanner: let E|w.u| >= M for every unit u and row w of the weights. By Cauchy-Schwarz
||D W u||_2 >= ||D W u||_1 / sqrt(n), and E[1{w.x + b > 0} |w.u|] = E|w.u| / 2: a hidden ReLU layer
of n units multiplies the mean length by at least sqrt(n) M / 2, a linear layer by sqrt(n) M.
Gaussian rows have M = sqrt(2/pi) times one weight's standard deviation. Rows whose entries are
nonzero with probability alpha have E|w.u| >= alpha times the value of the full row (Jensen over the
mask).
"""

import math
from typing import Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.theory.numerics.homogeneous_layers import HomogeneousNetwork, network_layers


def raghu_lower_bound(
    width: int,
    depth: int,
    *,
    hidden_var: float = 2.0,
    bias_var: float = 0.0,
    activation: Literal["relu", "hard_tanh"] = "relu",
) -> float:
    """base^depth, claimed by Raghu et al. as a lower bound on mean length growth, O() constant 1.

        hard tanh: base = sqrt(sigma_w^2 / sigma * k / (sigma + k))
        ReLU:      base = sigma_w sqrt(k) / sqrt(k + 1)

    with k = width, sigma_w^2 = hidden_var, sigma_b^2 = bias_var, sigma^2 = sigma_w^2 + sigma_b^2.

    Args:
        width: neurons of every layer, >= 1.
        depth: number of layers, >= 0.
        hidden_var: variance times fan_in of the weights.
        bias_var: variance of one bias; hard tanh only.
        activation: "relu" or "hard_tanh".

    Returns:
        A float, the ratio of lengths.

    Raises:
        SpecError: width, depth, variances or activation out of range; a bias with "relu".

    Valid for: hard tanh: proved up to a constant, which may enter every layer. ReLU: no bound; it
        exceeds the exact factor sigma_w a_1(k) / sqrt(2) of every layer, by sqrt(2) as k grows.
        Compare slopes in depth, not values.

    Reference: arXiv:1606.05336, the lower bound on trajectory length.
    """
    validate.integer("width", width, 1, "All layers have one width here.")
    validate.integer("depth", depth, 0, "It counts the layers.")
    weight_var = validate.not_negative("hidden_var", hidden_var)
    offset_var = validate.not_negative("bias_var", bias_var)
    validate.choice("activation", activation, ("relu", "hard_tanh"))
    if activation == "relu" and offset_var > 0.0:
        given = f"activation='relu' with bias_var={bias_var!r}"
        raise SpecError(given, "bias_var=0 with 'relu'", "Biases leave lengths unchanged there.")
    if weight_var == 0.0:
        return 0.0 if depth else 1.0
    if activation == "relu":
        base = math.sqrt(weight_var * width / (width + 1.0))
    else:
        both = math.sqrt(weight_var + offset_var)
        base = math.sqrt(weight_var / both * width / (both + width))
    return base**depth


def raghu_upper_bound(depth: int, *, hidden_var: float = 2.0) -> float:
    """sigma_w^depth, an upper bound on mean length growth for any Lipschitz-1 activation.

    E||D W u|| <= E||W u|| <= sigma_w ||u|| in every layer, sigma_w^2 = hidden_var.

    Args:
        depth: number of layers, >= 0.
        hidden_var: variance times fan_in of the weights.

    Returns:
        A float, the ratio of lengths.

    Raises:
        SpecError: depth or variance out of range.

    Valid for: layers of one width, any biases; rigorous. ReLU has a mean below
        (hidden_var / 2)^{depth/2}.

    Reference: arXiv:1606.05336, the upper bound on trajectory length.
    """
    validate.integer("depth", depth, 0, "It counts the layers.")
    return math.sqrt(validate.not_negative("hidden_var", hidden_var)) ** depth


def price_tanner_bound(network: HomogeneousNetwork, density: float = 1.0) -> float:
    """The lower bound of Price & Tanner on mean lengths, dense or sparse Gaussian ReLU layers.

        (output_var n_L / n_0)^{1/2} (density hidden_var / (2 pi))^{H/2} (2 density / pi)^{1/2},

    the last factor for a linear output layer. At He variance and density 1:
    pi^{-H/2} sqrt(2/pi) sqrt(output_var n_L / n_0).

    Args:
        network: `HomogeneousNetwork` with ReLU and law "normal".
        density: probability alpha in (0, 1] that a weight is not 0; such weights are Gaussian with
            1/alpha times the variance, so that all weights have hidden_var and output_var.

    Returns:
        A float, at most `length_moment(network)` at density 1.

    Raises:
        SpecError: as `length_moment`; another law or activation; a density outside (0, 1].

    Valid for: rigorous; loose at every layer, except at width 1, where it is exact. Decays in depth
        below hidden_var = 2 pi / density, while the exact mean grows from `growth_threshold` on.

    Reference: arXiv:1911.10651; derivation in the module docstring.
    """
    layers = network_layers(network)
    validate.choice("law", network.law, ("normal",), "The bound holds for Gaussian weights.")
    validate.real("negative_slope", network.negative_slope, 0.0, 0.0, "The bound is for ReLU.")
    share = validate.positive("density", density, "1: every weight is Gaussian.")
    validate.real("density", density, 0.0, 1.0, "1: every weight is Gaussian.")
    log_bound = 0.0
    for entry_var, factor in layers:
        if entry_var == 0.0:
            return 0.0
        half = 0.5 if factor.masked else 1.0
        log_bound += 0.5 * math.log(factor.width * entry_var * share * 2.0 / math.pi)
        log_bound += math.log(half)
    return math.exp(log_bound)
