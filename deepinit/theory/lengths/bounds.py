"""Earlier bounds on the mean length of curves through random networks.

Price & Tanner: if E|w.u| >= M for rows w of W and unit u, a layer of n units multiplies the mean
length by at least sqrt(n) M / 2 (ReLU) or sqrt(n) M (linear), by Cauchy-Schwarz. Gaussian rows:
M = sqrt(2/pi) std; entries nonzero with probability alpha: alpha times that (Jensen).
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
    """base^depth, lower bound on mean length growth by Raghu et al., O() constant 1.

        hard tanh: base = sqrt(sigma_w^2 / sigma * k / (sigma + k))
        ReLU:      base = sigma_w sqrt(k) / sqrt(k + 1)

    k = width, sigma_w^2 = hidden_var, weight variance times fan_in,
    sigma^2 = hidden_var + bias_var; SpecError for a bias with "relu". Valid for: hard tanh up to a
    constant, possibly per layer. ReLU: not a bound, it exceeds the exact factor sigma_w
    a_1(k) / sqrt(2) of a layer. Compare slopes in depth. Reference: arXiv:1606.05336.
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
    """hidden_var^(depth/2), upper bound on mean length growth, Lipschitz-1 activations.

    Valid for: layers of one width, any biases; hidden_var is weight variance times fan_in;
    rigorous. ReLU: below (hidden_var / 2)^{depth/2}. Reference: arXiv:1606.05336.
    """
    validate.integer("depth", depth, 0, "It counts the layers.")
    return math.sqrt(validate.not_negative("hidden_var", hidden_var)) ** depth


def price_tanner_bound(network: HomogeneousNetwork, density: float = 1.0) -> float:
    """Lower bound of Price & Tanner on mean lengths, dense or sparse Gaussian ReLU.

    (output_var n_L / n_0)^{1/2} (density hidden_var / (2 pi))^{H/2} (2 density / pi)^{1/2}, the
    last factor for a linear output; density in (0, 1] of weights other than 0, whose variances are
    scaled by 1/density. SpecError: as `length_moment`; another law or activation. Valid for:
    rigorous, at density 1 at most `length_moment`; loose except at width 1, where exact. Decays
    with depth below hidden_var = 2 pi / density. Reference: arXiv:1911.10651.
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
