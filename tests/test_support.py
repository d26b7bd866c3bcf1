"""The statistical assertions accept, reject and resolve as they say."""

from types import SimpleNamespace

import numpy as np
import pytest
from statistical import assert_mean, assert_value, assert_variance

SAMPLE = np.random.default_rng(0).normal(2.0, 1.0, size=(10_000, 3))
ESTIMATE = SimpleNamespace(
    mean=SAMPLE.mean(axis=0),
    standard_error=np.full(3, 0.01),
    variance=SAMPLE.var(axis=0),
    variance_standard_error=np.full(3, 0.01 * np.sqrt(2.0)),
)


@pytest.mark.parametrize("sample", [SAMPLE, ESTIMATE])
def test_the_exact_mean_and_variance_pass(sample):
    assert_mean(sample, 2.0, rejects=2.1, resolves=0.03)
    assert_variance(sample, 1.0, rejects=1.1, resolves=0.08)


@pytest.mark.parametrize("sample", [SAMPLE, ESTIMATE])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"exact": 2.2, "rejects": 3.0}, "off by"),
        ({"exact": 2.0, "rejects": 2.01}, "the rival is within"),
        ({"exact": 2.0, "rejects": 3.0, "resolves": 0.01}, "resolves 0.02"),
    ],
)
def test_what_is_wrong_or_without_power_fails(sample, options, message):
    with pytest.raises(AssertionError, match=message):
        assert_mean(sample, **options)
    options = {name: value - (name != "resolves") for name, value in options.items()}
    with pytest.raises(AssertionError, match=message.replace("0.02", "0.07")):
        assert_variance(sample, **options)


def test_values_that_are_not_finite_fail():
    with pytest.raises(AssertionError, match="not finite"):
        assert_mean(np.full((10, 2), np.nan), 0.0, rejects=1.0)
    with pytest.raises(AssertionError, match="not finite"):
        assert_value([0.0, 1.0], 0.0, [0.0, 1.0], rejects=2.0)


def test_a_rival_must_differ_in_one_entry_only():
    assert_value([1.0, 2.0], 0.01, [1.0, 2.0], rejects=[1.0, 2.1])
    with pytest.raises(AssertionError, match="the rival is within"):
        assert_value([1.0, 2.0], 0.01, [1.0, 2.0], rejects=[1.0, 2.01])
