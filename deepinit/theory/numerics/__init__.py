"""Mathematics shared by several theories: Gaussian pairs, factors of a layer, the delta method."""

from typing import NamedTuple


class LogNormal(NamedTuple):
    """Mean and variance of a natural logarithm that is exactly Gaussian."""

    mean: float
    variance: float
