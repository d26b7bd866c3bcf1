"""Quantiles near the bound of a bounded quantity are exact where samples are kept."""

import numpy as np

from deepinit.core.levels import QUANTILE_LEVELS
from deepinit.ensembles import statistics


def test_quantiles_of_kept_samples_near_a_bound_are_those_of_the_values():
    values = -1e-6 * np.random.default_rng(0).exponential(
        size=(999, 2)
    )  # below 0, as ln sin^2 of right angles
    events = np.zeros(values.shape, int)
    events[:, 1] = 1  # an entry without values
    merged = statistics.merge(
        *(statistics.statistics(values[s], events[s], 1) for s in (slice(500), slice(500, None)))
    )
    samples = np.where(events == 0, values, np.nan)
    exact = np.quantile(values[:, 0], QUANTILE_LEVELS)
    found = statistics.estimate("q", merged, ("dead",), samples=samples).quantiles
    assert np.array_equal(found[:, 0], exact)
    assert np.isnan(found[:, 1]).all()
    grid = statistics.estimate("q", merged, ("dead",)).quantiles[:, 0]
    assert np.abs(grid - exact).max() > 1e-7  # the rival: bins near 0 are wider than the values
    first_half = statistics.estimate("q", merged, ("dead",), samples=samples[:500]).quantiles[:, 0]
    assert np.array_equal(first_half, grid)  # some samples only: the grid


def test_quantiles_without_samples_are_as_far_off_as_documented():
    rng = np.random.default_rng(1)
    values = np.stack(
        [scale * rng.normal(1.0, 0.5, 2000) for scale in (1e-6, 1e-3, 0.3, 40.0)], axis=1
    )
    exact = np.quantile(values, QUANTILE_LEVELS, axis=0, method="inverted_cdf")
    found = statistics.estimate(
        "q", statistics.statistics(values, np.zeros(values.shape, int), 1), ("dead",)
    ).quantiles
    off = np.abs(found - exact) / np.maximum(0.004 * np.abs(exact), 4e-5)
    assert off.max() < 1.0
    assert off.max() > 0.1  # the bound is no empty one
