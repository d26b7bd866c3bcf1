"""Levels: the threshold of rejection, and quantiles."""

# Standard errors; a correct theory exceeds it in one comparison in two million.
THRESHOLD_SIGMA = 5.0
QUANTILE_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
