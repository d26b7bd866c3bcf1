"""Heavy tails: where an ensemble is too small for the error bar of its own mean."""

import numpy as np

from deepinit.core.results import Estimate

# Calibrated on log-normal ensembles of 100 to 4000 values with log-variances 0.1 to 10. Below these, the exact mean is rejected in at
# most 5 samples of 10^4, and the exact kurtosis in 1 of 100 (100 values) or fewer (4 of 1000 from 4000 values on).
_LARGEST_SKEWNESS = 0.15  # skewness / sqrt(n): the skewness of the mean; one dominant value gives 1
_LARGEST_KURTOSIS = 0.005  # excess kurtosis / n: the squared relative error of the variance, beyond the Gaussian 2 / n


def heavy_tails(measured: Estimate, *, second_moment: bool = False) -> np.ndarray:
    """Entries whose error bars cannot be trusted, bool, of the shape of a measurement.

    Args:
        measured: statistics of the values of single networks.
        second_moment: judge the error bar of the variance instead of the mean's, for statistics made of both.
    """
    count = (measured.num_seeds - measured.num_excluded).astype(np.float64)
    spread = measured.standard_error > 0  # the variance may have underflowed
    with np.errstate(divide="ignore", invalid="ignore"):
        if not second_moment:
            return spread & ~(np.abs(measured.skewness) / np.sqrt(count) <= _LARGEST_SKEWNESS)
        assert measured.relative_variance_error is not None
        kurtosis = count * measured.relative_variance_error**2 - 2.0
        return spread & ~(kurtosis / count <= _LARGEST_KURTOSIS)
