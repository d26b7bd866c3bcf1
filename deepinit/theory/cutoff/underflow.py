"""Underflow: the smallest floating-point number as a mesh; values below it become 0 ("flush").

At width N log q is a random walk of variance psi_1(N/2) per layer, g ~ N(0, 1) its quantile, V the
mean map of `cutoff.lattice`:

    S(t) = E_g[1 - (2 Phi(theta / (A sqrt(q_{t-1}(g)))) - 1)^N],    theta = artanh(least value > 0),
    log q_t(g) = log V(q_{t-1}(g)) - 2 log A_c(N) + sqrt(psi_1(N/2)) (sqrt(t) - sqrt(t - 1)) g,
    t50 = (log(1 / rho) + log z_N + K) / gamma_N,    gamma_N = log(A_c(N)/A),

with sqrt(q_t) = e^K A^t at infinite width and N P(|g| > z_N) = log 2. If products w_ij x_j
underflow too, y / sqrt(N) replaces z_N, N^2 P(|omega g| > y) = log 2, w = A omega / sqrt(N). Excess
kurtosis kappa of weights adds 3 kappa / (4 N^2) to gamma_N.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, polygamma

from deepinit.core import validate
from deepinit.core.activations import tanh
from deepinit.core.errors import SpecError
from deepinit.core.gauss_legendre import unit_rule
from deepinit.core.gaussian import normal_rule
from deepinit.core.laws import Law
from deepinit.core.typing import Float
from deepinit.theory.cutoff.lattice import rounded_mean_square
from deepinit.theory.cutoff.log_norm_drift import critical_gain
from deepinit.theory.cutoff.mean_field import checked_recursion, length_step
from deepinit.theory.cutoff.validate import OFFSETS, check_rounding

_NODES = 961  # of the walk's normal law: resolves the fall of S within one e-fold of the length
_LEAST_ALPHA = 0.07  # alpha below which nothing survives
_SMALL = 1e-9  # a mean square at which tanh is the identity to 1e-9


def rounded_survival(
    width: int, gain: float, rho: float, rounding: str, depth: int, *, mean_square: float = 1.0
) -> Float[np.ndarray, "layers"]:
    """Survival S(t) = P(x_t != 0) of the tanh chain in finite precision at width N.

    Arguments: `rounded_orbit`; "flush": rho is the smallest value. Valid for: wide layers, gains
    below 1; no error order. Measured at A = 0.58: truncation at 1e-3, N = 4 ... 256, t50 within
    0.03 layers, window within 3 %; underflow at 2^-126, N = 16, 64, t50 within 1 %. Reference:
    arXiv:2608.15914 (centres).
    """
    n, layers = validate.integer("width", width, 1), validate.integer("depth", depth)
    a, mesh = validate.positive("gain", gain), validate.fraction("rho", rho)
    start = validate.positive("mean_square", mean_square, "Inputs of ones have 1.")
    if rounding != "flush":
        check_rounding(rounding)
    least = math.atanh((1.0 - OFFSETS.get(rounding, 0.0)) * mesh) / mesh
    spread, shift = math.sqrt(polygamma(1, n / 2.0)), -2.0 * math.log(critical_gain(n))
    first_alpha = a * math.sqrt(start) / mesh
    log_ratio = _log_mean_square_ratio(mesh, rounding, first_alpha)
    g, weights = normal_rule((), _NODES)
    survival, log_alpha = np.ones(layers + 1), np.full(g.size, math.log(first_alpha))
    for t in range(1, layers + 1):
        with np.errstate(divide="ignore", over="ignore"):
            inside = np.log1p(-2.0 * ndtr(-least * np.exp(-log_alpha)))
        survival[t] = min(float(weights @ -np.expm1(n * inside)), 1.0)
        noise = shift + spread * (math.sqrt(t) - math.sqrt(t - 1)) * g
        log_alpha = log_alpha + math.log(a) + 0.5 * (log_ratio(log_alpha) + noise)
    return survival


def _log_mean_square_ratio(
    mesh: float, rounding: str, largest: float
) -> Callable[[np.ndarray], np.ndarray]:
    """log alpha -> log(v(alpha) / alpha^2), to 1e-5 up to e^3 times `largest`."""
    from scipy.interpolate import CubicSpline

    at = np.arange(math.log(_LEAST_ALPHA), max(math.log(largest), 0.0) + 3.0, 0.1)
    logs = [math.log(rounded_mean_square(math.exp(x), mesh, rounding)) - 2.0 * x for x in at]
    table = CubicSpline(at, logs)
    return lambda x: np.where(x < at[0], -np.inf, table(np.clip(x, at[0], at[-1])))


def underflow_layer(
    width: int,
    weight_law: Law,
    smallest: float,
    *,
    products: bool = False,
    mean_square: float = 1.0,
) -> float:
    """Layer t50 at which half of the signals of a tanh network are lost to underflow.

    Args:
        weight_law: normal or uniform; its variance times fan_in is A^2 < 1 (else SpecError).
        smallest: 2^-126 in float32 and bfloat16 on XLA; 2^-25, half of the smallest
            subnormal, in float16.
        products: the products w_ij x_j underflow too (float32 and bfloat16 on XLA); False: values
            alone (`rounded(..., "flush")`; float16 with products in float32).
        mean_square: |x_0|^2 / N > 0.

    Valid for: N large, smallest to 0: error O(1) layers. Weights U(-1, 1) / sqrt(N), N = 16, 64,
    2^-126: within one layer.
    """
    n, least = validate.integer("width", width, 1), validate.fraction("smallest", smallest)
    start = validate.positive("mean_square", mean_square, "Inputs of ones have 1.")
    is_allowed = isinstance(weight_law, Law) and weight_law.name in ("normal", "uniform")
    given, allowed = f"weight_law={weight_law!r}", "a normal or uniform law"
    validate.require(is_allowed, given, allowed, "Simulate other laws.")
    gain = math.sqrt(n * weight_law.entry_variance(n))
    if n < 2 or not 0.0 < gain < 1.0:
        allowed = "widths >= 2 and gains below 1 (variance times fan_in below 1)"
        remedy = "Wide networks of a larger gain keep their signal."
        raise SpecError(f"width {n} with a gain of {gain:g}", allowed, remedy)
    kurtosis = weight_law.standardized_moment(4) - 3.0
    drift = math.log(critical_gain(n) / gain) + 0.75 * kurtosis / n**2
    if products:

        def excess(y: float) -> float:
            return n * n * _product_tail(weight_law, y) - math.log(2.0)

        farthest = brentq(excess, 1e-3, 40.0) / math.sqrt(n)
    else:
        farthest = -float(ndtri(0.5 * math.log(2.0) / n))
    return (-math.log(least) + math.log(farthest) + _start_up(gain, start)) / drift


def _product_tail(law: Law, y: float) -> float:
    """P(|omega g| > y), omega of the law with variance 1, g normal."""
    if law.name == "uniform":
        nodes, weights = unit_rule(80)
        omega = math.sqrt(3.0) * nodes
    else:
        omega, weights = normal_rule((0.0,), 120)
        omega = np.abs(omega)
    return float(weights @ (2.0 * ndtr(-y / omega)))


def _start_up(gain: float, mean_square: float) -> float:
    """K of the module docstring."""
    recursion, q, t = checked_recursion(tanh, gain**2, 0.0), mean_square, 0
    while q > _SMALL:
        q, t = length_step(recursion, q), t + 1
    return 0.5 * math.log(q) - t * math.log(gain)
