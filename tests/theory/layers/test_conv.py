"""Convolutions at order 1/width: patches, a composed network, simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.activations import as_activation
from deepinit.theory.layers import flow
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.precision import host_float64
from deepinit.theory.layers.rules.conv import over_patches, patches
from deepinit.theory.layers.state import Pending, Settled, settle

L = di.layers
GRAM = np.array([[1.0, 0.3, 0.1], [0.3, 1.0, 0.5], [0.1, 0.5, 1.2]])


@pytest.mark.parametrize("padding", ["zero", "circular", "valid"])
@pytest.mark.parametrize("positions", [(5,), (3, 4)])
def test_patches(padding, positions):
    """Products of patches of explicit rows."""
    stride, rank = 2, len(positions)
    rows = np.random.default_rng(0).normal(size=(2, *positions, 3))
    margins = [(0, 0), *[(0 if padding == "valid" else 1,) * 2] * rank, (0, 0)]
    padded = np.pad(rows, margins, mode="wrap" if padding == "circular" else "constant")
    axes = tuple(range(1, rank + 1))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3,) * rank, axes)
    strided = windows[(slice(None), *[slice(None, None, stride)] * rank)]
    count = int(np.prod(strided.shape[1 : rank + 1]))
    patched = strided.reshape(2 * count, -1)
    flat = rows.reshape(-1, 3)
    found = over_patches(jnp.asarray(flat @ flat.T), patches(3, stride, padding, positions), 2)
    np.testing.assert_allclose(found, patched @ patched.T, rtol=1e-5)


def cosine_and_logs(rows):
    gram = matrix_of(rows.gram)
    cosine = gram[0, 1] / jnp.sqrt(gram[0, 0] * gram[1, 1])
    return jnp.stack([cosine, jnp.log(jnp.mean(gram))])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_network():
    """4 circular layers of offsets 0 and 1 on 3 positions, against an independent derivation."""
    places = np.array([[0, 1], [1, 2], [2, 0]])
    law = ColumnLaw(((as_activation("tanh"),),))

    def layer(rows, tape):
        variance = 0.75 * vector_of(over_patches(matrix_of(rows.gram), places, 1)) + 0.05
        return settle(Pending(variance, 48, law), tape)

    with host_float64():
        means = jnp.asarray(np.linalg.cholesky(GRAM).sum(axis=1) / 48**0.5)
        state = flow.start(Settled(vector_of(jnp.asarray(GRAM)), means))
        push = jax.jit(lambda state: flow.push(layer, state, 84))
        for _ in range(4):
            state = push(state)
        found = flow.moments(cosine_and_logs, state, 84)
    np.testing.assert_allclose(found.infinite, [0.397514, -1.807071], rtol=0, atol=6e-7)
    np.testing.assert_allclose(found.shift, [-0.00465, -0.0292], rtol=0, atol=3e-5)
    np.testing.assert_allclose(found.variance, [0.0332, 0.0512], rtol=0, atol=6e-5)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_infinite_width_and_simulation():
    """Zero padding, stride and flattening; circular padding is rejected."""

    def network(padding):
        conv = L.Conv(24, 3, padding=padding, law=di.normal(1.5), bias=di.normal(0.1, "absolute"))
        block = L.Block(conv, L.Activation("tanh"))
        return L.Sequential(block, block, L.Pool("mean", 2), L.Flatten(), L.Dense(1))

    rows = np.random.default_rng(1).normal(size=(1, 4, 2))
    inputs = di.inputs.arranged(rows)
    net = network("zero")
    predicted = di.predict(net, di.quantities.nngp, inputs)
    limit = di.infinite(net, di.quantities.nngp, inputs)
    measured = di.simulate(net, di.quantities.nngp, inputs, num_seeds=4000)
    assert (np.abs(measured.mean - predicted.mean) < 5 * measured.standard_error).all()
    spread = 5 * measured.variance_standard_error
    assert (np.abs(measured.variance - predicted.variance) < spread).all()
    other = di.predict(network("circular"), di.quantities.nngp, inputs)
    assert (np.abs(measured.mean - other.mean) > 5 * measured.standard_error).any()
    # one average: no shift at the first site
    np.testing.assert_allclose(predicted.mean[0], limit.mean[0], rtol=1e-8)
