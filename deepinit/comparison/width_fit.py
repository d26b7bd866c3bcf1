"""Least squares in powers of 1/width."""

from typing import NamedTuple

import numpy as np

from deepinit.core.typing import Array, Float, Like, Plain, Real


class WidthFit(NamedTuple):
    """Fitted powers of 1/n.

    `coefficients`, `covariance`: of 1/n, 1/n^2, ... [terms, ...]. `chi_square`: of
    `degrees_of_freedom`.
    """

    coefficients: Float[np.ndarray, "terms *shape"]
    covariance: Float[np.ndarray, "terms terms *shape"]
    chi_square: Float[Like, "*shape"]
    degrees_of_freedom: int


def fit_widths(
    widths: Real[Array, "widths"] | Plain,
    differences: Real[Array, "widths *shape"] | Plain,
    standard_errors: Real[Array, "widths *shape"] | Plain,
    terms: int,
) -> WidthFit:
    """Least squares of d(n) = c1/n + ... + c_terms/n^terms per entry; NaN without errors.

    Positive widths, in any unit; independent [widths, ...] differences.
    """
    inverse = 1.0 / np.asarray(widths, np.float64)
    values, errors = np.asarray(differences, np.float64), np.asarray(standard_errors, np.float64)
    powers = inverse[:, None] ** np.arange(1, terms + 1)
    shape = values.shape[1:]
    coefficients = np.full((terms, *shape), np.nan)
    covariance = np.full((terms, terms, *shape), np.nan)
    chi_square = np.full(shape, np.nan)
    for place in np.ndindex(shape):
        value, error = values[:, *place], errors[:, *place]
        if not (np.isfinite(value).all() and np.isfinite(error).all() and (error > 0).all()):
            continue
        scaled = powers / error[:, None]
        inner = np.linalg.pinv(scaled)  # [terms, widths]
        coefficients[:, *place] = inner @ (value / error)
        covariance[:, :, *place] = inner @ inner.T
        residual = value / error - scaled @ coefficients[:, *place]
        chi_square[place] = np.sum(residual**2)
    return WidthFit(coefficients, covariance, chi_square, len(inverse) - terms)
