import dataclasses

import numpy as np
import pytest
import scipy.stats

import deepinit as di
from deepinit.comparison.compare import threshold, verdict
from deepinit.core.errors import SpecError
from deepinit.core.result_views import shown_layers, with_error
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
    np.testing.assert_allclose(data["z"].sel(theory="true").values[0, 0], z, rtol=1e-12)
    np.testing.assert_allclose(
        data["p_value"].sel(theory="true").values[0, 0],
        2 * scipy.stats.t.sf(abs(z), 3999),
        rtol=1e-12,
    )
    assert np.all(np.abs(data["z"].sel(theory="true")) < 5)
    assert np.all(np.abs(data["z"].sel(theory="off")) > 5)
    assert np.all(data["closest"] == "true")
    resolved = scipy.stats.t.isf(scipy.stats.norm.sf(5), 3999) * data["standard_error"]
    np.testing.assert_allclose(data["effect_resolved"], resolved, rtol=1e-12)
    assert np.all(np.abs(data["variance_z"].sel(theory="true")) < 5)
    assert np.isnan(data["variance_z"].sel(theory="off")).all()
    # for a normal sample the standard error of the variance is sqrt(2/n) sigma^2
    np.testing.assert_allclose(data["variance_standard_error"], np.sqrt(2 / 4000) * 9.0, rtol=0.1)


def test_the_threshold_is_the_quantile_of_students_t():
    """At the two-sided probability of 5 standard deviations; 5 for many networks."""
    quantile = scipy.stats.t.isf(scipy.stats.norm.sf(5.0), np.array([1, 2, 99, 999]))
    np.testing.assert_allclose(threshold([2, 3, 100, 1000]), quantile, rtol=1e-9)
    np.testing.assert_allclose(threshold([100, 1000]), [5.348, 5.033], atol=5e-4)
    assert threshold(np.inf) == pytest.approx(5.0, rel=1e-12)
    assert verdict(5.2) == verdict([5.2, 1.0], [1000, 1000]) == "rejected"
    assert verdict(5.2, 100) == verdict([5.2, np.nan], [100, np.nan]) == "agrees"
    assert verdict([5.2, 5.2], [100, 1000]) == "rejected"


@pytest.mark.exhaustive_cases("2-0.1")
@pytest.mark.slow_cases("3-0.02")
@pytest.mark.parametrize(("num_seeds", "beyond"), [(2, 0.1), (3, 0.02), (5, 0.002)])
@pytest.mark.slow_cases("2-0.1", "5-0.002")
def test_few_networks_reject_no_exact_mean_and_many_reject_a_wrong_one(num_seeds, beyond):
    """Gaussian values have exact Student z: p-values are uniform, 5 is exceeded far too often."""
    draws = np.random.default_rng(1).normal(size=(num_seeds, 1, 20_000))
    data = di.compare(estimated(draws), predicted("exact", np.zeros((1, 20_000)))).dataset
    z = data["z"].values[0]
    assert np.mean(np.abs(z) >= 5) > beyond
    assert verdict(z, data["num_used"].values) == "agrees"
    assert scipy.stats.kstest(data["p_value"].values.ravel(), "uniform").pvalue > 1e-6
    sure = di.compare(estimated(draws), predicted("off", np.full((1, 20_000), 1e9))).dataset
    assert verdict(sure["z"].values[0], sure["num_used"].values) == "rejected"


@pytest.mark.slow
@pytest.mark.parametrize("num_seeds", [2, 3])
def test_an_exact_theory_is_rejected_by_no_two_or_three_networks(num_seeds):
    """Of 60 ensembles a fixed 5 rejects 17 at 2 networks and 8 at 3."""
    spec, inputs, Q = di.MLP((32,) * 4, di.linear), di.inputs.ones(8), di.quantities.log_norm
    exact = di.predict(spec, Q, inputs, "exact")
    samples = di.simulate(spec, Q, inputs, num_seeds=60 * num_seeds, keep_samples=True).samples
    verdicts, beyond = [], 0
    for draws in np.split(samples, 60):
        data = di.compare(estimated(draws), dataclasses.replace(exact, quantity="thing")).dataset
        verdicts.append(verdict(data["z"].values, data["num_used"].values))
        beyond += bool(np.any(np.abs(data["z"]) >= 5))
    assert {*verdicts} == {"agrees"}
    assert beyond > (10, 4)[num_seeds - 2]


def test_one_network_has_no_error_bar_and_a_constant_is_right_or_cannot_be_judged():
    one = di.compare(estimated(np.array([[[1.0]]])), predicted("a", [[1.0]])).dataset
    assert np.isnan(one["standard_error"]).all()
    assert np.isnan(one["z"]).all()
    constant = di.compare(
        estimated(np.ones((5, 1, 1))), predicted("same", [[1.0]]), predicted("other", [[1.1]])
    ).dataset
    assert constant["z"].sel(theory="same").item() == 0.0
    assert np.isnan(constant["z"].sel(theory="other").item())


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
    with pytest.raises(SpecError, match="against thing"):
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
