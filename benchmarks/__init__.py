"""Ratios of speed and memory, each from one run that checks its answer first."""
