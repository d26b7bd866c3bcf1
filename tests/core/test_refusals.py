"""Refusals name what to write: the door of a module, the nearest name; short reprs."""

import equinox as eqx
import jax
import pytest
from flax import linen as nn
from flax import nnx

import deepinit as di
from deepinit.core import validate
from deepinit.core.own_models import network_remedy


class Transformed:
    """By its module, a class of haiku."""


Transformed.__module__ = "haiku._src.transform"
MODULES = {
    "di.from_linen": nn.Dense(3),
    "di.from_nnx": nnx.Linear(2, 3, rngs=nnx.Rngs(0)),
    "di.from_equinox": eqx.nn.Linear(2, 3, key=jax.random.key(0)),
    "di.from_haiku": Transformed(),
}


@pytest.mark.parametrize("door", MODULES)
def test_a_module_is_refused_with_its_door(door):
    module, inputs = MODULES[door], di.inputs.pair(0.1)
    for call in (
        lambda: di.simulate(module, di.quantities.cosine, inputs),
        lambda: di.diagnose(module),
        lambda: di.annotate(module, inputs),
        lambda: di.read_layers(module, inputs),
    ):
        with pytest.raises(di.SpecError, match=door):
            call()


def test_others_have_the_usual_remedy():
    assert network_remedy((8, 8), "Write di.MLP.") == "Write di.MLP."


def test_networks_and_inputs_have_a_short_repr():
    net = di.from_linen(nn.Dense(3), label="dense").at("*").with_gaussian_weights()
    assert repr(net) == "Network(dense, layers='*', gaussianize=True)"
    assert len(repr(di.from_linen(nn.Dense(3)))) < 100
    assert repr(di.inputs.pair(0.1)) == "Inputs(angle 0.1; 1 point and 1 partner of dimension 2)"
    tokens = di.inputs.tokens(8, 2)
    assert "8 x 16" in repr(tokens)
    assert "(4, 3)" in repr(di.inputs.arrays(jax.numpy.ones((4, 3))))


def test_a_misspelled_choice_is_answered_with_the_nearest():
    with pytest.raises(di.SpecError, match=r"Did you mean lottery\?"):
        validate.choice("--explain", "lotery", ("chaos", "lottery"))
    with pytest.raises(di.SpecError, match="Check the spelling"):
        validate.choice("--explain", 3, ("chaos", "lottery"))
