"""Estimates with control variates in comparisons: columns, verdicts, slopes."""

import dataclasses

import numpy as np
import pytest

import deepinit as di
from deepinit.core.results import Prediction, heavy_tails
from deepinit.ensembles import controlled, statistics


def estimate_of(num_seeds=400, noise=0.1, width=1.0, share=1.0):
    """f = 1/n + (x + noise) / sqrt(n) at n = width, of which x is controlled."""
    x, rest = np.random.default_rng(int(width)).normal(size=(2, num_seeds, 1, 1))
    walk = x / np.sqrt(width)
    values, none = 1.0 / width + walk + noise * rest / np.sqrt(width), np.zeros(x.shape, int)
    plain = statistics.statistics(values, none, 1)
    part = controlled.controlled(
        plain, values, none, share * walk, walk**2 - 1.0 / width, np.full((1, 1), 1.0 / width)
    )
    settings = {"control": "theory"}
    return controlled.best(*controlled.estimates("q", part, ("dead",), settings=settings))


def prediction(mean, name="exact", variance=None):
    return Prediction("q", name, np.full((1, 1), mean), variance, "", "", "")


def test_a_comparison_has_the_plain_numbers_and_the_variance_saved():
    found = estimate_of()
    compared = di.compare(found, prediction(1.0))
    data = compared.dataset
    assert data["plain_mean"].item() == found.plain.mean.item()
    assert data["plain_standard_error"].item() == found.plain.standard_error.item()
    saved = data["variance_saved"].item()
    assert saved == found.variance_saved.item()
    assert 70 < saved < 140  # 101, to 10 %
    np.testing.assert_allclose(data["z"][0], (found.mean - 1.0) / found.standard_error)
    assert f"{saved:.3g}x" in str(compared)
    assert "variance saved" in str(compared)
    assert data.attrs["control"] == "theory"


def test_a_comparison_without_control_has_no_such_column():
    plain = estimate_of().plain
    compared = di.compare(plain, prediction(1.0))
    assert not {"plain_mean", "plain_standard_error", "variance_saved"} & set(compared.dataset)
    assert "variance saved" not in str(compared)


@pytest.mark.parametrize(("factor", "judged"), [(1.0, True), (30.0, False)])
def test_heavy_tailed_quantities_are_judged_by_the_controlled_error(factor, judged):
    """A difference of 8 controlled errors is less than one plain one.

    Where the plain variance is far below the predicted one, networks are unseen: not judged.
    """
    found = dataclasses.replace(estimate_of(), light_tailed="log_q")
    predicted = factor * found.plain.variance
    away = prediction((found.mean + 8 * found.standard_error).item(), variance=predicted)
    data = di.compare(found, away).dataset
    np.testing.assert_allclose(data["z"], -8.0)
    assert data["judged"].item() == judged


def test_heavy_tails_are_those_of_the_values_behind_the_mean():
    values = np.random.default_rng(0).exponential(size=(2000, 1, 1)) ** 4
    none, light = np.zeros(values.shape, int), np.random.default_rng(1).normal(size=values.shape)
    plain = statistics.statistics(values, none, 1)
    part = controlled.controlled(plain, values, none, values - light, 0 * values, np.zeros((1, 1)))
    estimates = [
        dataclasses.replace(each, heavy_tails=heavy_tails(each))
        for each in controlled.estimates("q", part, ("dead",))
    ]
    found = controlled.best(*estimates)
    assert [each.heavy_tails.item() for each in (*estimates, found)] == [True, False, False]
    assert heavy_tails(found, second_moment=True).item()  # of the plain variance


def test_slopes_in_the_inverse_width_have_the_controlled_errors():
    widths = (4, 8, 16)
    results = {
        n: (estimate_of(width=n), prediction(1 / n), prediction(0.0, "infinite_width"))
        for n in widths
    }
    plain = {n: (row[0].plain, *row[1:]) for n, row in results.items()}
    found, usual = (di.compare_widths(each, terms=1).dataset for each in (results, plain))
    error, usual_error = (data["slope_standard_error"].item() for data in (found, usual))
    assert error < 0.15 * usual_error
    assert abs(found["slope"].item() - 1.0) < 5 * error
    assert abs(found["slope"].item() - 1.5) > 5 * error
