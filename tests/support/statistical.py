"""Statistical assertions whose power is in their signature."""

from typing import Any

import numpy as np

SIGMAS = 5.0


def assert_mean(
    sample: Any,
    exact: Any,
    *,
    rejects: Any,
    resolves: float | None = None,
    standard_error: Any = None,
) -> None:
    """The mean of a sample is exact and not the rival.

    Args:
        sample: values [n, ...], or an Estimate.
        exact: the mean, of shape [...].
        rejects: a rival mean of that shape; at least one entry must differ from the sample's by 5
            standard errors.
        resolves: the largest 5 standard errors that the test may have, relative to |exact|.
        standard_error: of the mean where it is known; else the sample's own.
    """
    if hasattr(sample, "standard_error"):
        mean, error = sample.mean, sample.standard_error
    else:
        values = np.asarray(sample, np.float64)
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
    error = error if standard_error is None else standard_error
    assert_value(mean, error, exact, rejects=rejects, resolves=resolves)


def assert_variance(
    sample: Any, exact: Any, *, rejects: Any, resolves: float | None = None
) -> None:
    """The variance of a sample is exact and not the rival; arguments as in `assert_mean`."""
    if hasattr(sample, "variance_standard_error"):
        found = sample.variance, sample.variance_standard_error
        assert_value(*found, exact, rejects=rejects, resolves=resolves)
    else:
        values = np.asarray(sample, np.float64)
        squares = (values - values.mean(axis=0)) ** 2
        assert_mean(squares, exact, rejects=rejects, resolves=resolves)


def assert_value(
    value: Any, error: Any, exact: Any, *, rejects: Any, resolves: float | None = None
) -> None:
    """An estimate with this standard error is exact and not the rival.

    The other arguments are those of `assert_mean`; shapes broadcast.
    """
    value = np.asarray(value, np.float64)
    error = np.broadcast_to(error, value.shape)
    # float32 rounding, where an estimate has no spread
    gate = np.maximum(SIGMAS * error, 1e-6 * np.abs(value))
    with np.errstate(divide="ignore", invalid="ignore"):
        off, rival = np.abs(value - exact) / gate, np.abs(value - rejects) / gate
    assert np.all(np.isfinite(off)), "a mean or a standard error is not finite"
    assert off.max() < 1.0, f"off by {SIGMAS * off.max():.2f} standard errors"
    assert rival.max() > 1.0, f"the rival is within {SIGMAS * rival.max():.2f} standard errors"
    if resolves is not None:
        power = float(np.max(SIGMAS * error / np.abs(exact)))
        assert power <= resolves, f"resolves {power:.3g} of the mean, not {resolves:.3g}"
