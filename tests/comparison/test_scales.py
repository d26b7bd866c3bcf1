"""Scales: what no dtype can hold reaches the statistics, and powers of two change nothing."""

import dataclasses

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.quantities.measured import at_unit_size
from deepinit.quantities.routes import evaluate

Q, points = di.quantities, di.inputs.points
RNG = np.random.default_rng(5)
TWO = RNG.normal(size=(2, 4))
QUIET = {"progress": lambda *_: None}

OF_POINTS = {
    "nngp": 2,
    "ntk": 2,
    "bias_ntk": 2,
    "output_kurtosis": 0,
    "log_norm": 0,
    "survival": 0,
    "log_sin2_angle": 0,
    "log_distance": 0,
    "log_gradient_norm": 0,
    "log_singular_values": 0,
    "log_volume": 0,
    "cosine": 0,
}
OF_SEQUENCES = {"token_cosine", "attention_entropy"}
FAST = (("nngp", "relu"), ("log_norm", "relu"))


HOMOGENEOUS = ("relu", di.leaky_relu(0.3), "linear")
CASES = [
    pytest.param(name, activation, marks=() if (name, activation) in FAST else pytest.mark.slow)
    for name in OF_POINTS
    for activation in HOMOGENEOUS
]


def test_every_quantity_of_points_is_in_the_test_of_powers_of_two():
    takes = (di.inputs.Inputs, type(di.frames.random(dimension=2)))
    names = {name for name, quantity in Q.BUILTIN.items() if quantity.measurement.accepts in takes}
    assert names - OF_SEQUENCES == set(OF_POINTS)


def _inputs(name, scale):
    if name == "log_volume":
        frames = di.frames.random(dimension=4)
        return dataclasses.replace(frames, points=scale * frames.points)
    if name in ("log_sin2_angle", "log_distance"):
        pair = di.inputs.pair(0.3, 4)
        return dataclasses.replace(
            pair, points=scale * pair.points, displacements=scale * pair.displacements
        )
    return points(scale * (TWO[:1] if name == "log_singular_values" else TWO))


@pytest.mark.parametrize("activation", HOMOGENEOUS, ids=str)
@pytest.mark.parametrize(
    "name", sorted({*OF_POINTS} - {"log_volume"})
)  # whose frames have unit vectors
def test_r01_homogeneous_networks_see_inputs_of_one_size(name, activation):
    """What the engine computes with is the same, bit for bit; the factor is an integer."""
    quantity = getattr(Q, name)
    for net in (di.MLP((5, 6), activation, output_width=2), di.ResNet(4, 2, activation=activation)):
        one, exponent = at_unit_size(net, quantity, _inputs(name, 1.0))
        other, shifted = at_unit_size(net, quantity, _inputs(name, 2.0**-41))
        np.testing.assert_array_equal(one.points, other.points)
        np.testing.assert_array_equal(one.displacements, other.displacements)
        assert shifted - exponent == -41 * (quantity.input_degree or 0)
    biased = di.MLP((5, 6), activation, bias_law=di.normal(0.1, "absolute"))
    assert at_unit_size(biased, quantity, _inputs(name, 8.0))[1] == 0


