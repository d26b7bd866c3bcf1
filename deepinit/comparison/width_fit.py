"""Least squares in powers of 1/width."""

from typing import Any, NamedTuple

import numpy as np


class WidthFit(NamedTuple):
    """Coefficients of 1/n, 1/n^2, ... [terms, ...], covariance of them [terms, terms, ...], chi-square [...] and its degrees of freedom."""

    coefficients: np.ndarray
    covariance: np.ndarray
    chi_square: np.ndarray
    degrees_of_freedom: int


def fit_widths(widths: Any, differences: Any, standard_errors: Any, terms: int) -> WidthFit:
    """Least squares of d(n) = c1/n + ... + c_terms/n^terms, every entry by itself.

    Args:
        widths: [widths], positive; any unit (width, or the inverse of a sum of 1/width).
        differences: [widths, ...].
        standard_errors: [widths, ...], positive, of independent differences.
        terms: >= 1, at most the number of widths.
    """
    inverse = 1.0 / np.asarray(widths, np.float64)
    values, errors = np.asarray(differences, np.float64), np.asarray(standard_errors, np.float64)
    powers = inverse[:, None] ** np.arange(1, terms + 1)
    shape = values.shape[1:]
    coefficients, covariance = (
        np.full((terms, *shape), np.nan),
        np.full((terms, terms, *shape), np.nan),
    )
    chi_square = np.full(shape, np.nan)
    for place in np.ndindex(shape):
        value, error = values[(slice(None), *place)], errors[(slice(None), *place)]
        if not (np.isfinite(value).all() and np.isfinite(error).all() and (error > 0).all()):
            continue
        scaled = powers / error[:, None]
        inner = np.linalg.pinv(scaled)  # [terms, widths]
        found = inner @ (value / error)
        coefficients[(slice(None), *place)] = found
        covariance[(slice(None), slice(None), *place)] = inner @ inner.T
        chi_square[place] = np.sum((value / error - scaled @ found) ** 2)
    return WidthFit(coefficients, covariance, chi_square, len(inverse) - terms)
