"""Refusals of quantities of training, and the conditions of their laws."""

import numpy as np
import pytest
from condensing import FIVE, NET, RATE, RUN, Small

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities


CLASSES = di.TrainingConfig(
    di.targets.examples(np.eye(3), [0, 1, 2]), (0, 1), rate=RATE, loss="cross_entropy"
)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda run: di.simulate(
                NET, Q.aligned_fraction, run, num_seeds=2, linear_map="conditional"
            ),
            "explicit",
        ),
        (
            lambda run: di.simulate(NET, Q.aligned_fraction, di.inputs.pair(0.1), num_seeds=2),
            "TrainingConfig for aligned_fraction",
        ),
        (
            lambda run: di.simulate(NET, Q.log_sin2_angle, run, num_seeds=2),
            "Inputs for log_sin2_angle",
        ),
        (
            lambda run: di.simulate("net", Q.accuracy, run, num_seeds=2),
            "an MLP with an output layer, or a Network",
        ),
        (
            lambda run: di.simulate(di.MLP((4,)), Q.training_loss, run, num_seeds=2),
            "an MLP with an output layer",
        ),
        (
            lambda run: di.simulate(NET, Q.accuracy, run, num_seeds=2),
            "targets that are one number an example",
        ),
        (lambda run: di.simulate(NET, Q.drop_time, run, num_seeds=2), "without stop_drop"),
        (lambda run: di.infinite(NET, Q.accuracy, CLASSES), "accuracy has no infinite-width limit"),
        (
            lambda run: di.predict(NET, Q.accuracy, CLASSES),
            "accuracy has no finite-width prediction",
        ),
        (lambda run: di.predict(di.from_linen(Small()), Q.drop_time, run), "a Network of your own"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(SpecError) as error:
        call(RUN)
    assert said in str(error.value)


def test_examples_without_preferred_orientations():
    flat = di.TrainingConfig(di.targets.simplex(2), record_steps=(0, 2), rate=0.1)
    net = di.training.small_mlp((6,), di.x_tanh, std=1e-3)
    assert di.predict(net, Q.orientation_count, flat).mean[-1, 0] == 0.0
    for call in (
        lambda: di.simulate(net, Q.aligned_fraction, flat, num_seeds=2),
        lambda: di.infinite(net, Q.aligned_fraction, flat),
    ):
        with pytest.raises(SpecError, match="no strict maximum"):
            call()


def test_laws_of_full_batches_are_not_given_for_minibatches_and_stops():
    batches = di.TrainingConfig(FIVE, record_steps=(0, 10), rate=RATE, batch_size=8)
    with pytest.raises(SpecError, match="on all examples"):
        di.predict(NET, Q.aligned_fraction, batches)
    stopped = di.TrainingConfig(FIVE, record_steps=(0, 10), rate=RATE, stop_drop=1e-3)
    for run in (batches, stopped):
        assert Q.training_loss.applicable(NET, run) == ()
        with pytest.raises(SpecError, match="gd on all examples of the mse to the end"):
            di.infinite(NET, Q.training_loss, run)
    biased = di.MLP(
        (4,), di.tanh, di.normal(1.0), di.normal(1.0, "absolute"), 1
    )  # biases larger than weights
    with pytest.raises(SpecError, match="prefer some directions"):
        di.infinite(
            biased, Q.aligned_fraction, di.TrainingConfig(FIVE, record_steps=(0, 10), rate=RATE)
        )


def test_a_time_in_the_unit_of_a_law_needs_the_law():
    adam = di.TrainingConfig(FIVE, record_steps=(10,), mode="adam", rate=1e-5, stop_drop=1e-3)
    with pytest.raises(SpecError, match="Take training_loss"):
        di.simulate(NET, Q.drop_time, adam, num_seeds=2)


def test_classes_of_the_test_set_out_of_range():
    x = np.eye(3)
    run = di.TrainingConfig(
        di.targets.examples(x, [0, 1, 2]),
        (0, 1),
        rate=0.1,
        loss="cross_entropy",
        test=di.targets.examples(x, [0, 1, 7]),
    )
    net = di.training.small_mlp((4,), di.tanh, std=0.1, output_width=3)
    with pytest.raises(SpecError, match="classes up to 7 for a network of 3 outputs"):
        di.simulate(net, Q.accuracy, run, num_seeds=2)


def test_predictions_by_step_need_steps_of_known_times():
    adam = di.TrainingConfig(FIVE, record_steps=(0, 10), mode="adam", rate=1e-5)
    with pytest.raises(SpecError, match="gd without stop_drop, not adam"):
        di.predict(NET, Q.aligned_fraction, adam)
    stopped = di.TrainingConfig(FIVE, record_steps=(0, 10), rate=RATE, stop_drop=1e-3)
    with pytest.raises(SpecError, match="gd without stop_drop"):
        di.predict(NET, Q.relative_distance, stopped)
