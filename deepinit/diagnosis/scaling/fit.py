"""Exponents of width from squares of networks, with bootstrap errors over networks."""

from typing import NamedTuple

import numpy as np

_RESAMPLES = 400


class Fit(NamedTuple):
    """Root mean squares over networks, and their powers of n.

    Attributes:
        values, errors: [widths, rows] and standard errors.
        exponent, exponent_error: [rows] at the largest widths.
        local, local_error: [widths, rows] from neighbouring widths.
    """

    values: np.ndarray
    errors: np.ndarray
    exponent: np.ndarray
    exponent_error: np.ndarray
    local: np.ndarray
    local_error: np.ndarray


def fitted(widths: np.ndarray, squares: list[np.ndarray], num_largest: int, seed: int) -> Fit:
    """The fit of squares [networks, rows], one array for every width.

    Networks are resampled at every width. Rows that are 0 have exponents NaN.
    """
    logs = np.log(np.asarray(widths, np.float64))
    rng = np.random.default_rng((seed, len(logs)))
    resampled = np.stack([_resampled(rng, each) for each in squares], axis=1)
    means = np.stack([each.mean(axis=0) for each in squares])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_values, log_resampled = 0.5 * np.log(means), 0.5 * np.log(resampled)
        last = slice(-num_largest, None)
        exponent = _slope(logs[last], log_values[last])
        exponents = np.stack([_slope(logs[last], each[last]) for each in log_resampled])
        local = _local(logs, log_values)
        locals_ = np.stack([_local(logs, each) for each in log_resampled])
        errors = np.exp(log_values) * log_resampled.std(axis=0)
    return Fit(
        np.exp(log_values), errors, exponent, exponents.std(axis=0), local, locals_.std(axis=0)
    )


def _resampled(rng: np.random.Generator, squares: np.ndarray) -> np.ndarray:
    """Means [resamples, rows]."""
    count = len(squares)
    times = rng.multinomial(count, np.full(count, 1.0 / count), size=_RESAMPLES)
    return times @ squares / count


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares slope of y [widths, rows]."""
    centred = x - x.mean()
    return centred @ y / (centred @ centred)


def _local(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slopes [widths, rows] over each width and its neighbours."""
    ends = [(max(at - 1, 0), min(at + 2, len(x))) for at in range(len(x))]
    return np.stack([_slope(x[a:b], y[a:b]) for a, b in ends])
