"""Maxima over windows at infinite width: closed forms, Monte Carlo of Gaussian columns."""

import numpy as np
import pytest
from limit_network import limit_of_tokens
from statistical import assert_mean

from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    BatchNorm,
    Dense,
    Dropout,
    Pool,
    Sequential,
    Shape,
    program,
)
from deepinit.infinite_width.interpreter import interpret

R = [[1, 0.3], [0.3, 0.8]]
SHAPE = Shape((4,), 6)


@pytest.mark.slow
def test_two_tanh_positions_have_the_values_of_quadrature():
    net = Sequential(Dense(4), Activation("tanh"), Pool("max"))
    limit = limit_of_tokens(net, R, 4, ntk=False)
    np.testing.assert_allclose(limit.output.mean, 0.282234058, atol=1e-9)
    np.testing.assert_allclose(limit.output.cov, 0.374190779, atol=1e-9)


def columns(x, theta, num):
    """Columns z [num, A P] ~ N(0, R) and tangents t ~ N(0, theta)."""
    rng, rows = np.random.default_rng(1), x.reshape(-1, x.shape[-1])
    root = lambda matrix: np.linalg.cholesky(matrix + 1e-12 * np.eye(len(matrix)))
    draw = lambda matrix: rng.normal(size=(num, len(rows))) @ root(matrix).T
    gram = rows @ rows.T / rows.shape[1]
    return draw(gram), draw(theta(gram))


def maxima(y, pushed, windows):
    """Of windows [num, A, W], with tangents of the maxima."""
    parts = y.reshape(len(y), -1, 4)[:, :, windows], pushed.reshape(len(y), -1, 4)[:, :, windows]
    place = np.argmax(parts[0], axis=-1, keepdims=True)
    return tuple(np.take_along_axis(part, place, axis=-1)[..., 0] for part in parts)


@pytest.mark.parametrize(
    ("phi", "pool", "windows", "is_exact"),
    [
        (None, Pool("max", 2), [[0, 1], [2, 3]], True),
        ("relu", Pool("max", 3, 1), [[0, 1, 2], [1, 2, 3]], False),
        pytest.param("gelu", Pool("max"), [[0, 1, 2, 3]], False, marks=pytest.mark.slow),
    ],
)
def test_kernels_are_those_of_sampled_columns(phi, pool, windows, is_exact):
    x = np.random.default_rng(0).normal(size=(2, 4, 6))
    layers = () if phi is None else (Activation(phi),)
    net = program(Sequential(Dense(8), *layers, pool), SHAPE)
    limit = interpret(net, x, at_sites=False)
    z, t = columns(x, lambda gram: gram, 40000)
    y, slope = z, np.ones_like(z)
    if phi == "relu":
        y, slope = np.maximum(z, 0), (z > 0) * 1.0
    elif phi == "gelu":
        from scipy.stats import norm

        y, slope = z * norm.cdf(z), norm.cdf(z) + z * norm.pdf(z)
    top, pushed = maxima(y, slope * t, np.array(windows))
    rival = maxima(y, slope * t, np.array(windows)[:, :1])
    product = lambda part: np.einsum("nap,nbq->nabpq", part, part)
    errors = limit.standard_error
    assert (errors is None) == is_exact
    for name, sample, wrong in (("cov", top, rival[0]), ("ntk", pushed, rival[1])):
        values = product(sample)
        spread = values.std(0) / np.sqrt(len(values))
        stated = 0.0 if is_exact else getattr(errors, name)
        assert_mean(
            values,
            getattr(limit.output, name),
            rejects=product(wrong).mean(0),
            standard_error=np.hypot(spread, stated),
        )
    assert_mean(top, limit.output.mean, rejects=0 * limit.output.mean)


@pytest.mark.slow
def test_a_window_of_two_with_itself_agrees_with_points():
    layers = Dense(8), Activation("erf"), Pool("max", 2, 1)
    x = np.random.default_rng(2).normal(size=(2, 4, 6))
    x[1, :2] = x[0, :2]
    limit = interpret(program(Sequential(*layers), SHAPE), x, at_sites=False)
    for name in ("cov", "ntk"):
        values = getattr(limit.output, name)
        error = getattr(limit.standard_error, name)[0, 1, 0, 0]
        assert abs(values[0, 1, 0, 0] - values[0, 0, 0, 0]) < 6 * error


@pytest.mark.slow
def test_padded_images_and_means_of_the_maxima():
    shape = Shape((3, 3), 2)
    x = np.random.default_rng(3).normal(size=(1, 18))
    net = Sequential(Dense(8), Pool("max", 2, 2, 1), Dense(4))
    limit = interpret(program(net, shape), x, ntk=False, at_sites=True)
    assert limit.sites[1].cov.shape == (1, 1, 4, 4)
    corner = limit.sites[0].cov[0, 0, 0, 0]  # a window of one position
    np.testing.assert_allclose(limit.sites[1].cov[0, 0, 0, 0], corner, rtol=1e-2)


def test_maxima_of_settled_columns_are_refused():
    x = np.random.default_rng(4).normal(size=(2, 24))
    for layers, text in (
        ((Pool("max", 2),), r"pool .Pool.: neurons that are not Gaussian"),
        ((Dense(4), BatchNorm(), Dropout(0.5), Pool("max", 2)), "neurons that are not Gaussian"),
    ):
        with pytest.raises(SpecError, match=text):
            interpret(program(Sequential(*layers), SHAPE), x)
