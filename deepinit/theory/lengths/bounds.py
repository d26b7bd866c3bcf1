"""Earlier bounds on the mean length of curves through random networks, for comparison with the
exact value.

Price & Tanner. Let M be such that E|w.u| >= M for every unit u and row w of the weights. By
Cauchy-Schwarz ||D W u||_2 >= ||D W u||_1 / sqrt(n), and E[1{w.x + b > 0} |w.u|] = E|w.u| / 2, so
every hidden ReLU layer of n units multiplies the mean length by at least sqrt(n) M / 2, a linear
layer by sqrt(n) M. Gaussian rows have M = sqrt(2/pi) times one weight's standard deviation. Entries
kept with probability alpha have E|w.u| >= alpha times that of the full row (Jensen over the mask).
"""

import math
from typing import Any, Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.theory.numerics.homogeneous_layers import Output, network_layers
from deepinit.theory.numerics.validate import check_variance


def raghu_lower_bound(
    width: int,
    depth: int,
    *,
    hidden_var: float = 2.0,
    bias_var: float = 0.0,
    activation: Literal["relu", "hard_tanh"] = "relu",
) -> float:
    """The growth rate of mean length claimed by Raghu et al. as a lower bound, base^depth, with the
    O() constant taken as 1.

        hard tanh: base = sigma_w / (sigma_w^2 + sigma_b^2)^{1/4} sqrt(k) / sqrt(sqrt(sigma_w^2 +
            sigma_b^2) + k)
        ReLU:      base = sigma_w sqrt(k) / sqrt(k + 1),    k = width, sigma_w^2 = hidden_var,
            sigma_b^2 = bias_var.

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

    Valid for: hard tanh: proved up to a constant, which may itself enter every layer. ReLU: not a
        bound as it stands: it exceeds the exact factor sigma_w a_1(k) / sqrt(2) of every layer, by
        sqrt(2) as k grows. Compare slopes in depth, not values.

    Reference: arXiv:1606.05336, the lower bound on trajectory length.
    """
    validate.integer("width", width, 1, "All layers have one width here.")
    validate.integer("depth", depth, 0, "It counts the layers.")
    weight_var, offset_var = (
        check_variance("hidden_var", hidden_var),
        check_variance("bias_var", bias_var),
    )
    if activation not in ("relu", "hard_tanh") or (activation == "relu" and offset_var > 0.0):
        raise SpecError(
            f"activation={activation!r} with bias_var={bias_var!r}",
            "'hard_tanh' with any bias, 'relu' without",
            "Biases do not change the length through ReLU layers; leave bias_var out.",
        )
    if weight_var == 0.0:
        return 0.0 if depth else 1.0
    if activation == "relu":
        base = math.sqrt(weight_var * width / (width + 1.0))
    else:
        both = math.sqrt(weight_var + offset_var)
        base = math.sqrt(weight_var / both * width / (both + width))
    return base**depth


def raghu_upper_bound(depth: int, *, hidden_var: float = 2.0) -> float:
    """The upper bound sigma_w^depth on mean length growth at constant width, any activation of
    Lipschitz constant 1.

    E||D W u|| <= E||W u|| <= sigma_w ||u|| in every layer, sigma_w^2 = hidden_var.

    Args:
        depth: number of layers, >= 0.
        hidden_var: variance times fan_in of the weights.

    Returns:
        A float, the ratio of lengths.

    Raises:
        SpecError: depth or variance out of range.

    Valid for: layers of one width, any biases; rigorous. For ReLU the mean is below (hidden_var /
    2)^{depth/2}.

    Reference: arXiv:1606.05336, the upper bound on trajectory length.
    """
    validate.integer("depth", depth, 0, "It counts the layers.")
    return math.sqrt(check_variance("hidden_var", hidden_var)) ** depth


def price_tanner_bound(
    widths: Any,
    *,
    hidden_var: float = 2.0,
    output_var: float = 1.0,
    density: float = 1.0,
    output: Output = "linear",
) -> float:
    """The lower bound of Price & Tanner on the mean length of a curve through a Gaussian ReLU
    network, dense or sparse.

        (output_var n_L / n_0)^{1/2} (density hidden_var / (2 pi))^{H/2} (2 density / pi)^{1/2},

    the last factor for a linear output layer; at He variance and density 1, pi^{-H/2} sqrt(2/pi)
    sqrt(output_var n_L / n_0).

    Args:
        widths: (n_0, n_1, ..., n_L): input width, hidden widths, output width.
        hidden_var: variance times fan_in of the hidden weights.
        output_var: variance times fan_in of the output weights.
        density: probability alpha in (0, 1] that a weight is kept; kept ones are Gaussian with
            1/alpha times the variance, so that hidden_var and output_var are those of all weights.
        output: "linear", "relu" or None, as in `length_moment`.

    Returns:
        A float, at most `length_moment(widths, 1, ...)` at density 1.

    Raises:
        SpecError: as `length_moment`; a density outside (0, 1].

    Valid for: rigorous; it loses at every layer, except at width 1, where it is exact. Below
        hidden_var = 2 pi / density it decays in depth, while the exact mean grows from
        `growth_threshold` on.

    Reference: arXiv:1911.10651; derivation in the module docstring.
    """
    if not (isinstance(density, int | float) and 0.0 < density <= 1.0):
        raise SpecError(f"density={density!r}", "0 < density <= 1", "1 keeps every weight.")
    layers = network_layers(
        widths,
        hidden_var=hidden_var,
        output_var=output_var,
        negative_slope=0.0,
        law="normal",
        output=output,
    )
    log_bound = 0.0
    for entry_var, factor in layers:
        if entry_var == 0.0:
            return 0.0
        half = 0.5 if factor.masked else 1.0
        log_bound += 0.5 * math.log(factor.width * entry_var * density * 2.0 / math.pi) + math.log(
            half
        )
    return math.exp(log_bound)
