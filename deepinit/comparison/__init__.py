"""Estimates against Predictions: z-scores, fits in 1/width, covariances."""

from deepinit.comparison.compare import GATE, Comparison, compare

__all__ = ["GATE", "Comparison", "compare"]
