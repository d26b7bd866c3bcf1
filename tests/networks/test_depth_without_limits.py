"""Log-scales carry every activation through 10 000 layers in float32."""

import jax
import numpy as np
import pytest

import deepinit as di
from deepinit.networks import forward, linear_maps
from deepinit.networks.input_rows import input_rows
from deepinit.theory.cutoff import log_norm_drift

Q = di.quantities


@pytest.mark.parametrize(("activation", "weight_var"), [("tanh", 0.3), ("gelu", 1.2), ("sin", 0.5)])
@pytest.mark.exhaustive
def test_a_signal_that_dies_out_decays_at_its_exact_rate_for_10_000_layers(activation, weight_var):
    width, depth = 4, 10_000
    spec = di.MLP((width,) * depth, activation, di.normal(weight_var))
    measured = di.simulate(spec, Q.log_norm, di.inputs.ones(width), num_seeds=64, keep_samples=True)
    assert measured.num_excluded.sum() == 0
    law = log_norm_drift(activation, width, weight_var)
    slope = 0.5 if activation == "gelu" else 1.0
    assert measured.mean[-1, 0] < -1500  # e^-87 is the least float32
    late = (measured.samples[:, -1, 0].astype(float) - measured.samples[:, 999, 0]) / 9000
    error = (law.variance / 9000 / 64) ** 0.5
    assert abs(late.mean() - law.drift) < 5 * error + 1e-4 * abs(
        law.drift
    )  # float32 sums 10 000 terms
    assert abs(late.mean() - 0.5 * np.log(weight_var * slope**2)) > 20 * error


@pytest.mark.slow
@pytest.mark.exhaustive
def test_angles_of_dying_signals_are_those_of_the_linear_network():
    """tanh is linear for tiny signals (e^-180 at the end): same weights, same angles."""
    rows = 1e-6 * di.inputs.pair(1.0).partners, 1e-6 * di.inputs.pair(1.0).points
    pair, found = di.inputs.from_arrays(*rows), []
    for name in ("tanh", "linear"):
        spec = di.MLP((128,) * 300, name, di.normal(0.3))
        found.append(
            di.simulate(
                spec, Q.log_sin2_angle, pair, num_seeds=8, keep_samples=True, linear_map="explicit"
            )
        )
    assert found[0].num_excluded.sum() == 0
    np.testing.assert_allclose(found[0].samples, found[1].samples, atol=0.01)


@pytest.mark.exhaustive_cases("x_tanh")
@pytest.mark.parametrize("activation", ["tanh", "gelu", "x_tanh", "x2_tanh", "softplus"])
@pytest.mark.slow_cases("softplus", "x_tanh")
@pytest.mark.exhaustive_cases("gelu", "tanh", "x2_tanh")
def test_scales_change_nothing_where_nothing_is_small_or_large(activation):
    """The same network layer by layer in float64, without scales."""
    spec = di.MLP((6, 5, 7), activation, di.normal(2.0), di.normal(0.1, "absolute"), 2)
    pair = di.inputs.pair(0.7, dimension=3)
    key = jax.random.key(3, impl="threefry2x32")
    network = di.network(spec)
    parameters = network.init(key, 3)
    x = np.asarray(pair.points[0], float)
    for layer in parameters[:-1]:
        weights, biases = (
            np.asarray(layer["inner"][name][0], float) for name in ("weights", "biases")
        )
        x = np.asarray(spec.activation(weights @ x + biases))
    x = np.asarray(parameters[-1]["weights"], float) @ x + np.asarray(
        parameters[-1]["biases"], float
    )
    np.testing.assert_allclose(network.apply(parameters, pair.points[0]), x, rtol=2e-5, atol=1e-6)


@pytest.mark.slow_cases("gelu-10000000000.0")
@pytest.mark.parametrize(
    ("activation", "size"), [("x_tanh", 1e-4), ("x2_tanh", 1e-3), ("gelu", 1e10), ("tanh", 1e-12)]
)
@pytest.mark.slow_cases("x2_tanh-0.001")
@pytest.mark.exhaustive_cases("x_tanh-0.0001")
def test_points_displacements_and_tangents_beyond_the_range_follow_the_power_law(activation, size):
    """One layer on inputs whose squares and cubes leave float32, against float64."""
    spec = di.MLP((5,), activation, di.normal(1.0))
    base, other = size * np.array([1.0, 0.5, -0.3]), size * np.array([0.9, 0.6, -0.2])
    inputs = di.inputs.from_arrays(base[None], other[None])
    key = jax.random.key(1, impl="threefry2x32")
    state, _ = forward.random_forward(
        spec,
        input_rows(spec, inputs, "float32")(key),
        key,
        lambda s: s.postactivations,
        linear_map=linear_maps.FUNCTIONS["explicit"],
    )
    weights = np.asarray(di.network(spec).init(key, 3)[0]["inner"]["weights"][0], float)
    true, moved = (np.asarray(spec.activation(weights @ row), float) for row in (base, other))
    scale = float(state.point_scales[0, 0])
    size_true = np.linalg.norm(true)
    assert scale + np.log(np.linalg.norm(state.points[0, 0])) == pytest.approx(
        np.log(size_true), abs=1e-4
    )
    np.testing.assert_allclose(
        np.asarray(state.points[0, 0]) / np.linalg.norm(state.points[0, 0]),
        true / size_true,
        atol=1e-4,
    )
    difference = np.exp(float(state.displacement_scales[0, 0])) * np.asarray(
        state.displacements[0, 0]
    )
    unit = np.linalg.norm(state.points[0, 0]) / size_true
    np.testing.assert_allclose(
        difference, unit * (moved - true), rtol=1e-3, atol=1e-4 * np.abs(difference).max()
    )
