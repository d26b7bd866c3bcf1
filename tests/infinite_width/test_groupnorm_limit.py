"""GroupNorm in the limit of large groups, against LayerNorm and explicit networks."""

import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Dense, GroupNorm, LayerNorm, Sequential, Shape, program
from deepinit.infinite_width.interpreter import interpret


def kernels(*layers, positions=()):
    x = np.random.default_rng(0).normal(size=(2, *positions, 3))
    net = program(Sequential(Dense(32), Activation("relu"), *layers, Dense(1)), Shape(positions, 3))
    return interpret(net, x, at_sites=False).output


def test_vectors_have_the_kernels_of_layer_norm():
    both = [kernels(norm) for norm in (GroupNorm(2, 1e-3), LayerNorm(1e-3))]
    np.testing.assert_allclose(both[0].cov, both[1].cov, rtol=1e-12)
    np.testing.assert_allclose(both[0].ntk, both[1].ntk, rtol=1e-12)


@pytest.mark.slow
def test_positions_are_normalized_together_as_in_a_wide_network():
    limit = kernels(GroupNorm(2, 1e-3), positions=(3,)).cov
    rng, width = np.random.default_rng(1), 2**14
    x = np.random.default_rng(0).normal(size=(2, 3, 3))
    grams = []
    for _ in range(8):
        h = np.maximum(x @ rng.normal(size=(3, width)) / 3**0.5, 0)
        groups = h.reshape(2, 3, 2, -1)
        c = groups - groups.mean((1, 3), keepdims=True)
        f = c / np.sqrt((c**2).mean((1, 3), keepdims=True) + 1e-3)
        f = f.reshape(2, 3, width)
        grams.append(np.einsum("apn,bqn->abpq", f, f) / width)
    error = np.std(grams, axis=0, ddof=1) / 8**0.5
    z = np.abs(np.mean(grams, axis=0) - limit) / (error + 1e-4)
    rival = np.abs(np.mean(grams, axis=0) - kernels(LayerNorm(1e-3), positions=(3,)).cov)
    assert z.max() < 5
    assert (rival / (error + 1e-4)).max() > 5


def test_small_groups_are_refused():
    with pytest.raises(SpecError, match=r"groupnorm .GroupNorm.: groups of 4 channels"):
        kernels(GroupNorm(8))
