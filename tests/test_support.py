"""The statistical assertions accept, reject and resolve as they say."""

import numpy as np
import pytest
from statistical import assert_mean

SAMPLE = np.random.default_rng(0).normal(2.0, 1.0, size=(10_000, 3))


def test_the_exact_mean_passes():
    assert_mean(SAMPLE, 2.0, rejects=2.1, resolves=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exact": 2.2, "rejects": 3.0}, "off by"),
        ({"exact": 2.0, "rejects": 2.01}, "the rival is within"),
        ({"exact": 2.0, "rejects": 3.0, "resolves": 0.01}, "resolves 0.02"),
    ],
)
def test_what_is_wrong_or_without_power_fails(options, message):
    with pytest.raises(AssertionError, match=message):
        assert_mean(SAMPLE, **options)


def test_values_that_are_not_finite_fail():
    with pytest.raises(AssertionError, match="not finite"):
        assert_mean(np.full((10, 2), np.nan), 0.0, rejects=1.0)
