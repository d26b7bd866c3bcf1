"""Arguments at the entry points: refused in a sentence, or taken as their plain values."""

import json

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.ensembles.keys import root_key


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