@pytest.mark.parametrize(("name", "activation"), CASES, ids=str)
@pytest.mark.exhaustive_cases("bias_ntk-linear", "bias_ntk-relu", "ntk-linear", "ntk-relu")
@pytest.mark.exhaustive_cases("log_singular_values-relu", "nngp-relu", "log_norm-relu")
@pytest.mark.exhaustive_cases(
    "bias_ntk-leaky_relu(negative_slope=0.3)", "ntk-leaky_relu(negative_slope=0.3)"
)
def test_r01_powers_of_two_change_no_bit_of_a_homogeneous_network(name, activation):
    """Values differ by the exact factor; z and `judged` by the rounding of the prediction."""
    net, quantity = di.MLP((5, 6, 4), activation, output_width=2), getattr(Q, name)
    found = {}
    for exponent in (0, -41):
        inputs = _inputs(name, 2.0**exponent)
        measured = di.simulate(net, quantity, inputs, num_seeds=150, keep_samples=True, **QUIET)
        predictions, _ = evaluate(net, quantity, inputs)
        data = di.compare(measured, *predictions).dataset if predictions else None
        found[exponent] = measured, data
    one, data = found.pop(0)
    for exponent, (other, others) in found.items():
        kernel = 2 if name == "output_kurtosis" else OF_POINTS[name]  # its samples are kernels
        np.testing.assert_array_equal(
            other.samples, np.ldexp(one.samples.astype(other.samples.dtype), kernel * exponent)
        )
        for field in ("mean", "standard_error", "minimum", "maximum"):
            expected = np.ldexp(getattr(one, field), OF_POINTS[name] * exponent)
            np.testing.assert_array_equal(getattr(other, field), expected, err_msg=field)
        np.testing.assert_array_equal(other.skewness, one.skewness)
        if data is not None:
            np.testing.assert_allclose(others["z"], data["z"], rtol=1e-9, atol=1e-9)
            np.testing.assert_array_equal(others["judged"], data["judged"])


HUGE = di.MLP(
    (4, 4, 4), "relu", di.normal(1e39, "absolute"), output_width=2
)  # squares leave float32
CIRCLE = di.curves.circle(dimension=4)
CURVES = [
    di.curves.sampled(CIRCLE, num_nodes=5, method=method) for method in ("tangents", "polygon")
]


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        *((name, _inputs(name, 1.0)) for name in OF_POINTS),
        *(("length_distortion", curve) for curve in CURVES),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
@pytest.mark.slow_cases(
    "bias_ntk-",
    "length_distortion-0",
    "length_distortion-1",
    "log_distance-",
    "log_gradient_norm-",
    "log_norm-",
    "log_sin2_angle-",
    "log_singular_values-",
    "log_volume-",
    "nngp-",
    "output_kurtosis-",
    "survival-",
)
@pytest.mark.exhaustive_cases("ntk-", "bias_ntk-", "log_gradient_norm-", "log_singular_values-")
def test_a9_a_network_that_overflows_is_an_event_not_a_value(name, inputs):
    """Neither NaN nor 0 at an infinite scale counts as dead or alive."""
    found = di.simulate(HUGE, getattr(Q, name), inputs, num_seeds=7, **QUIET)
    if name == "bias_ntk":  # without biases there is nothing to overflow
        assert (found.mean == 0).all()
        return
    np.testing.assert_array_equal(found.events["not_finite"][-1], 7)
    np.testing.assert_array_equal(found.num_excluded[-1], 7)
    assert np.isnan(found.mean[-1]).all()


def _training(**options):
    x = RNG.normal(size=(6, 2))
    return di.TrainingConfig(
        di.targets.examples(x, x[:, :1]), (0, 3), rate=1e30, mode="gd", **options
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("training_loss", {}),
        ("orientation_count", {}),
        ("aligned_fraction", {}),
        ("relative_distance", {}),
        ("drop_time", {"stop_drop": 0.001}),
    ],
)
@pytest.mark.slow
@pytest.mark.exhaustive_cases(
    "drop_time-options4", "orientation_count-options1", "training_loss-options0"
)
def test_a9_a_training_that_diverges_is_an_event_not_a_value(name, options):
    net = di.MLP((12,), di.tanh, di.normal(1e-6), output_width=1)
    found = di.simulate(net, getattr(Q, name), _training(**options), num_seeds=5, **QUIET)
    np.testing.assert_array_equal(found.events["not_finite"][-1], 5)
    assert np.isnan(found.mean[-1]).all()
    if name in ("training_loss", "relative_distance"):
        assert np.isfinite(found.mean[0]).all()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a9_accuracy_on_test_inputs_that_overflow():
    classes = di.targets.examples(RNG.normal(size=(6, 2)), np.arange(6) % 3)
    test = di.targets.examples(np.full((2, 2), 1e30), np.array([0, 1]))
    training = di.TrainingConfig(
        classes, (0,), mode="gd", rate=0.1, loss="cross_entropy", test=test
    )
    net = di.MLP((4, 4), "relu", di.normal(1e12), output_width=3)
    found = di.simulate(net, Q.accuracy, training, num_seeds=5, **QUIET)
    np.testing.assert_array_equal(found.events["not_finite"], [[0, 5]])


