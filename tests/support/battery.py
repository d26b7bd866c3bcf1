"""Networks of every kind and inputs of every quantity, for tests of all their combinations."""

import itertools

import numpy as np

import deepinit as di

DIMENSION = 4
ROWS = np.array([[1.0, 0.2, -0.5, 0.3], [0.1, -1.0, 0.4, 0.8]])
BIASES = (None, di.normal(0.1, "absolute"), di.uniform(0.1, "absolute"), di.constant(0.3))
LAWS = (None, di.uniform(2.0), di.orthogonal(2.0), di.normal(0.02, "absolute"))
ACTIVATIONS = (
    "relu",
    di.leaky_relu(0.2),
    "linear",
    "absolute",
    "tanh",
    "gelu",
    "sigmoid",
    di.elu(),
    di.hard_swish,
)


def mlps():
    """Every activation with every law, every bias and both ends."""
    for number, (activation, law, bias) in enumerate(itertools.product(ACTIVATIONS, LAWS, BIASES)):
        if number % 3 == 0 or activation == "relu":
            yield di.MLP((96, 96, 96), activation, law, bias, output_width=(None, 1)[number % 2])
    yield di.MLP((96, 48), "relu", di.normal(0.02, "absolute"), output_width=2)
    yield di.MLP((2,) * 8, output_width=1)
    yield di.MLP((1,) * 3, di.rounded("tanh", 0.1), di.normal(1.0))
    yield di.MLP((96,) * 3, di.rounded("relu", 0.01))


def residuals():
    """Every kind of block and of ends."""
    yield di.ResNet(DIMENSION, 3)
    yield di.ResNet(DIMENSION, 3, output_width=1)
    yield di.ResNet(DIMENSION, 3, activation=di.tanh)
    for activation in (di.elu(), di.hard_swish):
        yield di.ResNet(DIMENSION, 3, activation=activation)
        yield di.ResNet(DIMENSION, 3, block="shallow", inner_activation=activation)
    yield di.ResNet(DIMENSION, 3, bias_law=di.normal(0.1, "absolute"))
    yield di.ResNet(DIMENSION, 3, embedding_law=di.normal(1.0))
    for options in (
        {},
        {"output_width": 1},
        {"inner_activation": di.relu},
        {"activation": di.relu},
    ):
        yield di.ResNet(DIMENSION, 3, block="shallow", **options)
    yield di.ResNet(DIMENSION, 3, block="shallow", bias_law=di.normal(0.1, "depth"))
    yield di.ConvResNet((2,), 2, 3, kernel_size=1)


def two_layers():
    """What condensation has theories for."""
    yield di.MLP((40,), "tanh", output_width=1)
    for activation in ("tanh", "relu", di.x_tanh, "gelu"):
        yield di.training.small_mlp((40,), activation, std=1e-4)


SPECS = (*mlps(), *residuals(), *two_layers())
POINTS = {
    "one": di.inputs.points(ROWS[:1]),
    "two": di.inputs.points(ROWS),
    "equal": di.inputs.points(np.stack([ROWS[0], ROWS[0]])),
    "zero": di.inputs.points(np.stack([ROWS[0], 0.0 * ROWS[0]])),
    "component": di.inputs.pair(0.3, DIMENSION),
}
EXAMPLES = di.targets.examples(np.concatenate([ROWS, -ROWS[:1]]), [[1.0], [-0.5], [0.2]])
TRAININGS = {
    "descent": di.TrainingConfig(EXAMPLES, (0, 5, 20), "gd", 0.05),
    "drop": di.TrainingConfig(EXAMPLES, (0, 5, 20), "gd", 0.05, stop_drop=0.1),
    "flow": di.TrainingConfig(EXAMPLES, (0, 5), "flow", 0.05),
    "adam": di.TrainingConfig(EXAMPLES, (0, 2), "adam", 0.01),
    "classes": di.TrainingConfig(
        di.targets.examples(ROWS, [0, 1]), (0, 2), "gd", 0.05, loss="cross_entropy"
    ),
}
TRAINED = (
    "training_loss",
    "accuracy",
    "orientation_count",
    "line_count",
    "aligned_fraction",
    "drop_time",
    "relative_distance",
)
INPUTS = {
    **{name: TRAININGS for name in TRAINED},
    **{
        name: POINTS
        for name in ("nngp", "ntk", "bias_ntk", "output_kurtosis", "log_norm", "survival")
    },
    **{
        name: POINTS
        for name in ("log_gradient_norm", "log_singular_values", "log_sin2_angle", "cosine")
    },
    **{name: POINTS for name in ("token_cosine", "attention_entropy")},  # refused without positions
    "log_distance": {
        "component": POINTS["component"],
        "unequal": di.inputs.from_arrays(ROWS[0], 2.0 * ROWS[1]),
        "close": di.inputs.pair(1e-8, DIMENSION),
        "parallel": di.inputs.from_arrays(ROWS[0], 2.0 * ROWS[0]),
        "opposite": di.inputs.from_arrays(ROWS[0], -ROWS[0]),
    },
    "log_volume": {str(d): di.frames.random(dimension=DIMENSION, size=d) for d in (1, 2)},
    "length_distortion": {"circle": di.curves.sampled(di.curves.circle(dimension=DIMENSION))},
}
