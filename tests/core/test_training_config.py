import dataclasses

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

EXAMPLES = di.targets.two_sines()


def test_a_training_says_what_it_is():
    training = di.TrainingConfig(EXAMPLES, record_steps=range(0, 101, 50), rate=0.125)
    assert training.record_steps == (0, 50, 100)
    assert training.name == "gd"
    assert training.label == "two sines, gd at rate 0.125, 100 steps"
    assert training.dimension == 1


def test_everything_that_decides_a_run_changes_its_digest():
    training = di.TrainingConfig(EXAMPLES, record_steps=(0, 10), rate=0.1)
    same = di.TrainingConfig(di.targets.two_sines(), record_steps=[0, 10], rate=0.1)
    assert training.digest == same.digest
    other = di.targets.examples(EXAMPLES.inputs, EXAMPLES.targets + 1e-9)
    changes = [
        {"record_steps": (0, 11)},
        {"mode": "flow"},
        {"rate": 0.2},
        {"stop_drop": 0.1},
        {"batch_size": 4},
        {"test": EXAMPLES},
        {"initial_stage": True},
        {"tolerance": 1e-5},
        {"examples": other},
    ]
    digests = [
        dataclasses.replace(training, **{"name": None, **change}).digest for change in changes
    ]
    assert len({training.digest, *digests}) == len(changes) + 1


def test_optax_transformations_need_a_name():
    import optax

    with pytest.raises(SpecError, match="without a name"):
        di.TrainingConfig(EXAMPLES, record_steps=(0, 10), mode=optax.sgd(0.1))
    assert (
        di.TrainingConfig(EXAMPLES, record_steps=(0, 10), mode=optax.sgd(0.1), name="momentum").name
        == "momentum"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "newton"}, "mode='newton'. Allowed: gd, sgd"),
        ({"examples": np.zeros((3, 2))}, "examples of type ndarray"),
        ({"test": 3}, "test of type int"),
        ({"loss": "cross_entropy"}, "for the cross-entropy. Allowed: classes"),
        (
            {"examples": di.targets.examples(np.ones((3, 1)), [0, 1, 1])},
            "classes as targets of the mse",
        ),
        ({"record_steps": (3, 2)}, "increasing integers"),
        ({"record_steps": ()}, "increasing integers"),
        ({"record_steps": (0, 1.5)}, "a record step=1.5"),
        ({"record_steps": np.linspace(0.0, 5.0, 3)}, "integers from 0"),
        ({"rate": "fast"}, "rate='fast'. Allowed: a finite number"),
        ({"stop_drop": True}, "stop_drop=True"),
        ({"loss": "hinge"}, "loss='hinge'. Allowed: mse, cross_entropy"),
        ({"loss": abs}, "training_seed_fn"),
        ({"geometry": "l2"}, "beside an optax transformation only"),
        ({"test": di.targets.sum_of_sines(2, 5)}, "numbers at inputs of dimension 2 beside"),
        (
            {"test": di.targets.examples([0.0, 1.0], [0, 1])},
            "classes at inputs of dimension 1 beside",
        ),
    ],
)
def test_refusals(change, message):
    with pytest.raises(SpecError) as error:
        di.TrainingConfig(**{"examples": EXAMPLES, "record_steps": (0, 1), **change})
    assert message in str(error.value)


def test_a_copy_with_another_mode_is_called_by_it():
    training = di.TrainingConfig(EXAMPLES, record_steps=(0, 10), rate=0.1)
    copy = dataclasses.replace(training, mode="flow")
    assert copy.name == "flow"
    assert copy.digest != training.digest
    named = dataclasses.replace(training, name="ours")
    assert named.digest != dataclasses.replace(named, mode="flow").digest


def test_numbers_and_steps_may_be_those_of_numpy():
    training = di.TrainingConfig(
        EXAMPLES, np.arange(0, 11, 5), rate=np.float32(0.5), stop_drop=np.float64(0.25)
    )
    plain = di.TrainingConfig(EXAMPLES, (0, 5, 10), rate=0.5, stop_drop=0.25)
    assert training.digest == plain.digest
    assert training.record_steps == (0, 5, 10)
