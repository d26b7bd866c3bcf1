"""Shared mathematics: Gaussian pairs, layer factors, the delta method."""

from typing import NamedTuple


class LogNormal(NamedTuple):
    """Mean and variance of a Gaussian natural logarithm."""

    mean: float
    variance: float
