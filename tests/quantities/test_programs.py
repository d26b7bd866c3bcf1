"""Which measurements share a compilation, by quantity and network."""

import itertools

import numpy as np
import pytest
from battery import INPUTS, POINTS, SPECS, TRAINED

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.ensembles import blocks
from deepinit.quantities.controlled import choose_control
from deepinit.quantities.programs import programs_of

Q, L = di.quantities, di.layers
NUMBERS, EQUAL_NUMBERS, INPUTS_FIXED, CONSTANTS = range(4)
ONE, TWO = POINTS["one"], POINTS["two"]
TOKENS, SEQUENCES = di.inputs.tokens(4), di.inputs.arranged(np.ones((2, 4, 8)) + np.eye(8)[:4])
IMAGES = di.inputs.arranged(np.eye(48)[:2].reshape(2, 4, 4, 3))
DEEP = di.MLP((8, 8))


def chosen(spec, quantity, inputs, **options):
    """Which program of `measurement_programs` traces; CONSTANTS if it is the only one."""
    variants = [*programs_of(spec, quantity, inputs, **options)[0]]
    form = blocks.chosen_form(variants)
    number = next(at for at, one in enumerate(variants) if one is form.program)
    return number if len(variants) > 1 else CONSTANTS


@pytest.mark.parametrize("every", [90, pytest.param(17, marks=pytest.mark.slow)])
def test_every_quantity_of_points_is_shared_by_numbers_and_inputs(every):
    for name in sorted({*INPUTS} - {*TRAINED}):
        for spec, (label, inputs) in itertools.product(SPECS[::every], INPUTS[name].items()):
            try:
                found = chosen(spec, getattr(Q, name), inputs)
            except SpecError:
                continue  # not defined there
            assert found == NUMBERS, f"{name} of {spec} at {label}"


def attention(*variances):
    laws = dict(zip(("query_law", "key_law", "value_law"), map(di.normal, variances), strict=True))
    return L.Sequential(L.Attention(2, **laws), L.Dense(1))


NETWORKS = {
    "gpt2": (di.zoo.gpt2(width=16, depth=2, heads=2), TOKENS, EQUAL_NUMBERS),
    "llama": (di.zoo.llama(width=16, depth=2, heads=2), TOKENS, EQUAL_NUMBERS),
    "vit": (di.zoo.vit(width=16, depth=2, heads=2, patch=2), IMAGES, EQUAL_NUMBERS),
    "resnet18": (di.zoo.resnet18(4), IMAGES, NUMBERS),
    "attention, equal laws": (attention(2.0, 2.0, 2.0), SEQUENCES, EQUAL_NUMBERS),
    "attention, other laws": (attention(2.0, 3.0, 0.5), SEQUENCES, EQUAL_NUMBERS),
    "dropout": (L.Sequential(L.Dense(8), L.Dropout(0.1), L.Dense(8)), ONE, NUMBERS),
    "gate": (L.Sequential(L.Dense(16), L.Gate("silu"), L.Dense(8)), ONE, NUMBERS),
    "tied": (L.Sequential(L.Tied(L.Dense(4), 3), L.Dense(2)), ONE, NUMBERS),
    "batchnorm": (L.Sequential(L.Dense(8), L.BatchNorm(), L.Dense(8)), TWO, NUMBERS),
    "sparse": (di.MLP((8, 8), weight_law=di.sparse(2.0, density=0.3)), ONE, NUMBERS),
    "convolutional": (di.ConvResNet((4, 4), 3, 2), IMAGES, NUMBERS),
    "own": (di.network(di.MLP((8,), output_width=1)), ONE, CONSTANTS),
}


@pytest.mark.slow_cases("resnet18", "vit", "llama", "gpt2")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_shared_as_far_as_listed(name):
    network, inputs, expected = NETWORKS[name]
    assert chosen(network, Q.nngp, inputs) == expected


def test_attention_of_equal_laws_does_not_depend_on_what_was_traced_before():
    for variances in ((2.0, 2.0, 2.0), (2.0, 3.0, 0.5), (2.0, 2.0, 2.0)):
        assert chosen(attention(*variances), Q.token_cosine, SEQUENCES) == EQUAL_NUMBERS


def test_what_is_compiled_with_constants():
    frames = di.frames.random(4, 1)
    assert chosen(DEEP, Q.log_volume, frames, linear_map="chi_square") == CONSTANTS
    control = choose_control(DEEP, Q.nngp, ONE, "theory")[0]
    assert chosen(DEEP, Q.nngp, ONE, control=control) == CONSTANTS


@pytest.mark.slow
def test_programs_of_constants_are_shared_by_equal_arguments():
    net = di.training.small_mlp((8,), "tanh", std=1e-2)
    config, again, other = (
        di.TrainingConfig(di.targets.examples([[1.0, last]], [[1.0]]), (0, 2), "gd", 0.05)
        for last in (2.0, 2.0, 2.5)
    )
    keys = [
        blocks.chosen_form(programs_of(net, Q.aligned_fraction, c)[0]).key
        for c in (config, again, other)
    ]
    assert keys[0] == keys[1] != keys[2]  # its directions are computed from the examples
    own = [di.simulate(DEEP, Q.nngp, ONE, num_seeds=20, control="theory").mean for _ in range(2)]
    np.testing.assert_array_equal(*own)
