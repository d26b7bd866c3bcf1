"""Sines, dot products, frames and constants with equal bits on every processor.

Runs move between processors only with equal inputs. Math libraries and BLAS round differently;
decimal arithmetic, `math.fsum` and single operations do not.
"""

import decimal
import math

import numpy as np

from deepinit.core.typing import Numbers

_PI = decimal.Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899"
)


def sine(x: Numbers) -> np.ndarray:
    """sin x, correctly rounded float64; |x| up to 1e15."""
    return np.vectorize(_sine, otypes=[np.float64])(np.asarray(x, np.float64))


def cosine(x: Numbers) -> np.ndarray:
    """cos x, correctly rounded."""
    quarter_turn = lambda angle: _sine(angle, quarters=1)
    return np.vectorize(quarter_turn, otypes=[np.float64])(np.asarray(x, np.float64))


def constant(number: float, digits: int) -> float:
    """Number to these digits; quadrature and root search differ in the 15th."""
    return float(f"{number:.{digits - 1}e}")


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products on the last axis, in a fixed order unlike BLAS."""
    return np.sum(a * b, axis=-1)


def norm(vector: np.ndarray) -> float:
    """Vector length, without overflow or underflow of squares."""
    unit = math.ldexp(1.0, math.frexp(float(np.abs(vector).max()))[1] - 1)
    scaled = vector / unit
    return unit * math.sqrt(float(dot(scaled, scaled)))


def orthonormalized(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal rows by Gram-Schmidt with two projections, the first along the first vector.

    Also the fractions of the lengths orthogonal to earlier vectors, 0 for zero vectors.
    """
    rows, shares = np.zeros_like(vectors), np.zeros(len(vectors))
    for index, vector in enumerate(vectors):
        rest = vector / (norm(vector) or 1.0)
        for _ in range(2):
            rest = rest - np.sum(dot(rows[:index], rest)[:, None] * rows[:index], axis=0)
        shares[index] = norm(rest)
        rows[index] = rest / (shares[index] or 1.0)
    return rows, shares


def _sine(x: float, quarters: int = 0) -> float:
    """sin(x + quarters pi / 2), series with 70 digits."""
    with decimal.localcontext(prec=70):
        angle = (decimal.Decimal(float(x)) + quarters * _PI / 2).remainder_near(2 * _PI)
        total = term = angle
        order = 1
        while abs(term) > abs(total) * decimal.Decimal("1e-40"):
            order += 2
            term = -term * angle * angle / (order * (order - 1))
            total += term
        return float(total)
