"""Covariances over networks of one or two quantities."""

from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.results import Estimate
from deepinit.core.typing import Float


class Covariance(NamedTuple):
    """Covariances over networks, [rows, entries of the first, of the second]."""

    value: Float[np.ndarray, "rows first second"]
    standard_error: Float[np.ndarray, "rows first second"]

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.value.shape))
        last = f"{self.value[-1, -1, -1]:.4g} +- {self.standard_error[-1, -1, -1]:.2g}"
        return f"Covariance({shape}, last {last})"


def covariance(first: Estimate, second: Estimate | None = None) -> Covariance:
    """Cov(first_ra, second_rb) over networks, for rows r (layers, steps) and entries a, b.

    Unbiased, over networks with both values; errors sqrt((E (dx dy)^2 - Cov^2) / networks).

    Args:
        first: of `di.simulate(..., keep_samples=True)`.
        second: likewise, of the same networks (spec, key, number, linear map) and as many rows; one
            row is paired with the last of several. None for `first`.

    Raises SpecError: no samples, different numbers of networks or rows.
    """
    second = first if second is None else second
    write = "Simulate with keep_samples=True."
    for name, estimate in (("first", first), ("second", second)):
        validate.instance(name, estimate, Estimate, "Estimates of di.simulate", write)
    if first.samples is None or second.samples is None:
        raise SpecError("an Estimate without samples", "Estimates with samples", write)
    x, y = (np.asarray(estimate.samples, np.float64) for estimate in (first, second))
    if x.shape[1] != y.shape[1] and 1 in (x.shape[1], y.shape[1]):
        x, y = x[:, -1:], y[:, -1:]
    if x.shape[:2] != y.shape[:2]:
        given = f"[networks, rows] = {x.shape[:2]} beside {y.shape[:2]}"
        write = "Simulate both with the same spec, key and num_seeds."
        raise SpecError(given, "two quantities of the same networks", write)
    value = np.empty((x.shape[1], x.shape[2], y.shape[2]))
    error = np.empty_like(value)
    for row, a, b in np.ndindex(value.shape):
        defined = np.isfinite(x[:, row, a]) & np.isfinite(y[:, row, b])
        value[row, a, b], error[row, a, b] = _sample_covariance(
            x[defined, row, a], y[defined, row, b]
        )
    return Covariance(value, error)


def _sample_covariance(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    count = len(x)
    if count < 2:
        return np.nan, np.nan
    products = (x - x.mean()) * (y - y.mean())
    return float(products.sum() / (count - 1)), float(products.std() / np.sqrt(count))
