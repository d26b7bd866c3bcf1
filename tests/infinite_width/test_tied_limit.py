"""Shared weights at infinite width: binomials of linear streams, explicit networks."""

import numpy as np
import pytest
from limit_network import limit_of_points, rows_of
from statistical import assert_value

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Pool,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    Tied,
    program,
)
from deepinit.infinite_width.interpreter import interpret

G2 = np.array([[1, 0.3], [0.3, 0.8]])


def kernels(*layers):
    limit = limit_of_points(Sequential(Dense(8), *layers), G2, 6, at_sites=False)
    return limit.output.cov[:, :, 0, 0], limit.output.ntk[:, :, 0, 0]


def test_a_linear_stream_grows_by_squared_binomials():
    """(1 + W)^3 x: sum_k C(3, k)^2 = 20; the NTK: 20, and 30 of W (by hand)."""
    cov, ntk = kernels(Tied(Residual(Dense(8)), 3))
    np.testing.assert_allclose(cov, 20 * G2, rtol=1e-12)
    np.testing.assert_allclose(ntk, 50 * G2, rtol=1e-12)


@pytest.mark.slow
def test_streams_inside_a_branch_have_their_own_uses():
    """(1 + M)^2 x, M = B (1 + A)^2: 1 + 4 * 6 + 6^2."""
    inner = Tied(Residual(Dense(8)), 2)
    cov, _ = kernels(Tied(Residual(Sequential(inner, Dense(8))), 2))
    np.testing.assert_allclose(cov, 61 * G2, rtol=1e-12)


def test_random_maps_on_every_path_forget_that_weights_are_shared():
    layer = Sequential(Dense(8), Activation("relu"), Residual(Dense(8)))
    for one, other in zip(kernels(Tied(layer, 3)), kernels(Repeat(layer, 3)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.slow
def test_two_lists_have_the_kernels_of_one():
    x = np.random.default_rng(0).normal(size=(3, 2, 4))
    block = Residual(Sequential(RMSNorm(gain=True), Dense(8), Activation("relu"), Conv(8, 3)))
    net = program(Sequential(Dense(8), Tied(block, 2), Pool(), Dense(1)), Shape((2,), 4))
    whole = interpret(net, x, at_sites=False).output
    parts = interpret(net, x[:1], x[1:], at_sites=False).output
    for one, part in zip(whole[:2], parts[:2], strict=True):
        np.testing.assert_allclose(part, one[:1, 1:], rtol=1e-10)


BIAS, SCALE, USES = 0.3, 0.8, 3


def explicit(width, num):
    """NNGP and NTK [num, 2, 2, 2] of explicit networks, by hand."""
    rng, x = np.random.default_rng(width), rows_of(G2, 6)
    draw = lambda *shape: rng.normal(size=(num, *shape))
    first, w1, w2 = draw(6, width), draw(width, width), draw(width, width)
    b1, v, n = BIAS**0.5 * draw(1, width), draw(width), width**-0.5
    z0 = x @ first / 6**0.5
    h, uses = np.maximum(z0, 0), []
    for _ in range(USES):
        z = n * h @ w1 + b1
        middle = h + SCALE * np.maximum(z, 0)
        uses.append((h, z > 0, middle))
        h = middle + n * middle @ w2
    back = np.repeat(n * v[:, None], 2, axis=1)
    outer = lambda rows, u: rows[..., None] * u[:, :, None]
    d1 = d2 = np.zeros((num, 2, width, width))
    db = np.zeros((num, 2, width))
    for entering, slope, middle in uses[::-1]:
        d2 = d2 + n * outer(middle, back)
        back = back + n * back @ w2.swapaxes(1, 2)
        u = SCALE * slope * back
        d1, db = d1 + n * outer(entering, u), db + BIAS**0.5 * u
        back = back + n * u @ w1.swapaxes(1, 2)
    d0 = outer(np.broadcast_to(x, (num, 2, 6)), (z0 > 0) * back) / 6**0.5
    grads = [part.reshape(num, 2, -1) for part in (d0, d1, d2, db, n * h)]
    gram = lambda part: part @ part.swapaxes(1, 2)
    return np.stack([n**2 * gram(h), sum(map(gram, grads))], axis=1)


@pytest.mark.slow
def test_streams_have_the_kernels_of_explicit_networks():
    branch = Sequential(Dense(8, bias=di.normal(BIAS, "absolute")), Activation("relu"))
    block = Sequential(Residual(branch, scale=SCALE), Residual(Dense(8)))
    limits = [kernels(Activation("relu"), kind(block, USES), Dense(1)) for kind in (Tied, Repeat)]
    few, many = explicit(24, 4000), explicit(48, 4000)
    mean = 2 * many.mean(0) - few.mean(0)  # 1/width removed
    error = np.sqrt((4 * many.var(0) + few.var(0)) / len(few))
    assert_value(mean, error, np.stack(limits[0]), rejects=np.stack(limits[1]), resolves=0.25)


def test_other_streams_are_refused_by_path():
    x = np.random.default_rng(0).normal(size=(2, 8))
    branch = Residual(Dense(8))
    cases = (
        (Sequential(RMSNorm(), branch), "a path that no random linear layer interrupts"),
        (Tied(branch, 2), "a path that no random linear layer interrupts"),
        (Residual(Sequential(BatchNorm(), Dense(8))), r"BatchNorm\(\) in a stream"),
        (Residual(Sequential(Dense(8), Dropout(0.1, shared=False))), "Dropout"),
    )
    for layer, text in cases:
        net = program(Sequential(Dense(8), Tied(layer, 2), Dense(1)), Shape((), 8))
        with pytest.raises(SpecError, match=rf"tied .Tied.: .*{text}"):
            interpret(net, x)
