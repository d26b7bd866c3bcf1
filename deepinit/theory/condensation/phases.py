"""Phases of condensation: scaling of the initialization with the width.

f = (1/alpha) sum_k a_k sigma(w_k.z), gamma and gamma' of `initial_regime`. Multiplicity 1, fixed
loss drop: S* = O(alpha), and sinh(2 x), x = rate t, is of order alpha / (m max(beta_1, beta_2)^2)
= m^e, e = gamma - 1 - |gamma'|. |W - W(0)| / |W(0)| is of order max(cosh x - 1, (beta_1/beta_2)
sinh x): for e >= 0, e^x = m^{e/2} gives m^{e/2 + max(0, -gamma')}; for e < 0, x = m^e gives
max(m^{2e}, m^{e - gamma'}).
"""

from typing import Any, Literal

from deepinit.core import validate


def initial_regime(gamma: float, gamma_prime: float) -> Literal["linear", "critical", "condensed"]:
    """Regime of a wide two-layer ReLU network, f = (1/alpha) sum_k a_k sigma(w_k.z).

    gamma = -lim log(beta_1 beta_2 / alpha) / log m, gamma' = -lim log(beta_1 / beta_2) / log m,
    standard deviations beta_1 (a), beta_2 (w): (1/2, 0) of NTK, (1, 0) of Xavier and mean field,
    (g, 0) of variances m^-g. Input weights stay (linear: gamma < 1 or gamma' > gamma - 1) or move
    far (condensed: gamma > 1 and gamma' < gamma - 1); critical: the boundary. Valid for: width to
    infinity, inputs in [0, 1]^d, bounded targets; training to O(1/n) if condensed. Reference:
    arXiv:2007.07497.
    """
    first, second = _checked(gamma, gamma_prime)
    edge = first - 1.0 - max(0.0, second)
    return "critical" if abs(edge) < 1e-12 else "condensed" if edge > 0.0 else "linear"


def initial_regime_exponent(gamma: float, gamma_prime: float) -> float:
    """Exponent of m in |W - W(0)| / |W(0)| at a fixed loss drop, multiplicity 1.

    With e = gamma - 1 - |gamma'|: e/2 + max(0, -gamma') if e >= 0, max(2 e, e - gamma') if e < 0.
    Negative in the linear regime, positive in the condensed. Arguments: `initial_regime`. Valid
    for: width to infinity; sigma(0) = 0, sigma'(0) != 0; gamma <= 1/2: f = 0 at initialization
    (antisymmetric). Measured: arXiv:2007.07497.
    """
    first, second = _checked(gamma, gamma_prime)
    overlap = first - 1.0 - abs(second)
    if overlap >= 0.0:
        return 0.5 * overlap + max(0.0, -second)
    return max(2.0 * overlap, overlap - second)


def residual_angle_exponent(gamma: float, gamma_prime: float) -> float:
    """Exponent <= 0 of m in the angle of input weights and +-v at a fixed loss drop, p = 1.

    min(0, -`initial_regime_exponent`), of the same arguments and range: tan(angle) is the inverse
    relative displacement.
    """
    return min(0.0, -initial_regime_exponent(gamma, gamma_prime))


def _checked(gamma: Any, gamma_prime: Any) -> tuple[float, float]:
    remedy = "Variances m^-g of all weights are (g, 0)."
    first = validate.real("gamma", gamma, remedy=remedy)
    return first, validate.real("gamma_prime", gamma_prime, remedy=remedy)
