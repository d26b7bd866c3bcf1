"""Arguments at the entry points: refused in a sentence, or taken as their plain values."""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import deepinit as di
from deepinit.core import host
from deepinit.core.errors import ResourceError, SpecError
from deepinit.ensembles.keys import root_key
from deepinit.networks.doors.flax import from_linen, from_nnx


def test_r15_an_array_of_keys_is_refused():
    with pytest.raises(SpecError, match="one key"):
        root_key(jax.random.split(jax.random.key(0), 3))


def test_r15_a_traced_key_is_refused():
    with pytest.raises(SpecError, match="traced key"):
        jax.jit(lambda key: jax.random.key_data(root_key(key)))(jax.random.key(0))


@pytest.mark.parametrize("number", [np.float32(2), np.float64(2), np.int64(2)])
def test_r29_laws_of_numpy_scalars_are_those_of_numbers(number):
    spec, plain = (di.MLP((3,), weight_law=di.normal(value)) for value in (number, number.item()))
    assert json.dumps(spec.to_json()) == json.dumps(plain.to_json())
    assert spec == plain
    assert hash(spec) == hash(plain)


class Coupled(linen.Module):
    coupling: float

    @linen.compact
    def __call__(self, x):
        h = linen.tanh(linen.Dense(8)(x))
        return linen.Dense(1)(h + self.coupling * (h - h.mean(axis=0)))


class CoupledNnx(nnx.Module):
    def __init__(self, coupling, rngs):
        self.dense, self.coupling = nnx.Linear(2, 8, rngs=rngs), coupling

    def __call__(self, x):
        h = self.dense(x)
        return h + self.coupling * h.mean(axis=0)


@pytest.mark.parametrize(
    "net",
    [lambda c: from_linen(Coupled(c)), lambda c: from_nnx(lambda rngs: CoupledNnx(c, rngs))],
    ids=["linen", "nnx"],
)
@pytest.mark.exhaustive_cases("linen")
def test_r08_modules_that_look_at_their_batch_are_refused(net):
    draw = jax.vmap(lambda key: net(0.0).init(key, 2))(jax.random.split(jax.random.key(1), 2))
    assert all(leaf.shape[0] == 2 and jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(draw))
    for init in (net(0.5).init, jax.jit(net(0.5).init, static_argnums=1)):
        with pytest.raises(SpecError, match="others in its batch"):
            init(jax.random.key(0), 2)


def test_r20_a_process_forked_after_the_use_of_jax_is_refused(monkeypatch):
    host.require_unforked()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ResourceError, match="by spawn"):
        di.simulate(di.MLP((3,)), di.quantities.log_norm, di.inputs.ones(2), num_seeds=4)
