"""Statistics with control variates: merges, the mean and variance, what stays plain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statistical import assert_value

from deepinit.core.levels import QUANTILE_LEVELS
from deepinit.ensembles import controlled as c
from deepinit.ensembles import statistics as s

NAMES = ("dead", "not_finite")
MEAN, VARIANCE = 1.0, 1.19  # of f = 1 + x + 0.3 (x^2 - 1) + 0.1 noise
CENTRE = 1.4


def toy(num_seeds, num_entries=1, key=0, *, share=0.9, bias=0.0):
    """Values f, controls c and w = (f - centre)^2 without noise, less its mean; [seeds, 1, .]."""
    x, noise = np.random.default_rng(key).normal(size=(2, num_seeds, 1, num_entries))
    walk = x + 0.3 * (x**2 - 1.0)
    square = walk**2 - 1.18 + 2.0 * (MEAN - CENTRE) * walk
    return MEAN + walk + 0.1 * noise, share * walk + bias, square


def part_of(values, mean, square, events=None, centre=CENTRE, histogram=True, past=None):
    events = np.zeros(values.shape, int) if events is None else events
    plain = s.statistics(values, events, len(NAMES), histogram=histogram)
    centre = np.full(values.shape[1:], centre)
    return c.controlled(plain, values, events, mean, square, centre, past)


def estimate_of(part):
    return c.best(*c.estimates("toy", part, NAMES, settings={"control": "theory"}))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=4))
def test_merged_blocks_are_one_block(sizes):
    arrays = toy(sum(sizes), 3)
    cuts = np.cumsum(sizes)[:-1]
    merged = None
    for arrays_of_block in zip(*(np.split(array, cuts) for array in arrays), strict=True):
        part = part_of(*arrays_of_block)
        merged = part if merged is None else c.merge(merged, part)
    whole = part_of(*arrays)
    for merged_part, part in zip(merged[:3], whole[:3], strict=True):
        for name in ("num_seeds", "num_valid", "events", "minimum", "maximum"):
            np.testing.assert_array_equal(getattr(merged_part, name), getattr(part, name))
        for name in ("mean", "moment2", "moment3", "moment4"):
            found, exact = getattr(merged_part, name), getattr(part, name)
            np.testing.assert_allclose(found, exact, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(merged.plain.histogram, whole.plain.histogram)
    assert merged.mean.histogram is merged.square.histogram is None


def test_arrays_give_the_statistics_back_and_plain_ones_are_as_before():
    values, mean, square = toy(20)
    part = part_of(values, mean, square, past=mean)
    back = c.from_arrays({name: np.array(array) for name, array in c.to_arrays(part).items()})
    for found, exact in zip(back[:3], part[:3], strict=True):
        for name in s.Statistics._fields:
            np.testing.assert_array_equal(getattr(found, name), getattr(exact, name))
    for found, exact in zip((back.centre, *back.fit), (part.centre, *part.fit), strict=True):
        np.testing.assert_array_equal(found, exact)
    plain = c.to_arrays(part.plain)
    assert plain.keys() == s.to_arrays(part.plain).keys()
    assert isinstance(c.from_arrays(plain), s.Statistics)
    assert {name for name in c.to_arrays(part) if "." in name} == {
        "control.centre", "control.fit.mean", "control.fit.products",
        *(f"control.{value}.{name}" for value in ("mean", "square") for name in plain
          if name not in ("occupied", "counts")),
    }  # fmt: skip


def test_mean_and_variance_of_a_toy_are_exact_with_smaller_errors():
    part = part_of(*toy(4000))
    found = estimate_of(part)
    assert_value(found.mean, found.standard_error, MEAN, rejects=MEAN + 0.03)
    # the rival: E (f - centre)^2
    second = VARIANCE + (MEAN - CENTRE) ** 2
    assert_value(found.variance, found.variance_standard_error, VARIANCE, rejects=second)
    # a = f - 0.9 walk: its variance is 0.01 * 1.18 + 0.01
    np.testing.assert_allclose(found.variance_saved, VARIANCE / 0.0218, rtol=0.2)
    np.testing.assert_allclose(
        found.variance_saved, (found.plain.standard_error / found.standard_error) ** 2
    )
    assert found.variance_standard_error < 0.3 * found.plain.variance_standard_error
    for name in ("quantiles", "skewness", "minimum", "maximum"):
        np.testing.assert_array_equal(getattr(found, name), getattr(found.plain, name))
    assert (found.settings, found.plain.settings) == ({"control": "theory"}, {})
    assert found.plain.plain is None


def test_a_fitted_weight_changes_the_mean_alone():
    values, mean, square = toy(4000)  # 0.9 of the walk
    fixed = c.estimates("toy", part_of(values, mean, square), NAMES)[1]
    fit = c.estimates("toy", part_of(values, mean, square, past=mean), NAMES)[1]
    # what remains is the noise, of deviation 0.1
    np.testing.assert_allclose(fit.standard_error, 0.1 / 4000**0.5, rtol=0.05)
    assert_value(fit.mean, fit.standard_error, MEAN, rejects=fixed.mean + 5 * fixed.standard_error)
    for name in ("variance", "variance_standard_error", "relative_variance_error"):
        np.testing.assert_array_equal(getattr(fit, name), getattr(fixed, name))
    third = lambda each: each.skewness * each.standard_error**3
    np.testing.assert_allclose(third(fit), third(fixed))
    events = np.zeros(values.shape, int)
    events[7] = 1
    excluded = part_of(values, mean, square, events, past=mean)
    assert np.isnan(c.estimates("toy", excluded, NAMES)[1].mean)


def test_merged_blocks_have_one_weight_if_all_have_a_past():
    arrays = toy(300, 2)
    whole = part_of(*arrays, past=arrays[1])
    blocks = zip(*(np.split(array, [70]) for array in arrays), strict=True)
    parts = [part_of(*block, past=block[1]) for block in blocks]
    merged = c.from_arrays(c.to_arrays(c.merge(*parts)))
    for name in ("mean", "standard_error", "skewness"):
        found, exact = (getattr(c.estimates("toy", p, NAMES)[1], name) for p in (merged, whole))
        np.testing.assert_allclose(found, exact, rtol=1e-9)
    older = parts[1]._replace(fit=None)
    assert c.merge(parts[0], older).fit is c.merge(older, parts[0]).fit is None


def test_a_control_with_a_mean_is_seen():
    found = estimate_of(part_of(*toy(4000, bias=0.03)))
    with pytest.raises(AssertionError):
        assert_value(found.mean, found.standard_error, MEAN, rejects=MEAN - 1.0)
    # without control it is not seen
    plain = found.plain
    assert_value(plain.mean - 0.03, plain.standard_error, MEAN, rejects=MEAN - 1.0)


def test_the_variance_is_unbiased_and_its_error_a_bound():
    """8000 ensembles of 20: entries of one block."""
    part = part_of(*toy(20, 8000, share=0.4), histogram=False)
    controlled = c.estimates("toy", part, NAMES)[1]
    assert np.isfinite(controlled.variance).all()
    spread = controlled.variance.std()
    error = spread / np.sqrt(controlled.variance.size)
    # the rival: without s^2 / N
    biased = VARIANCE - np.mean(controlled.standard_error**2)
    assert_value(controlled.variance.mean(), error, VARIANCE, rejects=biased)
    stated = np.sqrt(np.mean(controlled.variance_standard_error**2))
    assert spread < stated < 3.0 * spread


def test_entries_with_excluded_networks_or_useless_controls_stay_plain():
    values, mean, square = toy(200, 4)
    mean[..., 1] = np.random.default_rng(1).normal(scale=3.0, size=mean[..., 1].shape)
    square[..., 2] *= -20.0
    events = np.zeros(values.shape, int)
    events[7, 0, 0] = 1
    values[8, 0, 3] = np.nan
    found = estimate_of(part_of(values, mean, square, events))
    is_plain = lambda name: (getattr(found, name) == getattr(found.plain, name))[0].tolist()
    assert is_plain("mean") == is_plain("standard_error") == [True, True, False, True]
    for name in ("variance", "variance_standard_error", "relative_variance_error"):
        assert is_plain(name) == [True, False, True, True]
    np.testing.assert_array_equal(found.variance_saved[0] == 1.0, is_plain("mean"))


def test_blocks_without_controls_or_with_another_centre_merge_to_plain_statistics():
    part, other = part_of(*toy(20)), part_of(*toy(20, key=1), centre=2.0)
    rounded = part_of(*toy(20, key=1), centre=CENTRE * (1 + 1e-12))
    whole = s.merge(part.plain, other.plain)
    for merged in (c.merge(part, other), c.merge(part, other.plain), c.merge(part.plain, other)):
        assert isinstance(merged, s.Statistics)
        np.testing.assert_array_equal(merged.mean, whole.mean)
    assert isinstance(c.merge(part, rounded), c.Controlled)


def test_values_beyond_squares_of_float64_keep_the_plain_variance():
    values, mean, square = (np.ldexp(array, 600) for array in toy(100))
    found = estimate_of(part_of(values, mean, square, centre=np.ldexp(CENTRE, 600)))
    assert found.standard_error < 0.3 * found.plain.standard_error
    np.testing.assert_array_equal(found.variance, found.plain.variance)
    np.testing.assert_array_equal(
        found.relative_variance_error, found.plain.relative_variance_error
    )


def test_statistics_without_a_histogram_have_no_quantiles():
    values = np.ones((3, 2))
    stats = s.statistics(values, np.zeros(values.shape), 1, histogram=False)
    quantiles = s.estimate("x", s.merge(stats, stats), ("dead",)).quantiles
    assert quantiles.shape == (len(QUANTILE_LEVELS), 2)
    assert np.isnan(quantiles).all()


@pytest.mark.parametrize("num_seeds", [1, 2, 3])
def test_few_networks_keep_what_has_no_error(num_seeds):
    found = estimate_of(part_of(*toy(num_seeds)))
    np.testing.assert_array_equal(found.variance, found.plain.variance)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.variance_saved).all()
