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
        mean, error = np.asarray(sample.mean), np.asarray(sample.standard_error)
    else:
        values = np.asarray(sample, np.float64)
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
    error = np.broadcast_to(error if standard_error is None else standard_error, mean.shape)
    rounding = 1e-6 * np.abs(mean)  # float32, where a mean has no spread
    off = np.abs(mean - exact) / (SIGMAS * error + rounding)
    rival = np.abs(mean - rejects) / (SIGMAS * error + rounding)
    assert np.all(np.isfinite(off)), "a mean or a standard error is not finite"
    assert off.max() < 1.0, f"off by {SIGMAS * off.max():.2f} standard errors"
    assert rival.max() > 1.0, f"the rival is within {SIGMAS * rival.max():.2f} standard errors"
    if resolves is not None:
        power = float(np.max(SIGMAS * error / np.abs(exact)))
        assert power <= resolves, f"resolves {power:.3g} of the mean, not {resolves:.3g}"
