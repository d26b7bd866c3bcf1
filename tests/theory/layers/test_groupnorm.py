"""Group norms at order 1/width: a composed network, one group, simulation."""

import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Shape, program
from deepinit.theory.layers import check, first_order

L = di.layers
PAIR = np.array([[1.0, 0.3], [0.3, 1.0]])


def direct(variance, heights=80, turns=160):
    """E of means of products of tanh, 2 channels x 2 positions, eps = 0: another rule."""
    centre = np.eye(4) - 0.25
    values, vectors = np.linalg.eigh(centre @ np.kron(np.eye(2), variance) @ centre)
    h, mass = np.polynomial.legendre.leggauss(heights)
    angles = 2 * np.pi * (np.arange(turns) + 0.3) / turns
    radius = np.sqrt(1 - h**2)[:, None]
    parts = radius * np.cos(angles), radius * np.sin(angles), h[:, None] + 0 * angles
    unit = np.stack([part.ravel() for part in parts], axis=1)
    z = unit @ (vectors[:, 1:] * np.sqrt(values[1:])).T
    y = np.tanh(z / np.sqrt((z**2).mean(1, keepdims=True))).reshape(-1, 2, 2)
    return np.einsum("m,mca,mcb->ab", np.repeat(mass / (2 * turns), turns), y, y) / 2


def cosine_and_log(gram, mean):
    del mean
    cosine = gram[0, 1] / jnp.sqrt(gram[0, 0] * gram[1, 1])
    return jnp.stack([cosine, jnp.log(gram[0, 0])])


@pytest.mark.slow
def test_network():
    """4 blocks; simulated shifts of 10 000 networks: cosine -.0066(17), log -.0011(9)."""
    net = L.Repeat(L.Block(L.Dense(32), L.GroupNorm(16, eps=0.0), L.Activation("tanh")), 4)
    rows = 32**0.5 * np.pad(np.linalg.cholesky(PAIR), ((0, 0), (0, 30))).reshape(1, 1, -1)
    found = first_order(program(net, Shape((2,), 32)), rows, cosine_and_log)
    gram = PAIR
    for _ in range(4):
        gram = direct(gram)
    expected = gram[0, 1] / gram[0, 0], np.log(gram[0, 0])
    np.testing.assert_allclose(found.infinite[-1, 0], expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.infinite[-1, 0], [-0.645314, -0.768300], rtol=0, atol=6e-7)
    np.testing.assert_allclose(found.shift[-1, 0], [-0.00534, -0.00124], rtol=0, atol=6e-6)
    np.testing.assert_allclose(found.variance[-1, 0], [0.03061, 0.00718], rtol=0, atol=6e-6)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_one_group():
    """LayerNorm over an input; infinite width."""
    net = L.Sequential(L.Dense(64), L.Activation("gelu"), L.GroupNorm(1), L.Dense(1))
    inputs = di.inputs.arranged(np.random.default_rng(0).normal(size=(2, 2, 3)))

    def of_rows(gram, mean):
        del mean
        blocks = jnp.einsum("apbp->ab", gram.reshape(2, 2, 2, 2)) / 2
        return blocks[np.triu_indices(2)]

    rows = inputs.points[None]
    found = first_order(program(net, Shape((2,), 3)), rows, of_rows)
    limit = di.infinite(net, di.quantities.nngp, inputs)
    np.testing.assert_allclose(found.infinite[:, 0], limit.mean, rtol=1e-8, atol=1e-10)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_simulated():
    """Groups of 4 channels, 4 dependent rows; independent channels are rejected."""
    net = L.Sequential(L.Block(L.Dense(32), L.GroupNorm(8), L.Activation("tanh")), L.Dense(1))
    inputs = di.inputs.arranged(np.random.default_rng(2).normal(size=(2, 2, 3)))
    predicted = di.predict(net, di.quantities.nngp, inputs)
    measured = di.simulate(net, di.quantities.nngp, inputs, num_seeds=10_000)
    assert (np.abs(measured.mean - predicted.mean) < 5 * measured.standard_error).all()
    spread = 5 * measured.variance_standard_error
    assert (np.abs(measured.variance - predicted.variance) < spread).all()
    gaussian = predicted.mean[0, [0, 2]] ** 2 / 32
    assert (np.abs(measured.variance[0, [0, 2]] - gaussian) > spread[0, [0, 2]]).all()


REFUSED = {
    "groups of 4 values": (L.GroupNorm(4), 2, 2),
    "groups of 16 channels x 6 rows": (L.GroupNorm(2), 2, 3),
    "kinks or jumps after a group norm": (
        L.Sequential(L.Dense(32), L.GroupNorm(8), L.Activation("relu")),
        2,
        2,
    ),
    "dropout (Dropout): neurons of a group norm": (
        L.Sequential(L.Dense(32), L.GroupNorm(8), L.Dropout(0.1)),
        2,
        2,
    ),
    "does not end in a random linear layer": (
        L.Residual(L.Sequential(L.Dense(32), L.GroupNorm(8))),
        2,
        2,
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_refusals(words):
    layer, inputs, positions = REFUSED[words]
    width = 8 if "4 values" in words else 32
    net = layer if isinstance(layer, L.Sequential) else L.Sequential(L.Dense(width), layer)
    with pytest.raises(SpecError) as refused:
        check(program(net, Shape((positions,), width)), inputs)
    assert words in str(refused.value)
