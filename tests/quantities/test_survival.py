"""Survival of one signal against the exact law at width 1; norms against their exact drift."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities
UNIT = di.uniform(1 / 3)  # U(-1, 1) at width 1


def chain(width, depth, rounding="truncate", law=UNIT, rho=1e-3, activation="tanh"):
    return di.MLP((width,) * depth, di.rounded(activation, rho, rounding), law)


def worst(*results):
    return np.nanmax(np.abs(di.compare(*results).dataset["z"].values), axis=(1, 2))


@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
@pytest.mark.slow
def test_the_chain_of_width_1_survives_as_the_exact_law_says(rounding):
    spec, start = chain(1, 13, rounding), di.inputs.ones(1)
    measured = di.simulate(spec, Q.survival, start, num_seeds=20_000)
    other = "nearest" if rounding == "truncate" else "truncate"
    exact, rival = (di.predict(chain(1, 13, mode), Q.survival, start) for mode in (rounding, other))
    right, wrong = worst(measured, exact, rival)
    assert right < 5
    assert wrong > 20  # the rounding mode is part of the model


@pytest.mark.slow
@pytest.mark.exhaustive
def test_scalar_reduction_and_whole_matrices_have_one_survival_curve():
    spec, start = chain(6, 12, law=di.normal(1 / 3)), di.inputs.ones(6)
    runs = [
        di.simulate(spec, Q.survival, start, num_seeds=8000, linear_map=name)
        for name in ("conditional", "explicit")
    ]
    error = np.hypot(*(run.standard_error for run in runs))
    judged = error > 0
    assert np.max(np.abs(runs[0].mean - runs[1].mean)[judged] / error[judged]) < 5
    nearest = di.simulate(
        chain(6, 12, "nearest", di.normal(1 / 3)), Q.survival, start, num_seeds=8000
    )
    assert np.max(np.abs(runs[0].mean - nearest.mean)[judged] / error[judged]) > 5


@pytest.mark.slow
def test_survival_of_wide_chains_falls_where_the_orbit_says():
    spec, start = chain(32, 18, law=di.normal(1 / 3)), di.inputs.ones(32)
    assert Q.survival.applicable(spec, start) == ("orbit", "random_walk")
    measured = di.simulate(spec, Q.survival, start, num_seeds=8000)
    curves = [curve[:, 0] for curve in (measured.mean, di.predict(spec, Q.survival, start).mean)]
    rival = di.predict(spec, Q.survival, start, "random_walk").mean[:, 0]
    assert np.abs(curves[0] - curves[1]).max() < 0.03
    assert np.abs(curves[0] - rival).max() > 0.3  # which leaves out that tanh saturates


@pytest.mark.slow
def test_underflow_is_predicted_without_a_grid():
    flushed = lambda width, law: di.MLP((width, width), di.stored("tanh", "float32"), law)
    assert Q.survival.applicable(flushed(1, UNIT), di.inputs.ones(1)) == ()
    assert Q.survival.applicable(flushed(8, di.normal(1 / 3)), di.inputs.ones(8)) == (
        "orbit",
        "random_walk",
    )
    assert (
        di.predict(flushed(8, di.normal(1 / 3)), Q.survival, di.inputs.ones(8)).mean[-1, 0] == 1.0
    )


@pytest.mark.parametrize(
    ("width", "activation"), [(2, "relu"), (3, "linear"), (5, di.leaky_relu(0.3))]
)
@pytest.mark.slow
def test_norms_grow_as_their_exact_law_says_at_every_width(width, activation):
    spec, start = di.MLP((width, width + 2, width), activation), di.inputs.ones(width)
    measured = di.simulate(spec, Q.log_norm, start, num_seeds=20_000)
    exact, limit = di.predict(spec, Q.log_norm, start), di.infinite(spec, Q.log_norm, start)
    right, wrong = worst(measured, exact, limit)
    assert right < 5
    assert wrong > 10
    data = di.compare(measured, exact).dataset
    assert np.nanmax(np.abs(data["variance_z"].values)) < 5


@pytest.mark.slow
def test_norms_of_wide_networks_are_those_of_the_kernel():
    spec, start = (
        di.MLP((400, 400), "tanh", di.normal(1.5), di.normal(0.1, "absolute")),
        di.inputs.ones(3),
    )
    measured = di.simulate(spec, Q.log_norm, start, num_seeds=500)
    limit = di.infinite(spec, Q.log_norm, start)
    np.testing.assert_allclose(measured.mean, limit.mean, atol=0.01)


def test_rounded_activations_round_trip_and_keep_to_the_grid():
    for mode in ("nearest", "truncate"):
        activation = di.rounded(di.leaky_relu(0.2), 0.25, mode)
        spec = di.MLP((3,), activation)
        assert di.spec_from_json(spec.to_json()) == spec
        values = activation(np.array([-0.9, 0.3, 0.37, 0.63]))
        np.testing.assert_array_equal(
            values, [-0.25, 0.25, 0.25, 0.75] if mode == "nearest" else [0.0, 0.25, 0.25, 0.5]
        )


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: di.rounded("tanh", 0.0), "rho=0.0"),
        (lambda: di.rounded("tanh", 1.0), "between 0 and 1"),
        (lambda: di.rounded("tanh", 0.1, "up"), "rounding='up'"),
        (lambda: di.rounded(di.rounded("tanh", 0.1), 0.1), "Round once"),
        (lambda: di.rounded(lambda x: x, 0.1).to_json(), "no import can reach"),
        (lambda: di.inputs.points(np.ones((2, 2, 2))), "points of shape (2, 2, 2)"),
        (lambda: di.inputs.points([np.nan]), "not finite"),
        (lambda: di.inputs.ones(0), "dimension=0"),
        (
            lambda: di.predict(chain(1, 3), Q.survival, di.inputs.ones(2)),
            "at width 1 the input is one number",
        ),
        (
            lambda: di.infinite(chain(1, 3), Q.survival, di.inputs.ones(1)),
            "survival has no infinite-width limit",
        ),
    ],
)
def test_refusals(call, said):
    with pytest.raises(SpecError) as error:
        call()
    assert said in str(error.value)


@pytest.mark.parametrize("route", [di.predict, di.infinite])
def test_the_growth_of_a_zero_input_is_refused(route):
    with pytest.raises(SpecError, match="norm of 0"):
        route(di.MLP((4, 4)), di.quantities.log_norm, di.inputs.points(np.zeros(3)))
