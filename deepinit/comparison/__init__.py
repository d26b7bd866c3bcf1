"""Estimate against Prediction: standard errors, z-scores, the effect resolved, and which route is closer."""

from deepinit.comparison.compare import GATE, Comparison, compare

__all__ = ["GATE", "Comparison", "compare"]
