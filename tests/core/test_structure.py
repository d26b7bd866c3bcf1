"""Specs as structure and numbers."""

import dataclasses

import numpy as np
import pytest
from battery import SPECS

import deepinit as di
from deepinit.core.placeholders import Recorder, Unresolved
from deepinit.core.structure import Slot, Unkeyed, joined, key_of, split, with_numbers

GPT = di.zoo.gpt2(width=16, depth=2, heads=2)
NETWORKS = (*SPECS, GPT, di.zoo.llama(width=16, depth=2, heads=2))


@pytest.mark.parametrize("share", [False, True])
def test_a_structure_and_its_numbers_are_the_network(share):
    for network in NETWORKS:
        structure, numbers = split(network, share=share)
        assert with_numbers(structure, numbers) == network
        assert hash(structure) == hash(split(network, share=share)[0])
        assert not {0.0} & {*numbers}
    assert structure != network  # the last has numbers


def test_networks_that_differ_in_numbers_share_a_structure():
    of = lambda variance, slope: di.MLP(
        (8, 8), di.leaky_relu(slope), di.normal(variance), di.normal(0.3, "absolute")
    )
    assert split(of(2.0, 0.1))[0] == split(of(0.7, 0.4))[0]
    assert split(of(2.0, 0.1))[1] != split(of(0.7, 0.4))[1]
    others = (
        of(0.0, 0.1),
        of(2.0, 0.0),
        of(2.0, -0.1),
        dataclasses.replace(of(2.0, 0.1), widths=(8,)),
    )
    assert all(split(other)[0] != split(of(2.0, 0.1))[0] for other in others)


def test_equal_numbers_of_one_field_are_known_to_be_equal():
    assert len(split(GPT)[1]) > len(split(GPT, share=True)[1])
    law = joined(split((di.normal(2.0), di.normal(2.0)), share=True)[0], Recorder(None))
    assert law[0] == law[1]
    law = joined(split((di.normal(2.0), di.normal(3.0)), share=True)[0], Recorder(None))
    assert law[0] != law[1]
    law = joined(split((di.normal(2.0), di.normal(3.0)))[0], Recorder(None))
    with pytest.raises(Unresolved):
        assert law[0] != law[1]


def test_densities_and_rates_stay_in_the_structure():
    for value in (di.layers.Dropout(0.3), di.celu(0.5), di.rounded("tanh", 0.1)):
        assert split(value)[1] == ()
    assert split(di.sparse(2.0, density=0.3))[1] == (2.0,)


def test_a_slot_knows_its_sign_and_what_it_is_not():
    assert split(di.leaky_relu(-0.2))[0].slopes == (Slot(1, -1, (0.0, 1.0, -1.0)), 1.0)


def test_keys_of_contents():
    a, b = di.inputs.pair(0.1, 3), di.inputs.pair(0.2, 3)
    assert key_of(a) == key_of(di.inputs.pair(0.1, 3))
    assert key_of(a) != key_of(b)
    assert key_of(np.zeros(2)) != key_of(np.zeros(2, np.float32))
    assert key_of((np.zeros(2), {"a": 1})) == key_of((np.zeros(2), {"a": 1}))
    assert key_of(1.0) != key_of(True)
    with pytest.raises(Unkeyed):
        key_of([{1, 2}])
