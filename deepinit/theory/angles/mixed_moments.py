"""Mixed moments of a rectified Gaussian pair, J_{a,b}(theta), and their P and Q numbers.

With G, H standard Gaussians of correlation cos(theta), J_{a,b}(theta) = E[phi(G)^a phi(H)^b],
phi(x) = max(x, 0), phi(x)^0 = 1{x > 0}. In polar coordinates, with t the angle from an edge of the
sector where both are positive and delta = pi - theta its opening,

    J_{a,b} = k!! c_k / (2 pi) * int_0^delta sin^a(t) sin^b(delta - t) dt,    k = a + b,
    k!! c_k = 2^{k/2} Gamma(k/2 + 1).

Every factor is positive: no digit is lost on [0, pi]. The closed forms and the recursion in (a, b)
lose theirs as theta -> pi, by up to delta^{-k-1}.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import array_namespace, as_floats


def mixed_moment(a: int, b: int, theta: Any) -> Any:
    """J_{a,b}(theta) = E[phi(G)^a phi(H)^b], phi ReLU, (G, H) standard Gaussian at angle theta.

    phi(x)^0 = 1{x > 0}: J_{0,0} is the probability that both are positive, and
    J_{a,0} = E[phi(G)^a 1{H > 0}] is not the marginal moment.

    Args:
        a: exponent of phi(G), an integer >= 0.
        b: exponent of phi(H), an integer >= 0.
        theta: [...], angle in [0, pi]; cos(theta) is the correlation.

    Returns:
        [...], float64 for Python floats and NumPy arrays, traceable JAX in its own dtype for JAX
        arrays. Exactly 0 at theta = pi. Relative error about (a + b + 10) roundings, given
        pi - theta.

    Raises:
        SpecError: a or b is not an integer >= 0; a concrete theta outside [0, pi].

    Valid for: all of [0, pi]; overflows only where J does (a + b > 300 in float64).

    Reference: arXiv:2302.09712, definition of J_{a,b}; polar form in the module docstring.
    """
    a, b = validate.integer("a", a), validate.integer("b", b)
    xp = array_namespace(theta)
    (theta,) = as_floats(xp, theta)
    validate.angle(theta)
    opening = xp.maximum(math.pi - theta, 0.0)[..., None]
    nodes, weights = unit_legendre(20 + 3 * (a + b) // 4)
    fractions = xp.asarray(nodes, dtype=theta.dtype)
    # One factor of the prefactor per power: no overflow meets an underflow.
    scale = math.exp(_log_prefactor(a + b) / max(a + b, 1))
    first, second = xp.sin(opening * fractions), xp.sin(opening * (1 - fractions))
    integrand = (scale * first) ** a * (scale * second) ** b
    constant = 1.0 if a + b else math.exp(_log_prefactor(0))
    return constant * opening[..., 0] * (integrand * xp.asarray(weights, dtype=theta.dtype)).sum(-1)


def marginal_moment(k: int) -> float:
    """m_k = E[phi(G)^k]: 1/2 for k = 0, (k - 1)!!/2 for even k, (k - 1)!!/sqrt(2 pi) for odd k.

    Args:
        k: an integer >= 0.

    Returns:
        The moment; inf where it exceeds float64 (k > 300).

    Raises:
        SpecError: k is not an integer >= 0.

    Reference: arXiv:2302.09712, the case theta = 0 of J.
    """
    k = validate.integer("k", k)
    log_moment = 0.5 * k * math.log(2.0) + math.lgamma(0.5 * (k + 1))
    log_moment -= math.log(2.0 * math.sqrt(math.pi))
    return math.exp(log_moment) if log_moment < 709.0 else math.inf


def p_number(a: int, k: int) -> int:
    """P(a, k), the Bessel numbers: matchings of a points that leave k points unmatched.

    P(a, k) = a! / (k! ((a - k)/2)! 2^{(a-k)/2}) for even a - k, else 0; equivalently
    P(a, k) = (a - 1) P(a - 2, k) + P(a - 1, k - 1), P(0, 0) = 1. With the Q numbers and a <= b,

        J_{a,b} = sum_k P(a,k) b!/(b-k)! c^k J_{0,b-k} + sum_k Q(a,k) b!/(b-k)! c^k S_{b-k},
        c = cos(theta),  S_j = sin(theta)^j (j-1)!! / (2 pi if j is odd, else 2 sqrt(2 pi)).

    Args:
        a: an integer >= 0.
        k: an integer; the number is 0 outside 0..a.

    Returns:
        The exact integer.

    Raises:
        SpecError: a is not an integer >= 0, or k is not an integer.

    Reference: arXiv:2302.09712, the expansion of J_{a,b}; OEIS A099174.
    """
    _check_row(a, k)
    if not 0 <= k <= a or (a - k) % 2:
        return 0
    pairs = (a - k) // 2
    return math.comb(a, k) * math.factorial(2 * pairs) // (math.factorial(pairs) << pairs)


def q_number(a: int, k: int) -> int:
    """Q(a, k) = sum_{j >= 0} (-1)^j (2j - 1)!! P(a, k + 2j + 1): boundary terms of J_{a,b}.

    The recursion of the P numbers from Q(1, 0) = 1, Q(0, .) = 0; expansion in `p_number`.

    Args:
        a: an integer >= 0.
        k: an integer; the number is 0 outside 0..a-1.

    Returns:
        The exact integer.

    Raises:
        SpecError: a is not an integer >= 0, or k is not an integer.

    Reference: arXiv:2302.09712, the expansion of J_{a,b}.
    """
    _check_row(a, k)
    if not 0 <= k < a or (a - k) % 2 == 0:
        return 0
    total, signed_double_factorial = 0, 1
    for j in range((a - k - 1) // 2 + 1):
        total += signed_double_factorial * p_number(a, k + 2 * j + 1)
        signed_double_factorial *= -(2 * j + 1)
    return total


@lru_cache(maxsize=64)
def unit_legendre(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def _log_prefactor(k: int) -> float:
    return 0.5 * k * math.log(2.0) + math.lgamma(0.5 * k + 1.0) - math.log(2.0 * math.pi)


def _check_row(a: int, k: int) -> None:
    ok = all(isinstance(index, int | np.integer) for index in (a, k)) and a >= 0
    validate.require(ok, f"(a, k) = ({a!r}, {k!r})", "integers with a >= 0", "Round a and k.")
