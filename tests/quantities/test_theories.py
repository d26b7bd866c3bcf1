"""Every quantity x every kind of network x inputs: a theory predicts, finite and in shape, or says in words why not."""

import itertools

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.quantities.routes import chosen_linear_map, evaluate

Q = di.quantities
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
    "pair": di.inputs.pair(0.3, DIMENSION),
}
EXAMPLES = di.targets.examples(np.concatenate([ROWS, -ROWS[:1]]), [[1.0], [-0.5], [0.2]])
TRAININGS = {
    "descent": di.Training(EXAMPLES, (0, 5, 20), "gd", 0.05),
    "drop": di.Training(EXAMPLES, (0, 5, 20), "gd", 0.05, stop_drop=0.1),
    "flow": di.Training(EXAMPLES, (0, 5), "flow", 0.05),
    "adam": di.Training(EXAMPLES, (0, 2), "adam", 0.01),
    "classes": di.Training(
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
    **{name: POINTS for name in ("log_gradient_norm", "log_singular_values", "log_sin2_angle")},
    "log_distance": {
        "pair": POINTS["pair"],
        "unequal": di.inputs.from_arrays(ROWS[0], 2.0 * ROWS[1]),
        "close": di.inputs.pair(1e-8, DIMENSION),
        "parallel": di.inputs.from_arrays(ROWS[0], 2.0 * ROWS[0]),
        "opposite": di.inputs.from_arrays(ROWS[0], -ROWS[0]),
    },
    "log_volume": {str(d): di.frames.random(dimension=DIMENSION, size=d) for d in (1, 2)},
    "length_distortion": {"circle": di.curves.sampled(di.curves.circle(dimension=DIMENSION))},
}


def test_the_battery_has_at_least_sixty_networks():
    assert len(SPECS) >= 60


def test_the_battery_has_every_quantity():
    assert {*INPUTS} == {*Q.BUILTIN}


@pytest.mark.parametrize("every", [16, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", sorted(INPUTS))
@pytest.mark.slow_cases("bias_ntk-16", "log_distance-16", "log_sin2_angle-16")
@pytest.mark.exhaustive_cases("length_distortion-1")
def test_a_theory_predicts_or_says_why_not(name, every):
    quantity, applied = getattr(Q, name), set()
    for number, (spec, (label, inputs)) in enumerate(
        itertools.product(SPECS[::every], INPUTS[name].items())
    ):
        try:
            chosen_linear_map(spec, quantity, inputs, "auto")
        except SpecError:
            continue  # the quantity has no meaning here: nothing is simulated
        predictions, reasons = evaluate(spec, quantity, inputs)
        where = f"{name} of {spec} at {label}"
        axis = quantity.measurement.axis(spec, inputs)
        shape = (axis.length, len(axis.entries))
        for prediction in predictions:
            assert prediction.mean.shape == shape, f"{prediction.name}, {where}"
            finite = np.isfinite(
                prediction.mean
            )  # of training, steps that a theory leaves out are NaN
            assert finite.any() if INPUTS[name] is TRAININGS else finite.all(), (
                f"{prediction.name}, {where}"
            )
            assert prediction.variance is None or not np.isinf(prediction.variance).any(), (
                f"{prediction.name}, {where}"
            )
            applied.add(prediction.name)
        assert {p.name for p in predictions} | set(reasons) == {
            theory.name for theory in quantity.theories
        }
        if number % 4 and every == 1:  # each of these computes every prediction again
            continue
        finite = [p.name for p in predictions if p.name != "infinite_width"]
        assert list(quantity.applicable(spec, inputs)) == [p.name for p in predictions], where
        if finite:
            assert di.predict(spec, quantity, inputs).name == finite[0]
        else:
            with pytest.raises(SpecError):
                di.predict(spec, quantity, inputs)
    expected = {theory.name for theory in quantity.theories}
    assert (
        applied == expected or every > 1 or name == "survival"
    )  # the whole battery reaches every theory


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["log_sin2_angle", "log_distance", "nngp", "log_norm", "log_volume"]
)
@pytest.mark.exhaustive_cases("log_distance", "log_sin2_angle", "log_volume", "nngp")
def test_limits_are_those_of_wide_networks(name):
    """At width 4096 a simulation is within its error bars and the order depth / width of every limit."""
    quantity = getattr(Q, name)
    inputs = (
        di.frames.random(dimension=DIMENSION)
        if name == "log_volume"
        else di.inputs.pair(0.3, DIMENSION)
    )
    for activation, bias in itertools.product(
        ("relu", "tanh", di.elu()), (None, di.normal(0.1, "absolute"))
    ):
        spec = di.MLP((4096,) * 2, activation, None, bias)
        sim, limit = (
            di.simulate(spec, quantity, inputs, num_seeds=60),
            di.infinite(spec, quantity, inputs),
        )
        off = np.abs(sim.mean - limit.mean)
        assert np.all(off < 5 * sim.standard_error + 10 * 2 / 4096), (activation, bias)
        rival = di.infinite(di.MLP((4096,) * 2, di.softplus, None, bias), quantity, inputs)
        assert np.any(np.abs(sim.mean - rival.mean) > 5 * sim.standard_error + 10 * 2 / 4096)


def test_a07_an_angle_needs_a_pair():
    for route in (di.simulate, di.predict, di.infinite):
        for inputs in (di.inputs.ones(4), di.inputs.points(ROWS)):
            with pytest.raises(SpecError, match=r"without a partner.*di\.inputs\.pair"):
                route(di.MLP((8,)), Q.log_sin2_angle, inputs)


def test_a_reason_is_returned_not_raised():
    found = Q.nngp.theory("exact").evaluate(di.MLP((8,), "tanh"), POINTS["one"])
    assert isinstance(found, str)
    assert isinstance(Q.nngp.theory("exact").evaluate(di.MLP((8,)), POINTS["one"]), Prediction)


@pytest.mark.slow
def test_log_gradient_norm_is_the_logarithm_of_the_norm():
    """Of one output weight N(0, 1): E ln|w| = -(gamma + ln 2) / 2 = -0.635; the square has twice that."""
    net = di.MLP((1,), "linear", output_width=1)
    sim = di.simulate(net, Q.log_gradient_norm, di.inputs.ones(1), num_seeds=4000)
    exact = -0.5 * (np.euler_gamma + np.log(2.0))
    assert np.abs((sim.mean - exact) / sim.standard_error).max() < 5
    assert np.abs((sim.mean - 2.0 * exact) / sim.standard_error).min() > 20


@pytest.mark.slow
def test_a_quantity_derived_from_another_is_compared_under_its_own_name():
    own = Q.log_norm._replace(name="own")
    net, inputs = di.MLP((4,) * 2), di.inputs.ones(3)
    sim = di.simulate(net, own, inputs, num_seeds=10)
    found = [
        di.predict(net, own, inputs),
        di.infinite(net, own, inputs),
        *evaluate(net, own, inputs)[0],
    ]
    assert {prediction.quantity for prediction in found} == {"own"}
    assert di.compare(sim, *found[:2]).dataset.sizes["route"] == 2