@pytest.mark.parametrize(("variance", "depth"), [(0.5, 180), (8.0, 180)])
@pytest.mark.slow_cases("8.0-180")
@pytest.mark.exhaustive_cases("0.5-180")
@pytest.mark.exhaustive_cases("8.0-180")
def test_a2_kernels_of_deep_networks_are_those_of_their_matrices(variance, depth):
    """Width 3, matrices multiplied in float64: kernels of 1e-160 and 1e+70 in float32."""
    net, x = (
        di.MLP((3,) * depth, di.leaky_relu(0.5), di.normal(variance), output_width=1),
        np.array([1.0, -0.5, 0.7]),
    )
    net = dataclasses.replace(net, output_law=di.normal(variance))
    found = {
        q: di.simulate(
            net,
            getattr(Q, q),
            points(x[None]),
            num_seeds=3,
            keep_samples=True,
            linear_map="explicit",
            **QUIET,
        )
        for q in ("nngp", "ntk")
    }
    init = di.network(net).init
    for seed in range(3):
        parameters = init(jax.random.fold_in(jax.random.key(0), seed), 3)
        matrices = [np.asarray(m, np.float64) for m in _matrices(parameters)]
        assert len(matrices) == depth + 1
        rows, total = [x], 0.0
        for matrix in matrices[:-1]:
            z = matrix @ rows[-1]
            rows.append(np.where(z > 0, z, 0.5 * z))
        nngp = [np.mean(row**2) for row in rows[1:]]
        u = np.ones(1)
        for number in range(depth, -1, -1):
            if number < depth:
                u = u * np.where(rows[number + 1] > 0, 1.0, 0.5)
            total += variance / 3 * (u @ u) * (rows[number] @ rows[number])
            u = matrices[number].T @ u
        np.testing.assert_allclose(found["nngp"].samples[seed, :, 0], nngp, rtol=2e-3)
        np.testing.assert_allclose(found["ntk"].samples[seed, 0, 0], total, rtol=2e-3)
        assert not 1e-45 < total < 3e38


def _matrices(parameters):
    for run in parameters:
        stacked = run["inner"]["weights"] if "inner" in run else run["weights"]
        yield from (stacked if stacked.ndim == 3 else [stacked])


@pytest.mark.exhaustive_cases("ntk")
@pytest.mark.parametrize("name", ["nngp", pytest.param("ntk", marks=pytest.mark.slow)])
@pytest.mark.exhaustive_cases("nngp")
def test_a2_simulation_and_prediction_agree_in_a_contracting_network(name):
    """Linear, width 512, depth 100, variance 1/5: 1e-70; 1 % more per layer is rejected."""
    net, x = (
        di.MLP((512,) * 100, "linear", di.normal(0.2), output_width=1),
        points(np.ones((1, 16))),
    )
    measured = di.simulate(net, getattr(Q, name), x, num_seeds=1500, **QUIET)
    right = di.predict(net, getattr(Q, name), x)
    rival = dataclasses.replace(right, name="rival", mean=right.mean * 1.01**100)
    data = di.compare(measured, right, rival).dataset
    assert measured.num_excluded.sum() == 0
    assert 0 < measured.mean[-1, 0] < 1e-45
    assert data["judged"].values[:, -1, 0].all()
    assert abs(data["z"].values[0, -1, 0]) < 5
    assert data["z"].values[1, -1, 0] < -5


@pytest.mark.slow
def test_a2_what_float64_cannot_hold_is_an_event():
    """2^-1100 at layer 1100: underflow is counted, and layers before keep their values."""
    net = di.MLP((4,) * 1100, "linear", di.normal(0.5))
    found = di.simulate(net, Q.nngp, points(np.ones((1, 4))), num_seeds=6, **QUIET)
    assert found.events["underflow"][-1] == 6
    assert found.num_excluded[400] == 0
    assert found.mean[400] > 0
    assert found.standard_error[600] > 0  # whose square has no place in float64
