"""Gamma ratios and binomial weights to relative accuracy at every width.

Differences of log-gammas lose four digits at width 10 000. Without cancellation, Z = z + 10 and
Stirling's series S(Z) = 1/(12 Z) - 1/(360 Z^3) + ...,

    ln Gamma(z + s) - ln Gamma(z) = sum_{j<10} ln((z + j) / (z + s + j))
        + s ln Z + (Z + s - 1/2) ln(1 + s/Z) - s + S(Z + s) - S(Z)
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from deepinit.core.typing import Like, Shaped

_SHIFT = 10  # Stirling's series to Z^-13 is then exact to 1e-17
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def log_gamma_ratio(
    z: Shaped[Like, "..."], s: Shaped[Like, "..."] | complex
) -> Shaped[Like, "..."] | complex:
    """ln(Gamma(z + s) / Gamma(z)), z > 0, Re(z + s) > 0; error 1e-15 (1 + |s|).

    s real or complex; imaginary part of the result modulo 2 pi.
    """
    from scipy.special import log1p  # accurate for small complex arguments, unlike NumPy's

    z = np.asarray(z, dtype=np.float64)
    head = 1.0
    for j in range(_SHIFT):
        head = head * ((z + j) / (z + j + s))
    shifted = z + _SHIFT
    stirling = _stirling(shifted + s) - _stirling(shifted)
    return (
        np.log(head) + s * np.log(shifted) + (shifted + s - 0.5) * log1p(s / shifted) - s + stirling
    )


def _stirling(z: Any) -> Any:
    inverse = 1.0 / z
    total: Any = 0.0
    for coefficient in reversed(_STIRLING):
        total = total * inverse * inverse + coefficient
    return total * inverse


@lru_cache(maxsize=1024)
def half_binomial(n: int, reach: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Values k and probabilities of Binomial(n, 1/2) near the mean; mass outside < 1e-80.

    Spans 20 standard deviations plus `reach`, for integrands growing with k.
    """
    reach += math.ceil(10.0 * math.sqrt(n))
    k = np.arange(max(0, n // 2 - reach), min(n, n // 2 + reach) + 1, dtype=np.float64)
    # From the mode outwards: rounding grows only towards small probabilities.
    steps = np.log((n - k[:-1]) / (k[:-1] + 1.0))
    mode = int(n // 2 - k[0])
    below, above = np.cumsum(steps[:mode][::-1])[::-1], np.cumsum(steps[mode:])
    weights = np.exp(np.concatenate([-below, [0.0], above]))
    weights /= weights.sum()
    k.setflags(write=False)
    weights.setflags(write=False)
    return k, weights


def log_survival(n: int, least: int) -> float:
    """ln P(Binomial(n, 1/2) >= least), accurate near 1; -inf if impossible."""
    if n < least:
        return -math.inf
    return math.log1p(-(sum(math.comb(n, k) for k in range(least)) / 2**n))
