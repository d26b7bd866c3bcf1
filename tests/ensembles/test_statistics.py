"""Statistics: merging equals the whole, quantiles are the sample's own to the width of a bin."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepinit.core.levels import QUANTILE_LEVELS
from deepinit.ensembles import statistics as s

NAMES = ("collinear", "dead", "not_finite")
MOMENTS = ("mean", "moment2", "moment3", "moment4")
# Bins are 1/256 wide in asinh(100 x); the mean value theorem turns that into a width in x.
BIN = 1 / 256


def bin_width(x):
    return np.sqrt(x**2 + 0.01**2) * BIN * 1.01


values = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.floats(-1e3, 1e3, width=32),
)


@st.composite
def blocks(draw, count=3):
    entries = draw(st.integers(1, 3))
    shapes = [draw(st.integers(0, 9)) for _ in range(count)]
    elements = st.one_of(st.floats(-100, 100, width=32), st.sampled_from([np.nan, np.inf]))
    return [
        (
            draw(hnp.arrays(np.float64, (seeds, entries), elements=elements)),
            draw(hnp.arrays(np.int64, (seeds, entries), elements=st.sampled_from([0, 0, 0, 1, 2]))),
        )
        for seeds in shapes
    ]


def assert_same(a, b):
    for name in ("num_seeds", "num_valid", "minimum", "maximum", "histogram", "events"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for power, name in enumerate(MOMENTS, start=1):
        np.testing.assert_allclose(
            getattr(a, name), getattr(b, name), rtol=1e-9, atol=1e-11 * 100**power, err_msg=name
        )


@settings(max_examples=40, deadline=None)
@given(blocks())
def test_merging_is_associative_commutative_and_equal_to_the_whole(parts):
    a, b, c = (s.statistics(value, event, 3) for value, event in parts)
    whole = s.statistics(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)), 3)
    assert_same(s.merge(s.merge(a, b), c), whole)
    assert_same(s.merge(a, s.merge(b, c)), whole)
    assert_same(s.merge(c, s.merge(b, a)), whole)


@settings(max_examples=20, deadline=None)
@given(blocks(count=1))
def test_arrays_give_the_statistics_back(parts):
    ((value, event),) = parts
    stats = s.statistics(value, event, 3)
    back = s.from_arrays({name: np.array(array) for name, array in s.to_arrays(stats).items()})
    for name in stats._fields:
        np.testing.assert_array_equal(getattr(back, name), getattr(stats, name), err_msg=name)
        assert np.asarray(getattr(back, name)).dtype == np.asarray(getattr(stats, name)).dtype


@settings(max_examples=40, deadline=None)
@given(values)
def test_quantiles_are_order_statistics_to_the_width_of_a_bin(sample):
    stats = s.merge(
        s.statistics(sample[:2], np.zeros(sample[:2].shape), 3),
        s.statistics(sample[2:], np.zeros(sample[2:].shape), 3),
    )
    measured = s.estimate("x", stats, NAMES).quantiles
    # a level times the count may round to either neighbour of an integer
    low, high = (
        np.quantile(
            sample, np.clip(np.array(QUANTILE_LEVELS) + shift, 0, 1), axis=0, method="inverted_cdf"
        )
        for shift in (-1e-12, 1e-12)
    )
    assert np.all(measured >= low - bin_width(low))
    assert np.all(measured <= high + bin_width(high))


def test_quantiles_of_many_values_agree_with_numpy():
    sample = np.random.default_rng(0).normal(-3.0, 2.0, size=(20_000, 2))
    measured = s.estimate("x", s.statistics(sample, np.zeros(sample.shape), 3), NAMES).quantiles
    expected = np.quantile(sample, QUANTILE_LEVELS, axis=0)
    # half the bin, plus the gap between neighbours at the tails (density 0.013 at 1 %)
    assert np.all(np.abs(measured - expected) < bin_width(expected) + 0.005)


def test_moments_agree_with_scipy_whatever_the_blocks():
    sample = np.random.default_rng(1).gamma(2.0, size=(1000, 2, 3)) + 1000.0
    parts = [s.statistics(part, np.zeros(part.shape), 3) for part in np.array_split(sample, 7)]
    merged = parts[0]
    for part in parts[1:]:
        merged = s.merge(merged, part)
    measured = s.estimate("x", merged, NAMES)
    np.testing.assert_allclose(measured.mean, sample.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(measured.variance, sample.var(axis=0, ddof=1), rtol=1e-10)
    np.testing.assert_allclose(measured.standard_error, scipy.stats.sem(sample, axis=0), rtol=1e-10)
    np.testing.assert_allclose(measured.skewness, scipy.stats.skew(sample, axis=0), rtol=1e-9)
    kurtosis = merged.moment4 / 1000 / (merged.moment2 / 1000) ** 2
    np.testing.assert_allclose(
        kurtosis, scipy.stats.kurtosis(sample, axis=0, fisher=False), rtol=1e-9
    )
    np.testing.assert_array_equal(measured.minimum, sample.min(axis=0))
    np.testing.assert_array_equal(measured.maximum, sample.max(axis=0))


def test_standard_error_of_the_variance_is_the_spread_of_variances():
    # Exponential: kurtosis 9, so that a normal law's formula (2 / (n - 1)) is off by a factor 2.
    sample = np.random.default_rng(2).exponential(size=(400, 2000))
    measured = s.estimate("x", s.statistics(sample, np.zeros(sample.shape), 3), NAMES)
    spread = measured.variance.std()
    typical = np.sqrt(np.mean(measured.variance_standard_error**2))
    assert abs(typical / spread - 1) < 0.1
    assert np.sqrt(2 / 399) < 0.6 * spread


def test_events_are_counted_and_left_out():
    value = np.array([[1.0], [np.nan], [3.0], [np.inf], [50.0], [5.0]])
    event = np.array([[0], [0], [0], [0], [1], [2]])
    measured = s.estimate("x", s.statistics(value, event, 3), NAMES)
    assert {name: int(count[0]) for name, count in measured.events.items()} == {
        "collinear": 1,
        "dead": 1,
        "not_finite": 2,
    }
    assert measured.num_excluded == [4]
    assert (measured.mean[0], measured.variance[0], measured.maximum[0]) == (2.0, 2.0, 3.0)


def test_what_too_few_values_cannot_define_is_nan():
    none = s.estimate("x", s.statistics(np.ones((3, 1)), np.ones((3, 1)), 3), NAMES)
    assert np.isnan([none.mean[0], none.variance[0], none.minimum[0], none.quantiles[0, 0]]).all()
    one = s.estimate("x", s.statistics(np.full((1, 1), 7.0), np.zeros((1, 1)), 3), NAMES)
    assert one.mean[0] == one.minimum[0] == one.quantiles[3, 0] == 7.0
    assert np.isnan([one.variance[0], one.standard_error[0]]).all()


@pytest.mark.parametrize("num_seeds", [1_000, 100_000])
def test_what_a_block_keeps_does_not_grow_with_its_seeds(num_seeds):
    sample = np.random.default_rng(3).normal(size=(num_seeds, 4))
    stats = s.statistics(sample, np.zeros(sample.shape), 3)
    assert (
        sum(np.asarray(array).nbytes for array in stats)
        == s.NUM_BINS * 4 * 8 + (9 * 4 + 3 * 4) * 8 + 8
    )


def test_counts_of_many_blocks_are_the_sum_of_their_histograms(monkeypatch):
    rng = np.random.default_rng(0)
    blocks = [(rng.normal(size=(7, 3, 2)), rng.integers(0, 2, (7, 3, 2))) for _ in range(5)]
    blocks[0][0][0, 0, 0] = np.inf
    whole = sum(s.statistics(*block, 1).histogram for block in blocks)
    for most in (2**20, 50):
        monkeypatch.setattr("deepinit.ensembles.statistics._MOST_PENDING", most)
        counts = s.Counts()
        for block in blocks:
            counts.add(*block)
        np.testing.assert_array_equal(counts.histogram, whole)
    assert s.Counts().histogram is None
