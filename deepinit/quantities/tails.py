"""Heavy tails: where an ensemble is too small for the error bar of its own mean."""

import numpy as np

from deepinit.core.results import Estimate

# Calibrated on exact means and kurtoses of ReLU and linear networks of widths 4 to 16 at depth / width 1/4 to 2. The exact mean is
# rejected in 3 of 131 400 ensembles of 100 to 4000 networks, by the sample's error bar alone; the exact kurtosis in 1 of 59 400 of
# 400 to 4000. Of 100 networks the fourth moment says too little: whatever the limit, 1 exact kurtosis of 1000 is rejected.
_LARGEST_SKEWNESS = 0.12  # skewness / sqrt(n): the skewness of the mean; one dominant value gives 1
_LARGEST_KURTOSIS = 0.002  # excess kurtosis / n: the squared relative error of the variance, beyond the Gaussian 2 / n
_LEAST_NETWORKS = 400  # for statistics made of second moments


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
        return spread & ~((kurtosis / count <= _LARGEST_KURTOSIS) & (count >= _LEAST_NETWORKS))
