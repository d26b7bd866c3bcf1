import numpy as np
import pytest
import scipy.stats

import deepinit as di
from deepinit.comparison.compare import shown_layers, with_error
from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.ensembles import statistics


def estimated(values, events=None):
    events = np.zeros(values.shape, int) if events is None else events
    return statistics.estimate(
        "thing", statistics.statistics(values, events, 2), ("dead", "not_finite")
    )


def predicted(name, value, variance=None):
    return Prediction("thing", name, np.asarray(value, float), variance, "O(1)", "always", "here")


@pytest.fixture
def draws():
    return np.random.default_rng(0).normal(2.0, 3.0, size=(4000, 2, 1))


def test_scores_are_those_of_the_textbook(draws):
    data = di.compare(
        estimated(draws),
        predicted("true", [[2.0], [2.0]], np.full((2, 1), 9.0)),
        predicted("off", [[2.5], [2.5]]),
    ).dataset
    values = draws[:, 0, 0]
    z = (values.mean() - 2.0) / (values.std(ddof=1) / np.sqrt(4000))
    np.testing.assert_allclose(data["z"].sel(route="true").values[0, 0], z, rtol=1e-12)
    np.testing.assert_allclose(
        data["p_value"].sel(route="true").values[0, 0], 2 * scipy.stats.norm.sf(abs(z)), rtol=1e-12
    )
    assert np.all(np.abs(data["z"].sel(route="true")) < 5)
    assert np.all(np.abs(data["z"].sel(route="off")) > 5)
    assert np.all(data["closest"] == "true")
    np.testing.assert_allclose(data["effect_resolved"], 5 * data["standard_error"])
    assert np.all(np.abs(data["variance_z"].sel(route="true")) < 5)
    assert np.isnan(data["variance_z"].sel(route="off")).all()
    # for a normal sample the standard error of the variance is sqrt(2/n) sigma^2
    np.testing.assert_allclose(data["variance_standard_error"], np.sqrt(2 / 4000) * 9.0, rtol=0.1)


def test_one_network_has_no_error_bar_and_a_constant_is_right_or_cannot_be_judged():
    one = di.compare(estimated(np.array([[[1.0]]])), predicted("a", [[1.0]])).dataset
    assert np.isnan(one["standard_error"]).all()
    assert np.isnan(one["z"]).all()
    constant = di.compare(
        estimated(np.ones((5, 1, 1))), predicted("same", [[1.0]]), predicted("other", [[1.1]])
    ).dataset
    assert constant["z"].sel(route="same").item() == 0.0
    assert np.isnan(constant["z"].sel(route="other").item())


def test_excluded_networks_are_counted_and_left_out():
    values = np.array([1.0, 2.0, 3.0, np.nan, 100.0]).reshape(5, 1, 1)
    events = np.array([0, 0, 0, 0, 1]).reshape(5, 1, 1)
    estimate = estimated(values, events)
    assert estimate.mean[0, 0] == 2.0
    assert estimate.num_excluded[0, 0] == 2
    assert estimate.events["dead"][0, 0] == 1
    assert estimate.events["not_finite"][0, 0] == 1
    assert di.compare(estimate, predicted("a", [[2.0]])).dataset["num_used"].values[0, 0] == 3


def test_mismatches_are_refused(draws):
    estimate = estimated(draws)
    with pytest.raises(SpecError, match="no prediction"):
        di.compare(estimate)
    with pytest.raises(SpecError, match=r"\(1, 1\) by short against"):
        di.compare(estimate, predicted("short", [[1.0]]))
    other = Prediction("other", "a", np.ones((2, 1)), None, "", "", "")
    with pytest.raises(SpecError, match="measured thing"):
        di.compare(estimate, other)


def test_the_table_has_a_row_per_layer(draws):
    text = str(di.compare(estimated(draws), predicted("true", [[2.0], [2.0]])))
    assert "4000 networks" in text
    rows = [line for line in text.splitlines() if "+-" in line]
    assert len(rows) == 2


def test_formatting():
    assert with_error(-4.63604, 0.00093) == "-4.63604 +- 0.00093"
    assert with_error(-4.63604, 0.0123) == "-4.636 +- 0.012"
    assert with_error(1.0, float("nan")) == "1"
    assert shown_layers(5, 10) == [0, 1, 2, 3, 4]
    spread = shown_layers(1000, 10)
    assert spread[0] == 0
    assert spread[-1] == 999
    assert len(spread) <= 10
