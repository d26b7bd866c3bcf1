"""Covariances over networks between the entries of one quantity, or of two that were measured on the same networks."""

from typing import NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.results import Estimate


class Covariance(NamedTuple):
    """Covariances over networks and their standard errors, both [rows, entries of the first, entries of the second]."""

    value: np.ndarray
    standard_error: np.ndarray


def covariance(first: Estimate, second: Estimate | None = None) -> Covariance:
    """Cov(first_ra, second_rb) over networks, for every row r (layer, step) and every two entries a, b.

    Args:
        first: with samples: `di.simulate(..., keep_samples=True)`.
        second: measured on the same networks (same spec, key, number, linear map), with samples and as many rows, or one row where the
            other has several: then its last row is taken. None for `first` itself.

    Returns:
        `Covariance`; unbiased values; standard errors from the fourth moments: sqrt((E (dx dy)^2 - Cov^2) / networks). Networks without a
        value in either are left out, entry by entry.

    Raises:
        SpecError: no Estimate, no samples, different numbers of networks or rows.
    """
    second = first if second is None else second
    if not (isinstance(first, Estimate) and isinstance(second, Estimate)):
        kinds = " and ".join(type(each).__name__ for each in (first, second))
        raise SpecError(
            kinds, "Estimates", "Pass what di.simulate(..., keep_samples=True) returns."
        )
    if first.samples is None or second.samples is None:
        raise SpecError(
            "an Estimate without samples", "one with them", "Simulate with keep_samples=True."
        )
    x, y = (np.asarray(estimate.samples, np.float64) for estimate in (first, second))
    if x.shape[1] != y.shape[1] and 1 in (x.shape[1], y.shape[1]):
        x, y = x[:, -1:], y[:, -1:]
    if x.shape[:2] != y.shape[:2]:
        raise SpecError(
            f"{x.shape[0]} networks with {x.shape[1]} rows beside {y.shape[0]} with {y.shape[1]}",
            "two quantities of the same networks",
            "Simulate both with the same spec, key and num_seeds.",
        )
    value = np.empty((x.shape[1], x.shape[2], y.shape[2]))
    error = np.empty_like(value)
    for row, a, b in np.ndindex(value.shape):
        there = np.isfinite(x[:, row, a]) & np.isfinite(y[:, row, b])
        value[row, a, b], error[row, a, b] = _one(x[there, row, a], y[there, row, b])
    return Covariance(value, error)


def _one(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    count = len(x)
    if count < 2:
        return np.nan, np.nan
    products = (x - x.mean()) * (y - y.mean())
    return float(products.sum() / (count - 1)), float(products.std() / np.sqrt(count))
