"""Polygonal lengths: the reference numbers, and how much they fall short."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from deepinit.core.curves import Curve, circle, line
from deepinit.core.errors import SpecError
from deepinit.piecewise_linear.polygon import polygon_lengths
from deepinit.piecewise_linear.region_sweep import exact_lengths


def deterministic_net(widths=(2, 4, 4, 3)):
    layers = []
    for number in range(1, len(widths)):
        i, j = np.arange(1, widths[number] + 1)[:, None], np.arange(1, widths[number - 1] + 1)[None]
        variance = 1.0 if number == len(widths) - 1 else 2.0
        weights = np.sqrt(2 * variance / widths[number - 1]) * np.cos(
            1.7 * i * j + 0.9 * number + 0.31 * i**2
        )
        layers.append((weights, 0.5 * np.sin(2.3 * i[:, 0] + 1.1 * number)))
    return layers


def he_net(rng, widths):
    return [
        (rng.normal(size=(fan_out, fan_in)) * math.sqrt(2 / fan_in), None)
        for fan_in, fan_out in itertools.pairwise(widths)
    ]


@pytest.mark.parametrize(
    ("kind", "num_segments", "length"),
    [
        ("line", 16, 4.480902532279842),
        ("line", 256, 4.497862247024229),
        ("line", 4096, 4.497903157416712),
        ("circle", 16, 6.30162117912418),
        ("circle", 256, 6.442307471990791),
        ("circle", 4096, 6.450222488642005),
    ],
)
def test_polygons_of_the_deterministic_net(kind, num_segments, length):
    velocity = np.array([-1.0, 1.0]) / math.sqrt(2.0)
    curve = (
        circle()
        if kind == "circle"
        else Curve("line", np.stack([[0.5, 0.0], velocity]), 0.0, 3.0, "line")
    )
    result = polygon_lengths(deterministic_net(), curve, num_segments)
    assert result.shape == (3,)
    assert result[-1] == pytest.approx(length, rel=1e-12)
    assert (result < exact_lengths(deterministic_net(), curve).lengths).all()


def test_halving_the_steps_never_shortens_and_converges_to_the_exact_length():
    rng = np.random.default_rng(0)
    layers = [
        (rng.normal(size=(n, m)), 0.3 * rng.normal(size=n)) for m, n in ((3, 5), (5, 6), (6, 2))
    ]
    layers.insert(1, (rng.normal(size=(4, 5)), rng.normal(size=4), rng.normal(size=(5, 4))))
    for curve in (circle(3), line([1.0, 0.0, -1.0], [-2.0, 1.0, 0.5])):
        arguments = {"negative_slope": 0.2, "last_is_linear": False}
        lengths = [polygon_lengths(layers, curve, 2**k, **arguments) for k in (3, 7, 11, 15)]
        assert (np.diff(lengths, axis=0) > 0).all()
        exact = exact_lengths(layers, curve, **arguments).lengths
        assert (lengths[-1] < exact).all()
        np.testing.assert_allclose(lengths[-1], exact, rtol=1e-3)


def test_a_function_of_the_points_is_as_good_as_layers():
    layers = deterministic_net()
    (w1, b1), (w2, b2), (w3, b3) = layers

    def hidden(x):
        first = np.maximum(x @ w1.T + b1, 0)
        return first, np.maximum(first @ w2.T + b2, 0)

    expected = polygon_lengths(layers, circle(), 50)
    np.testing.assert_allclose(
        polygon_lengths(lambda x: hidden(x), circle(), 50), expected[:2], rtol=1e-14
    )
    np.testing.assert_allclose(
        polygon_lengths(lambda x: hidden(x)[1] @ w3.T + b3, circle(), 50), expected[2:], rtol=1e-14
    )
    by_jax = polygon_lengths(lambda x: jnp.tanh(jnp.asarray(x, jnp.float32)), circle(), 50)
    np.testing.assert_allclose(by_jax, polygon_lengths(np.tanh, circle(), 50), rtol=1e-5)


def first_layer_deficit(width):
    """Of one He layer on the unit circle, times N and relative to the mean length: 2 n E g / E |speed|, exactly for N -> inf.

    Each unit has two kinks, where its weights (Rayleigh) are orthogonal to the point and the other units have speed
    s ~ chi_K, K ~ Binomial(n - 1, 1/2); g = s/2 - s^2 arsinh(j/s) / (2 j).
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x, weights = 5.0 * (1 + nodes), 5.0 * weights  # on [0, 10]
    s, j = x[:, None], x[None]
    g = 0.5 * s - 0.5 * s * s / j * np.arcsinh(j / s)
    of_speed = g @ (weights * scipy.stats.rayleigh.pdf(x))
    others, on = np.arange(1, width), np.arange(1, width + 1)
    given = [weights @ (of_speed * scipy.stats.chi(k).pdf(x)) for k in others]
    mean_speed = scipy.stats.binom.pmf(on, width, 0.5) @ scipy.stats.chi(on).mean()
    return 2 * width * scipy.stats.binom.pmf(others, width - 1, 0.5) @ given / mean_speed


