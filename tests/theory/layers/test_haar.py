"""Averages over the dependent columns that a norm leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_value

import deepinit as di
from deepinit.core.activations import as_activation
from deepinit.core.layers import Shape, program
from deepinit.infinite_width.interpreter import interpret
from deepinit.theory.layers import first_order
from deepinit.theory.layers.columns import ColumnLaw, Mask
from deepinit.theory.layers.haar import slopes
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.state import Normed, settle
from deepinit.theory.layers.tape import Tape

L = di.layers
PAIR = np.array([[1.0, 0.3], [0.3, 1.0]])
GELU = as_activation("gelu")
LAWS = {
    "gelu": (ColumnLaw(((GELU,),)), 1),
    "relu": (ColumnLaw(((as_activation("relu"),),)), 1),
    "gate": (ColumnLaw(((), (as_activation("sigmoid"),))), 2),
    "dropout": (ColumnLaw(((GELU,),), (Mask(0.8, (0, 1)),)), 1),
}


def average(gram, law, frame, per_term=1):
    """Mean, bias and covariance of a term, times the columns of the norm."""

    def settled(entries):
        tape = Tape(40)
        mean = settle(Normed(entries, 1, law, per_term, frame), tape)
        found = tape.averages[-1]
        moments = jnp.concatenate([mean.gram, mean.mean])
        return moments, per_term * found.bias, per_term * found.covariance

    with host_float64():
        quickly = {"xla_backend_optimization_level": 0}
        compiled = jax.jit(settled, compiler_options=quickly)
        return [np.asarray(part) for part in compiled(gram[np.triu_indices(len(gram))])]


def rows(gram, width):
    """sqrt(width) chol(gram) [I 0]."""
    factor = np.linalg.cholesky(gram)
    return width**0.5 * np.pad(factor, ((0, 0), (0, width - len(gram))))[None]


def cosine_and_log(gram, mean):
    del mean
    cosine = gram[0, 1] / jnp.sqrt(gram[0, 0] * gram[1, 1])
    return jnp.stack([cosine, jnp.log(gram[0, 0])])


@pytest.mark.slow
@pytest.mark.parametrize(("frame", "variance"), [("rms", 0.194134411), ("centred", 0.085381849)])
def test_gelu(frame, variance):
    """Values of an independent derivation."""
    mean, bias, covariance = average(PAIR, LAWS["gelu"][0], frame)
    found = mean[1], bias[1], covariance[1, 1]
    np.testing.assert_allclose(found, (0.162677220, -0.03892822, variance), rtol=0, atol=6e-9)


def sphere(function, n, centred):
    """E f(x, y) of two coordinates of a vector of n, |x|^2 = n, uniform; `centred`: sum 0."""
    size = n - 1 if centred else n
    line = np.linspace(-9.0, 9.0, 721)
    x, y = np.meshgrid(line, line)
    weights = np.maximum(1.0 - (x**2 + y**2) / size, 0.0) ** (0.5 * (size - 4))
    correlation = -1.0 / (n - 1) if centred else 0.0
    y = correlation * x + np.sqrt(1.0 - correlation**2) * y
    return np.sum(weights * function(x, y)) / np.sum(weights)


@pytest.mark.slow
@pytest.mark.parametrize("frame", ["rms", "centred"])
def test_one_row_exactly(frame):
    """Bias and variance of the mean square of a row, extrapolated in 1/n."""
    found, limits = [], average(np.ones((1, 1)), LAWS["gelu"][0], frame)
    gate = average(np.ones((1, 1)), LAWS["gate"][0], frame, 2)
    phi = lambda x: np.asarray(GELU(x))
    for n in (256, 512, 1024):
        mean = sphere(lambda x, y: phi(x) ** 2, n, frame == "centred")
        same = sphere(lambda x, y: phi(x) ** 4, n, frame == "centred")
        apart = sphere(lambda x, y: phi(x) ** 2 * phi(y) ** 2, n, frame == "centred")
        gated = sphere(lambda x, y: x**2 / (1.0 + np.exp(-y)) ** 2, n, frame == "centred")
        variance = same - mean**2 + (n - 1) * (apart - mean**2)
        found.append([n * (mean - limits[0][0]), variance, n * (gated - gate[0][0])])
    first, second, third = np.array(found)
    near = (first - 6.0 * second + 8.0 * third) / 3.0
    np.testing.assert_allclose(near, [limits[1][0], limits[2][0, 0], gate[1][0]], rtol=2e-4)


def drawn(frame, name, n, count):
    """Averages [count, 5] of frames of n columns, products PAIR."""
    rng = np.random.default_rng(5)
    z = rng.standard_normal((count, 2, n))
    if frame == "centred":
        z = z - z.mean(axis=2, keepdims=True)
    factor = np.linalg.cholesky(z @ z.transpose(0, 2, 1) / n)
    x = np.linalg.cholesky(PAIR) @ np.linalg.solve(factor, z)
    if name == "gate":
        h = x[:, :, n // 2 :] / (1.0 + np.exp(-x[:, :, : n // 2]))
    elif name == "relu":
        h = np.maximum(x, 0.0)
    else:
        h = np.asarray(GELU(x)) * (rng.random(x.shape) < 0.8) / 0.8
    pairs = np.stack([h[:, 0] ** 2, h[:, 0] * h[:, 1], h[:, 1] ** 2, h[:, 0], h[:, 1]], axis=1)
    return pairs.mean(axis=2)


@pytest.mark.slow
@pytest.mark.parametrize("frame", ["rms", "centred"])
@pytest.mark.parametrize("name", ["relu", "gate", "dropout"])
def test_drawn_frames(frame, name):
    """Variances and biases of averages; variances of the other norm are rejected."""
    n, (law, per_term) = 128, LAWS[name]
    sample = drawn(frame, name, n, 20_000)
    squares = n * (sample - sample.mean(axis=0)) ** 2
    error = squares.std(axis=0) / np.sqrt(len(squares))
    slack = 0.05 * squares.mean(axis=0) / 5.0  # the next order
    mean, bias, covariance = average(PAIR, law, frame, per_term)
    _, _, other = average(PAIR, law, "centred" if frame == "rms" else "rms", per_term)
    exact, rival = np.diagonal(covariance), np.diagonal(other)
    assert_value(squares.mean(axis=0), error + slack, exact, rejects=rival)
    shifts = n * (sample.mean(axis=0) - mean)
    error = n**0.5 * squares.mean(axis=0) ** 0.5 / len(sample) ** 0.5
    assert (np.abs(shifts - bias) < 5.0 * error + 0.1 * np.abs(bias)).all()


@pytest.mark.slow
def test_slopes():
    """ReLU by panels, with the identity after it, is the closed form."""
    near = np.array([1.0, 0.4, 0.7])
    relu, identity = as_activation("relu"), as_activation("linear")
    with host_float64():
        found = (slopes(chain, jnp.asarray(near), 40) for chain in ((relu,), (relu, identity)))
        closed, panels = found
        for left, right in zip(closed, panels, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-12)


NETWORKS = {
    "layernorm": (L.LayerNorm(eps=0.0), [(0.00759, 0.01782), (-0.00535, 0.00882)]),
    "rmsnorm": (L.RMSNorm(eps=0.0), [(0.00328, 0.01926), (-0.01968, 0.03748)]),
}


@pytest.mark.exhaustive_cases("rmsnorm")
@pytest.mark.exhaustive_cases("layernorm")
@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name):
    """Values of an independent derivation; the limit is that of infinite width."""
    norm, expected = NETWORKS[name]
    net = L.Repeat(L.Sequential(L.Dense(96), norm, L.Activation("gelu")), 4)
    given = program(net, Shape((), 96)), rows(PAIR, 96)
    found = first_order(*given, cosine_and_log)
    last = (found.shift[-1, 0], found.variance[-1, 0])
    np.testing.assert_allclose(np.array(last).T, expected, atol=6e-6)
    cov = np.asarray(interpret(given[0], given[1][0]).output.cov)[:, :, 0, 0]
    with host_float64():
        limit = cosine_and_log(cov, None)
    np.testing.assert_allclose(found.infinite[-1, 0], limit, rtol=1e-8)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_simulated():
    """Mean and variance of ln q; the limit and the variance of RMSNorm are rejected."""
    inputs, width = di.inputs.pair(1.2), 64

    def net(norm):
        block = L.Sequential(L.Dense(width), norm, L.Activation("gelu"))
        return L.Sequential(L.Dense(width), L.Repeat(block, 2))

    predicted, rival = (
        di.predict(net(norm), di.quantities.log_norm, inputs)
        for norm in (L.LayerNorm(), L.RMSNorm())
    )
    measured = di.simulate(net(L.LayerNorm()), di.quantities.log_norm, inputs, num_seeds=20_000)
    limit = di.infinite(net(L.LayerNorm()), di.quantities.log_norm, inputs)
    error = measured.standard_error + 1.0 / width**2  # the next order
    assert_value(measured.mean[-1], error[-1], predicted.mean[-1], rejects=limit.mean[-1])
    spread = measured.variance_standard_error + 0.02 * measured.variance
    assert_value(
        measured.variance[-1], spread[-1], predicted.variance[-1], rejects=rival.variance[-1]
    )
