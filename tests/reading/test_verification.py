"""Layers that compute other values than the model are found before they are returned."""

import dataclasses

import numpy as np
import pytest
from models_to_read import Branches, Decoder, Gated

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Attention, Dense, Gate, LayerNorm, Residual, Sequential
from deepinit.reading.assembly import assembled
from deepinit.reading.programs import traced
from deepinit.reading.read import first_spot, read_between, reads_tokens, top_scope
from deepinit.reading.verification import verify

X = np.ones((2, 5), np.float32)
TOKENS = np.zeros((2, 6), int)


class Reading:
    """What `read_layers` verifies."""

    def __init__(self, module, inputs):
        self.network = di.from_linen(module)
        self.programs = traced(self.network, inputs)
        whole = top_scope(self.programs)
        pieces, _ = read_between(
            first_spot(whole, self.programs, False), self.programs.apply.outputs[0]
        )
        self.layers, self.sources = assembled(pieces, False)
        self.parameters = tuple(whole.parameters.values())
        self.tokens = reads_tokens(self.programs)

    def verify(self, layers=None, parameters=None):
        verify(
            self.network,
            self.programs,
            self.parameters if parameters is None else parameters,
            self.layers if layers is None else layers,
            self.sources,
            self.tokens,
        )


def with_layer(layers, number, layer):
    return (*layers[:number], layer, *layers[number + 1 :])


@pytest.fixture(scope="module")
def residual():
    return Reading(Branches(scale=0.7), X)


def changed(branch, scale=0.7, **layers):
    """A residual branch with other layers, by their places."""
    own = dict(zip(("norm", "first", "phi", "last"), branch.branch.layers, strict=True))
    return Residual(Sequential(*(own | layers).values()), scale=scale)


def test_the_layers_that_were_read_are_verified(residual):
    residual.verify()


RIVALS = {
    "scale": {"scale": 0.71},
    "eps": {"norm": LayerNorm(1e-2)},
    "kind of the norm": {"norm": di.layers.RMSNorm()},
    "activation": {"phi": Activation("gelu")},
}


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_of_a_residual_network(residual, name):
    rival = changed(residual.layers[1], **RIVALS[name])
    with pytest.raises(SpecError, match="other values than the network"):
        residual.verify(with_layer(residual.layers, 1, rival))


def test_a_rival_of_a_gate():
    reading = Reading(Gated("halves"), X)
    reading.verify()
    (place,) = (n for n, layer in enumerate(reading.layers) if isinstance(layer, Gate))
    with pytest.raises(SpecError, match="other values"):
        reading.verify(with_layer(reading.layers, place, Gate("gelu")))  # the exact form


@pytest.fixture(scope="module")
def decoder():
    return Reading(Decoder(), TOKENS)


@pytest.mark.parametrize("change", [{"mask": None}, {"scores": "mup"}, {"heads": 2}])
def test_rivals_of_attention(decoder, change):
    norm, attention = decoder.layers[2].branch.layers
    assert isinstance(attention, Attention)
    rival = Residual(Sequential(norm, dataclasses.replace(attention, **change)))
    with pytest.raises(SpecError, match="other values"):
        decoder.verify(with_layer(decoder.layers, 2, rival))


def test_a_wrong_variance():
    reading = Reading(Branches(), X)
    (kernel,) = (item for item in reading.parameters if item.name == "Dense_1/kernel")
    wrong = dataclasses.replace(kernel, law=kernel.law._replace(std=1.3 * kernel.law.std))
    with pytest.raises(SpecError, match=r"Dense_1/kernel: entries of variance"):
        reading.verify(parameters=(wrong,))


def test_the_widths_of_the_layers_are_those_of_the_model():
    reading = Reading(Branches(), X)
    assert [layer.width for layer in reading.layers if isinstance(layer, Dense)] == [32, 1]
