"""Compositions of random maps: semi-invariant metrics, iterates in three orders, drifts."""
