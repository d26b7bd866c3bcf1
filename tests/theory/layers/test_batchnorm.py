"""Batch norms at order 1/width: one column, composed networks, simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, program
from deepinit.theory.layers import first_order
from deepinit.theory.layers.normed import Norm, normed_terms
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.tape import Tape

L = di.layers
GRAM = np.array([[1.0, 0.3, 0.1], [0.3, 1.0, 0.5], [0.1, 0.5, 1.2]])
RELU = (as_activation("relu"),)
# E F_a F_b, entries 00, 01, 02, 11, 12, 22, of an independent derivation
EXPECTED = {
    (): (1.11150676, -0.45539729, -0.65610947, 0.84389053, -0.38849324, 1.04460271),
    RELU: (0.55575338, 0.05724495, 0.04071161, 0.42194527, 0.06521903, 0.52230135),
}


def terms_of(norm, chain, gram):
    """`Terms` and the quadrature's error."""

    def compute(vector):
        tape = Tape(40)
        return normed_terms(norm, chain, vector, tape), tape.error

    with host_float64():
        found = jax.jit(compute)(jnp.asarray(gram[np.triu_indices(len(gram))]))
        return jax.tree.map(np.asarray, found)


@pytest.mark.slow
@pytest.mark.parametrize("chain", EXPECTED)
def test_one_column(chain):
    found, error = terms_of(Norm(0.0), chain, GRAM)
    np.testing.assert_allclose(found.value[:6], EXPECTED[chain], rtol=0, atol=6e-9)
    assert error == 0
    # F_0 + F_1 + F_2 = 0 and F_0^2 + F_1^2 + F_2^2 = 3
    if not chain:
        np.testing.assert_allclose(found.products[[0, 3, 5], :6].sum(0), 3 * found.value[:6], 1e-12)


def direct(chain, gram, count=200):
    """E u of a batch of 3 with eps = 0 by another rule: principal axes."""
    centre = np.eye(3) - 1 / 3
    values, vectors = np.linalg.eigh(centre @ gram @ centre)
    angles = 2 * np.pi * (np.arange(count) + 0.37) / count
    z = np.stack([np.cos(angles), np.sin(angles)], 1) @ (vectors[:, 1:] * np.sqrt(values[1:])).T
    y = z / np.sqrt((z**2).mean(1, keepdims=True))
    for phi in chain:
        y = np.asarray(phi(y))
    a, b = np.triu_indices(3)
    return np.concatenate([y[:, a] * y[:, b], y], axis=1).mean(0)


@pytest.mark.slow
def test_derivatives():
    """Differences of another rule."""
    chain = (as_activation("gelu"),)
    found, error = terms_of(Norm(0.0), chain, GRAM)
    assert error < 1e-12
    np.testing.assert_allclose(found.value, direct(chain, GRAM), atol=1e-6)
    size, (a, b) = 1e-3, np.triu_indices(3)

    def at(steps):
        gram = GRAM.copy()
        for entry, step in steps:
            gram[a[entry], b[entry]] += step
            gram[b[entry], a[entry]] = gram[a[entry], b[entry]]
        return direct(chain, gram)

    for i, j in ((0, 1), (1, 1), (2, 4)):
        slope = (at([(i, size)]) - at([(i, -size)])) / (2 * size)
        np.testing.assert_allclose(found.gradient[:, i], slope, atol=3e-5)
        corners = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
        curve = sum(s * t * at([(i, s * size), (j, t * size)]) for s, t in corners) / (4 * size**2)
        np.testing.assert_allclose(found.hessian[:, i, j], curve, atol=3e-4)


@pytest.mark.slow
def test_sampled_rule_and_closed_form_agree():
    """Batch of 5: the identity, as a homogeneous and as a smooth function."""
    gram = 0.3 + 0.7 * np.eye(5) + 0.1 * np.eye(5, k=1) + 0.1 * np.eye(5, k=-1)
    closed, _ = terms_of(Norm(1e-5), (), gram)
    smooth, error = terms_of(Norm(1e-5), (as_activation(lambda x: 1.0 * x),), gram)
    assert error == 0
    np.testing.assert_allclose(smooth.value, closed.value, atol=1e-4)
    np.testing.assert_allclose(smooth.gradient, closed.gradient, atol=3e-3)
    np.testing.assert_allclose(smooth.hessian, closed.hessian, atol=3e-2)
    assert np.abs(closed.hessian).max() > 0.5


