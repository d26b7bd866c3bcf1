import numpy as np
import pytest
from scipy.interpolate import CubicSpline, PchipInterpolator

from deepinit.theory.numerics.monotone_cubic import monotone_cubic


def tables():
    generator = np.random.default_rng(0)
    for count in (3, 4, 17, 200):
        x = np.cumsum(generator.exponential(size=count))
        for y in (
            np.cumsum(generator.exponential(size=count)),
            generator.normal(size=count),  # extrema inside
            np.round(np.cumsum(generator.normal(size=count))),  # flat pieces
            np.linspace(1.0, 0.0, count) ** 2,
        ):
            at = np.concatenate([x, generator.uniform(x[0], x[-1], 200)])
            yield x, y, at


def test_it_is_scipys_interpolant():
    for x, y, at in tables():
        scale = 1e-14 * len(x) * np.abs(y).max()
        ours = monotone_cubic(x, y, at)
        np.testing.assert_allclose(ours, PchipInterpolator(x, y)(at), rtol=0, atol=scale)
        np.testing.assert_array_equal(ours[: len(x) - 1], y[:-1])


def test_an_increasing_table_stays_increasing():
    x = np.arange(6.0)
    y = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    at = np.linspace(0.0, 5.0, 500)
    assert np.all(np.diff(monotone_cubic(x, y, at)) >= 0.0)
    assert np.diff(CubicSpline(x, y)(at)).min() < -1e-3  # the rival overshoots


@pytest.mark.parametrize("position", [0.0, 1.0])
def test_ends_are_included(position):
    x, y = np.array([0.0, 0.3, 1.0]), np.array([2.0, 5.0, 6.0])
    expected = np.interp(position, x, y)
    np.testing.assert_allclose(monotone_cubic(x, y, np.array([position])), expected, rtol=1e-15)
