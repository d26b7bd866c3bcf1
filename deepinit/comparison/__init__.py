"""Estimates against Predictions: z-scores, fits in 1/width, covariances."""

from deepinit.comparison.compare import THRESHOLD_SIGMA, Comparison, compare

__all__ = ["THRESHOLD_SIGMA", "Comparison", "compare"]