@pytest.mark.slow
def test_network():
    """Cosine after 4 blocks, eps = 0, against an independent derivation."""
    net = L.Repeat(L.Block(L.Dense(32), L.BatchNorm(eps=0.0), L.Activation("tanh")), 4)
    rows = 32**0.5 * np.pad(np.linalg.cholesky(GRAM), ((0, 0), (0, 29)))[None]
    cosine = lambda gram, mean: (gram[0, 1] / jnp.sqrt(gram[0, 0] * gram[1, 1]))[None]
    found = first_order(program(net, Shape((), 32)), rows, cosine)
    given = found.infinite[-1, 0, 0], found.shift[-1, 0, 0], found.variance[-1, 0, 0]
    np.testing.assert_allclose(given[0], -0.476569, rtol=0, atol=6e-7)
    np.testing.assert_allclose(given[1:], [0.00499, 0.01815], rtol=0, atol=6e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [2, 4])
def test_infinite_width(rows):
    net = L.Sequential(L.Dense(8), L.BatchNorm(), L.Activation("relu"), L.Dense(1))
    inputs = di.inputs.points(np.eye(4)[:rows] + 0.2 * np.arange(rows)[:, None])
    products = lambda gram, mean: gram[np.triu_indices(rows)]
    found = first_order(program(net, Shape((), 4)), inputs.points[None], products)
    limit = di.infinite(net, di.quantities.nngp, inputs)
    np.testing.assert_allclose(found.infinite[:, 0], limit.mean, rtol=1e-8, atol=1e-12)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_simulated():
    """Second moments of a batch of 3; fluctuations of Gaussian columns are rejected."""
    block = L.Block(L.Dense(32), L.BatchNorm(), L.Activation("relu"))
    net = L.Sequential(block, block, L.Dense(1))
    inputs = di.inputs.points(np.linalg.cholesky(GRAM))
    predicted = di.predict(net, di.quantities.nngp, inputs)
    limit = di.infinite(net, di.quantities.nngp, inputs)
    measured = di.simulate(net, di.quantities.nngp, inputs, num_seeds=6000)
    assert (np.abs(measured.mean - predicted.mean) < 5 * measured.standard_error).all()
    spread = 5 * measured.variance_standard_error
    assert (np.abs(measured.variance - predicted.variance) < spread).all()
    kernel, entry = np.asarray(limit.mean)[0], np.array([0, 3, 5])
    gaussian = 2 * kernel[entry] ** 2 / 32
    assert (np.abs(measured.variance[0, entry] - gaussian) > spread[0, entry]).any()


REFUSED = {
    "batchnorm (BatchNorm): a batch of one row": (
        L.Sequential(L.Dense(8), L.BatchNorm(), L.Dense(1)),
        di.inputs.points([[1.0, 0.0]]),
    ),
    "a random linear layer directly before it": (
        L.Sequential(L.Dense(8), L.Activation("relu"), L.BatchNorm(), L.Dense(1)),
        di.inputs.points(np.eye(3)),
    ),
    "smooth functions, or relu directly after it": (
        L.Sequential(L.Dense(8), L.BatchNorm(), L.Activation("elu"), L.Dense(1)),
        di.inputs.points(np.eye(3)),
    ),
    "9 rows": (L.Sequential(L.Dense(8), L.BatchNorm(), L.Dense(1)), di.inputs.points(np.eye(9))),
}


@pytest.mark.parametrize("words", REFUSED)
def test_refusals(words):
    with pytest.raises(SpecError) as refused:
        di.predict(REFUSED[words][0], di.quantities.nngp, REFUSED[words][1])
    assert words in str(refused.value)
