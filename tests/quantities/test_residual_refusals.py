"""Refusals of residual networks name what it is that no theory covers."""

import pytest

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities
PAIR = di.inputs.pair(0.5, 4)
FRAMES = di.frames.random(dimension=4)
CURVE = di.curves.sampled(di.curves.circle(dimension=4))
TRAINING = di.TrainingConfig(di.targets.sum_of_sines(), record_steps=range(0, 5, 2), rate=0.01)
SHALLOW = di.ResNet(4, 3, block="shallow")
CONVOLUTION = di.ConvResNet((2,), 2, 3, kernel_size=1)


@pytest.mark.parametrize(
    ("call", "given", "allowed"),
    [
        (
            lambda: di.infinite(SHALLOW, Q.log_volume, FRAMES),
            "shallow blocks with the activation tanh",
            "two-layer",
        ),
        (
            lambda: di.infinite(CONVOLUTION, Q.log_volume, FRAMES),
            "ConvResNet networks",
            "it covers MLP and ResNet, not ConvResNet",
        ),
        (lambda: di.infinite(SHALLOW, Q.length_distortion, CURVE), "shallow blocks", "two-layer"),
        (
            lambda: di.infinite(di.ResNet(4, 3, activation=di.tanh), Q.length_distortion, CURVE),
            "residual blocks with relu",
            "relu",
        ),
        (
            lambda: di.infinite(
                di.ResNet(4, 3, embedding_law=di.normal(1.0)), Q.log_volume, FRAMES
            ),
            "an embedding",
            "",
        ),
        (
            lambda: di.predict(
                di.ResNet(4, 3, block="shallow", output_width=2), Q.log_volume, FRAMES
            ),
            "an output layer",
            "without embedding and output layer",
        ),
        (
            lambda: di.predict(
                di.ResNet(4, 3, block="shallow", weight_law=di.normal(1.0)), Q.nngp, PAIR
            ),
            "weights normal (fan_in)",
            "scaling 'depth'",
        ),
        (
            lambda: di.predict(
                di.ResNet(4, 3, block="shallow", inner_activation=di.relu), Q.bias_ntk, PAIR
            ),
            "the inner activation relu",
            "without an inner activation",
        ),
        (
            lambda: di.predict(CONVOLUTION, Q.log_gradient_norm, PAIR),
            "ConvResNet networks",
            "it covers ResNet, not ConvResNet",
        ),
        (
            lambda: di.predict(SHALLOW, Q.accuracy, TRAINING),
            "ResNet(",
            "an MLP with an output layer",
        ),
        (
            lambda: di.predict(SHALLOW, Q.log_singular_values, di.inputs.ones(SHALLOW.width)),
            "log_singular_values",
            "no theory of it is known",
        ),
        (
            lambda: di.infinite(SHALLOW, Q.aligned_fraction, TRAINING),
            "shallow blocks",
            "one hidden layer",
        ),
        (lambda: di.simulate(SHALLOW, Q.drop_time, TRAINING), "shallow blocks", "one hidden layer"),
        (
            lambda: di.simulate(SHALLOW, Q.log_volume, FRAMES, linear_map="chi_square"),
            "shallow blocks with the activation tanh",
            "exact law",
        ),
    ],
)
@pytest.mark.slow_cases(
    "<lambda>-the inner activation relu-without an inner activation",
    "<lambda>-weights normal (fan_in)-scaling 'depth'",
)
def test_the_real_reason_is_named(call, given, allowed):
    with pytest.raises(SpecError) as refused:
        call()
    assert given in str(refused.value)
    assert allowed in str(refused.value)


@pytest.mark.slow
def test_predictions_are_offered_only_where_there_are_any():
    for name, words in (
        ("bias_ntk", "di.MLP"),
        ("log_gradient_norm", "two-layer"),
        ("length_distortion", "shallow"),
    ):
        quantity = getattr(Q, name)
        with pytest.raises(SpecError) as refused:
            di.predict(CONVOLUTION, quantity, CURVE if name == "length_distortion" else PAIR)
        assert words not in str(refused.value)
