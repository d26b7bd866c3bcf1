"""A fitted weight: that of least squares, the same for every cut into blocks, honest errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statistical import assert_value

from deepinit.ensembles import fitted

WEIGHT, MEAN, NOISE = 0.4, 2.0, 0.1


def toy(num, entries=1, key=0):
    """p of mean 0 and variance 1, and a = MEAN + WEIGHT p + noise: [num, entries]."""
    p, noise = np.random.default_rng(key).normal(size=(2, num, entries))
    return p, MEAN + WEIGHT * p + NOISE * noise


def merged(p, a, cuts):
    blocks = zip(np.split(p, cuts), np.split(a, cuts), strict=True)
    parts = [fitted.moments(*block) for block in blocks]
    sizes = np.diff([0, *cuts, len(p)])
    found, num = parts[0], sizes[0]
    for part, size in zip(parts[1:], sizes[1:], strict=True):
        found, num = fitted.merge(found, part, num, size), num + size
    return found


def test_the_fit_is_the_intercept_of_least_squares():
    p, a = toy(150)
    design = np.concatenate([np.ones_like(p), p], axis=1)
    (mean, _), (squares,), _, _ = np.linalg.lstsq(design, a, rcond=None)
    error = np.sqrt(squares / 148 * np.linalg.inv(design.T @ design)[0, 0])
    found = fitted.fit(fitted.moments(p, a), 150)
    np.testing.assert_allclose(a.mean() + found.shift, mean, rtol=1e-12)
    np.testing.assert_allclose(a.std(ddof=1) / 150**0.5 * found.ratio, error, rtol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 199), min_size=1, max_size=5, unique=True))
def test_every_cut_into_blocks_has_one_fit(cuts):
    p, a = toy(200, 3)
    whole = fitted.fit(fitted.moments(p, a), 200)
    for order in (slice(None), slice(None, None, -1)):
        found = fitted.fit(merged(p[order], a[order], sorted(cuts)), 200)
        np.testing.assert_allclose(found.shift, whole.shift, rtol=1e-9, atol=1e-14)
        np.testing.assert_allclose(found.ratio, whole.ratio, rtol=1e-9)
    # the rival: weights of the blocks' own
    p, a = toy(200, 3, key=1)
    halves = zip(np.split(p, 2), np.split(a, 2), strict=True)
    own = [fitted.fit(fitted.moments(*block), 100) for block in halves]
    rival = np.mean([each.shift for each in own], axis=0)
    whole = fitted.fit(merged(p, a, [100]), 200)
    assert (np.abs(rival - whole.shift) > 1e-6).all()


def test_means_are_unbiased_with_the_stated_error():
    """4000 ensembles of 100: entries of one block."""
    p, a = toy(100, 4000)
    found = fitted.fit(fitted.moments(p, a), 100)
    mean, error = a.mean(axis=0) + found.shift, a.std(axis=0, ddof=1) / 10 * found.ratio
    spread = mean.std()
    assert_value(mean.mean(), spread / 4000**0.5, MEAN, rejects=MEAN + 1e-3)
    stated = np.sqrt(np.mean(error**2))
    # the spread of 4000 is known to 1.1 %
    assert_value(spread, 0.011 * spread, stated, rejects=4 * stated)


@pytest.mark.parametrize(
    ("num", "scale", "strength"), [(fitted.LEAST - 1, 1.0, 1.0), (200, 1e200, 1.0), (200, 1.0, 0.0)]
)
def test_few_networks_values_beyond_squares_and_no_past_keep_the_weight(num, scale, strength):
    p, a = toy(num)
    found = fitted.fit(fitted.moments(scale * strength * p, scale * a), num)
    assert (found.shift, found.ratio) == (0.0, 1.0)
    assert fitted.fit(fitted.moments(*toy(200)), 200).ratio < 0.3


def test_a_past_that_is_constant_up_to_rounding_is_not_fitted():
    """Its weight would be a ratio of rounding, 1e14 and more."""
    p, a = np.full((200, 1), 0.1), np.random.default_rng(3).normal(size=(200, 1))
    found = fitted.fit(merged(p, a, [77]), 200)
    assert found.shift == 0
    assert found.ratio == 1
    sound = p + np.random.default_rng(4).normal(size=p.shape)
    assert fitted.fit(merged(sound, a, [77]), 200).shift != 0
