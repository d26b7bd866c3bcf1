"""Jakub & Nica 2024 (arXiv 2302.09712): Figure 1 in numbers, the paper's correction."""

import math

import numpy as np
import pytest

import deepinit as di
from deepinit.theory import angles

LAYERS = np.array([1, 5, 10, 20, 30, 31])
# An independent simulation, 40 000 samples of the exact one-layer chain: mean, error, sd.
CHAIN_MEAN = np.array([-4.6360, -4.7500, -4.8925, -5.1538, -5.3989, -5.4228])
CHAIN_ERROR = np.array([0.0009, 0.0019, 0.0027, 0.0036, 0.0043, 0.0043])
CHAIN_SD = np.array([0.1759, 0.3837, 0.5321, 0.7222, 0.8540, 0.8656])
APPROXIMATION_1 = np.array([-4.6390, -4.7580, -4.9001, -5.1657, -5.4106, -5.4341])
INFINITE = np.array([-4.6299, -4.7132, -4.8127, -4.9977, -5.1668, -5.1830])

SPEC, PAIR, ANGLE = di.MLP(widths=(256,) * 31), di.inputs.pair(0.1), di.quantities.log_sin2_angle


@pytest.fixture(scope="module")
def figure1():
    return di.simulate(SPEC, ANGLE, PAIR, num_seeds=20_000)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_simulation_reproduces_the_table_within_four_standard_errors(figure1):
    mean, error = figure1.mean[LAYERS - 1, 0], figure1.standard_error[LAYERS - 1, 0]
    combined = np.hypot(error, CHAIN_ERROR)
    assert np.all(np.abs(mean - CHAIN_MEAN) < 4 * combined)
    sd = np.sqrt(figure1.variance[LAYERS - 1, 0])
    sd_error = sd * np.sqrt(1 / 20_000 + 1 / 40_000)  # generous: normal would be divided by sqrt(2)
    assert np.all(np.abs(sd - CHAIN_SD) < 4 * sd_error)
    # the rival, infinite width, is rejected from layer 5 on
    assert np.all((np.abs(mean - INFINITE) > 5 * combined)[1:])


@pytest.mark.slow
def test_finite_width_theory_agrees_and_infinite_width_does_not(figure1):
    comparison = di.compare(
        figure1, di.predict(SPEC, ANGLE, PAIR), di.infinite(SPEC, ANGLE, PAIR)
    ).dataset
    z = np.abs(comparison["z"].values)
    assert z[0].max() < 5
    assert z[1].max() > 20
    assert set(comparison["closest"].values[4:, 0]) == {"tapered"}


def test_columns_of_the_theory():
    np.testing.assert_allclose(
        angles.approximation_1(0.1, SPEC.widths)[LAYERS - 1], APPROXIMATION_1, atol=6e-5
    )
    np.testing.assert_allclose(
        di.infinite(SPEC, ANGLE, PAIR).mean[LAYERS - 1, 0], INFINITE, atol=6e-5
    )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_papers_correction_is_rejected_at_width_64_and_the_corrected_forms_are_not():
    spec = di.MLP(widths=(64,) * 8)
    estimate = di.simulate(spec, ANGLE, PAIR, num_seeds=40_000)
    routes = {
        form: di.predict(spec, ANGLE, PAIR, form)
        for form in ("tapered", "second_order", "hybrid", "paper")
    }
    worst = {
        form: float(np.abs((estimate.mean - route.mean) / estimate.standard_error).max())
        for form, route in routes.items()
    }
    assert worst["paper"] > 5
    assert max(worst[form] for form in ("tapered", "second_order", "hybrid")) < 5
    assert math.isclose(angles.rho(64), 0.0532960, rel_tol=1e-5)
