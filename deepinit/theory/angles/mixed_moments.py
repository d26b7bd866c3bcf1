"""Mixed moments J_{a,b}(theta) of a rectified Gaussian pair.

In polar coordinates, k = a + b, delta = pi - theta the opening of the sector where both are
positive, J_{a,b} = 2^{k/2} Gamma(k/2 + 1) / (2 pi) int_0^delta sin^a(t) sin^b(delta - t) dt. Closed
forms and the recursion in (a, b) lose digits as theta -> pi, by up to delta^{-k-1}.
"""

import math

import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import array_namespace, as_floats
from deepinit.core.gauss_legendre import unit_rule
from deepinit.core.typing import Array, Float, Like, Plain, Real


def mixed_moment(a: int, b: int, theta: Real[Array, "*shape"] | Plain) -> Float[Like, "*shape"]:
    """J_{a,b}(theta) = E[phi(G)^a phi(H)^b], phi ReLU, corr(G, H) = cos(theta), a, b >= 0.

    phi(x)^0 = 1{x > 0}: J_{a,0} is not the marginal moment. Relative error (a + b + 10) roundings,
    given pi - theta; overflows for a + b > 300 in float64. NumPy float64, or JAX in theta's dtype.
    Reference: arXiv:2302.09712; polar form: module docstring.
    """
    a, b = validate.integer("a", a), validate.integer("b", b)
    xp = array_namespace(theta)
    (angle,) = as_floats(xp, theta)
    validate.angle(angle)
    opening = xp.maximum(math.pi - angle, 0.0)[..., None]
    nodes, weights = unit_rule(20 + 3 * (a + b) // 4)
    fractions = xp.asarray(nodes, dtype=angle.dtype)
    # One factor of the prefactor per power: no overflow meets an underflow.
    scale = math.exp(_log_prefactor(a + b) / max(a + b, 1))
    first, second = xp.sin(opening * fractions), xp.sin(opening * (1 - fractions))
    integrand = (scale * first) ** a * (scale * second) ** b
    constant = 1.0 if a + b else math.exp(_log_prefactor(0))
    return constant * opening[..., 0] * (integrand * xp.asarray(weights, dtype=angle.dtype)).sum(-1)


def marginal_moment(k: int) -> float:
    """m_k = E[phi(G)^k] = (k - 1)!! / 2 for even k, (k - 1)!! / sqrt(2 pi) for odd k.

    inf above k = 300. Reference: arXiv:2302.09712, theta = 0.
    """
    k = validate.integer("k", k)
    log_moment = 0.5 * k * math.log(2.0) + math.lgamma(0.5 * (k + 1))
    log_moment -= math.log(2.0 * math.sqrt(math.pi))
    return math.exp(log_moment) if log_moment < 709.0 else math.inf


def p_number(a: int, k: int) -> int:
    """Bessel number P(a, k): matchings of a points with k unmatched; 0 outside 0 <= k <= a.

    P(a, k) = a! / (k! ((a - k)/2)! 2^{(a-k)/2}) for even a - k, else 0; P(a, k) = (a - 1)
    P(a - 2, k) + P(a - 1, k - 1), P(0, 0) = 1. With `q_number` and a <= b,

        J_{a,b} = sum_k P(a,k) b!/(b-k)! c^k J_{0,b-k} + sum_k Q(a,k) b!/(b-k)! c^k S_{b-k},
        c = cos(theta),  S_j = sin(theta)^j (j-1)!! / (2 pi if j is odd, else 2 sqrt(2 pi)).

    Reference: arXiv:2302.09712; OEIS A099174.
    """
    _check_row(a, k)
    if not 0 <= k <= a or (a - k) % 2:
        return 0
    pairs = (a - k) // 2
    return math.comb(a, k) * math.factorial(2 * pairs) // (math.factorial(pairs) << pairs)


def q_number(a: int, k: int) -> int:
    """Q(a, k) = sum_{j >= 0} (-1)^j (2j - 1)!! P(a, k + 2j + 1) of `p_number`'s expansion.

    Recursion of P from Q(1, 0) = 1, Q(0, .) = 0; 0 outside 0 <= k < a. Reference: arXiv:2302.09712.
    """
    _check_row(a, k)
    if not 0 <= k < a or (a - k) % 2 == 0:
        return 0
    total, signed_double_factorial = 0, 1
    for j in range((a - k - 1) // 2 + 1):
        total += signed_double_factorial * p_number(a, k + 2 * j + 1)
        signed_double_factorial *= -(2 * j + 1)
    return total


def _log_prefactor(k: int) -> float:
    return 0.5 * k * math.log(2.0) + math.lgamma(0.5 * k + 1.0) - math.log(2.0 * math.pi)


def _check_row(a: int, k: int) -> None:
    ok = all(isinstance(index, int | np.integer) for index in (a, k)) and a >= 0
    validate.require(ok, f"(a, k) = ({a!r}, {k!r})", "integers with a >= 0", "Round a and k.")