@pytest.mark.slow
def test_deficit_of_one_narrow_layer_is_exact():
    width, num_segments, num_nets = 6, 1024, 1500
    rng = np.random.default_rng(31)
    nets = [he_net(rng, (2, width)) for _ in range(num_nets)]
    exact = np.array(
        [exact_lengths(net, circle(), last_is_linear=False).lengths[0] for net in nets]
    )
    polygon = np.array(
        [polygon_lengths(net, circle(), num_segments, last_is_linear=False)[0] for net in nets]
    )
    deficit = num_segments * (1 - polygon.mean() / exact.mean())
    error = (
        num_segments
        * np.std(exact - polygon - deficit / num_segments * exact)
        / exact.mean()
        / math.sqrt(num_nets)
    )
    assert abs(deficit - first_layer_deficit(width)) < 5 * error < 0.05
    assert abs(deficit - 2 / 3) > 5 * error  # the rival: infinite width


@pytest.mark.slow
def test_deficit_of_three_wide_layers():
    # the deficit is 2H/3N (1 + c/width): two widths together leave O(1/width^2), and resolve 8 % of 2H/3N
    num_segments, depth, num_nets = 256, 3, 250
    rng = np.random.default_rng(32)
    means, errors = [], []
    for width in (20, 40):
        nets = [he_net(rng, (2, *(width,) * depth)) for _ in range(num_nets)]
        exact = np.array(
            [exact_lengths(net, circle(), last_is_linear=False).lengths for net in nets]
        )
        polygon = np.array(
            [polygon_lengths(net, circle(), num_segments, last_is_linear=False) for net in nets]
        )
        shares = 1.5 * num_segments * (1 - polygon / exact)
        means.append(shares.mean(axis=0))
        errors.append(shares.std(axis=0, ddof=1) / math.sqrt(num_nets))
    wide, error = 2 * means[1] - means[0], np.hypot(2 * errors[1], errors[0])
    assert error.max() < 0.08
    assert np.abs((wide - [1, 2, 3]) / error).max() < 5
    # the rivals: no deficit; one layer more or fewer
    for rival in (0, 2, 4):
        assert abs(wide[-1] - rival) > 5 * error[-1]


def test_bad_arguments_are_refused():
    layers = deterministic_net()
    for number in (0, -3, 2.5, None):
        with pytest.raises(SpecError, match="num_segments"):
            polygon_lengths(layers, circle(), number)
    with pytest.raises(SpecError, match="layer 1"):
        polygon_lengths(layers, circle(3), 10)
    with pytest.raises(SpecError, match="negative_slope"):
        polygon_lengths(layers, circle(), 10, negative_slope=math.nan)
    for wrong in (lambda x: x[:5], lambda x: x[:, 0], lambda x: []):
        with pytest.raises(SpecError, match="images of shapes"):
            polygon_lengths(wrong, circle(), 10)
