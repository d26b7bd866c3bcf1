"""Every field of a Training changes its digest, or the identity of the case that it belongs to."""

import dataclasses
import pickle

import numpy as np
import optax
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Case
from deepinit.store.canonical import canonical_json, differences

EXAMPLES = di.targets.two_sines(8)
CLASSES = di.targets.two_circles(8)
BASE = {"examples": EXAMPLES, "record_steps": (0, 1), "mode": "gd", "rate": 0.1}
OTHER = {  # field -> another value of it, and what else that needs
    "examples": {"examples": di.targets.examples(EXAMPLES.inputs, EXAMPLES.targets + 1e-15)},
    "record_steps": {"record_steps": (0, 2)},
    "mode": {"mode": "adam"},
    "rate": {"rate": 0.1 + 1e-16},
    "loss": {"loss": "cross_entropy", "examples": CLASSES},
    "stop_drop": {"stop_drop": 0.5},
    "batch_size": {"batch_size": 4},
    "test": {"test": EXAMPLES},
    "initial_stage": {"initial_stage": True},
    "tolerance": {"tolerance": 1e-5},
    "name": {"name": "mine"},
    "end_time": {"mode": "flow", "rate": None, "end_time": 2.0},
    "geometry": {"mode": optax.sgd(0.1), "rate": None, "name": "mine", "geometry": "l2"},
}
WITHOUT = {  # the same need, with the field as it was
    "end_time": {"mode": "flow", "rate": None},
    "loss": {"examples": CLASSES, "loss": "mse"},
    "geometry": {**OTHER["geometry"], "geometry": None},
}


def digest(fields):
    return di.TrainingConfig(**{**BASE, **fields}).digest


def test_every_field_is_tried():
    assert set(OTHER) == {field.name for field in dataclasses.fields(di.TrainingConfig)}


@pytest.mark.parametrize("field", OTHER)
def test_every_field_changes_the_digest(field):
    first, other = WITHOUT.get(field, {}), OTHER[field]
    if field == "loss":  # one set of examples takes one loss only
        with pytest.raises(SpecError, match="classes as targets of the mse"):
            digest(first)
        first = {}
    assert digest(other) == digest(other)
    assert digest(other) != digest(first)


def test_digests_tell_apart_test_and_training_examples():
    more = di.targets.examples(np.ones((2, 1)), np.ones((2, 1)))
    digests = {
        digest(fields)
        for fields in (
            {},
            {"examples": more},
            {"test": more},
            {"examples": more, "test": EXAMPLES},
            {"examples": more, "test": more},
        )
    }
    assert len(digests) == 5


def test_labels_do_not_change_the_digest_and_count_in_the_identity():
    named = di.targets.examples(EXAMPLES.inputs, EXAMPLES.targets, "mine")
    assert digest({"examples": named}) == digest({})
    net = di.MLP((2,), "tanh", di.normal(1.0), output_width=1)
    texts = {
        canonical_json(
            Case(
                "c",
                net,
                di.quantities.training_loss,
                di.TrainingConfig(**{**BASE, "examples": examples}),
                2,
            ).identity()
        )
        for examples in (EXAMPLES, named)
    }
    assert len(texts) == 2


def test_an_optax_transformation_counts_in_the_identity_of_the_case():
    net = di.MLP((2,), "tanh", di.normal(1.0), output_width=1)
    modes = (
        *(optax.sgd(rate) for rate in (0.1, 0.1, 0.2)),
        optax.sgd(0.1, momentum=0.9),
        *(optax.adam(0.1, b1=b1) for b1 in (0.9, 0.8)),
    )
    trainings = [
        di.TrainingConfig(**{**BASE, "mode": mode, "rate": None, "name": "mine"}) for mode in modes
    ]
    assert len({training.digest for training in trainings}) == 1
    identities = [
        Case("c", net, di.quantities.training_loss, training, 2).identity()
        for training in trainings
    ]
    assert len({canonical_json(identity) for identity in identities}) == 5
    assert list(differences(identities[0], identities[1])) == []
    rate = list(differences(identities[0], identities[2]))
    assert rate
    assert all(name.startswith("code.optimizer") for name in rate)


def test_digests_survive_a_pickle():
    training = di.TrainingConfig(**{**BASE, "test": EXAMPLES})
    assert pickle.loads(pickle.dumps(training)).digest == training.digest


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 2.5},
        {"batch_size": 0},
        {"batch_size": True},
        {"initial_stage": "no"},
        {"initial_stage": 1},
        {"rate": "0.1"},
        {"rate": True},
        {"rate": np.nan},
        {"tolerance": [1.0]},
        {"loss": ["mse"]},
        {"mode": optax.sgd(0.1), "name": 3},
    ],
)
def test_fields_are_refused_in_a_sentence(fields):
    with pytest.raises(SpecError, match=r"Got .* Allowed: "):
        di.TrainingConfig(**{**BASE, **fields})
