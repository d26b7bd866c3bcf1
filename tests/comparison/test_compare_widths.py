"""Finite minus infinite against 1/width, and covariances over networks."""

import dataclasses

import numpy as np
import pytest

import deepinit as di
from deepinit.comparison.widths import beyond_truncation, fit_widths
from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction, heavy_tails
from deepinit.ensembles import statistics

_ERROR = "slope_standard_error"


def estimated(values, quantity="thing"):
    values = values[:, None, None]
    return statistics.estimate(
        quantity, statistics.statistics(values, np.zeros(values.shape, int), 1), ("dead",)
    )


def predicted(name, value, variance=0.0):
    return Prediction(
        "thing", name, np.array([[value]]), np.array([[variance]]), "O(1)", "always", "here"
    )


def made(slope, curvature, rng, num=20_000):
    """Means 1 + slope/n + curvature/n^2, variances 4/n."""
    return {
        n: (
            estimated(1 + slope / n + curvature / n**2 + 2 / np.sqrt(n) * rng.normal(size=num)),
            predicted("first_order", 1 + slope / n, 4 / n),
            predicted("infinite_width", 1.0),
        )
        for n in (4, 8, 16, 32)
    }


def test_the_fit_is_exact_where_the_data_are():
    n = np.array([2.0, 5.0, 11.0])
    fit = fit_widths(n, 3 / n - 2 / n**2, np.full(3, 0.1), 2)
    np.testing.assert_allclose(fit.coefficients, [3, -2], rtol=1e-12)
    assert fit.chi_square == pytest.approx(0, abs=1e-20)
    design = (1 / n[:, None] ** np.arange(1, 3)) / 0.1
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(design.T @ design), rtol=1e-9)


def test_slopes_are_found_with_their_error_bars_and_a_wrong_slope_is_rejected():
    rng, scores = np.random.default_rng(0), []
    for _ in range(40):
        data = di.compare_widths(made(3.0, 5.0, rng, 2000)).dataset
        scores.append(float(data["slope_z"].sel(theory="first_order").item()))
        assert data["chi_square"].item() < 30  # 2 degrees of freedom
    assert np.abs(scores).max() < 5
    assert 0.7 < np.std(scores) < 1.3
    found = di.compare_widths(made(3.0, 5.0, rng))
    assert abs(found.dataset["slope_z"].sel(theory="infinite_width").item()) > 5
    text = str(found)
    assert "width x (finite - infinite width)" in text
    assert "n = 32" in text


def test_one_term_is_biased_by_the_curvature_that_two_terms_take_up():
    results = made(3.0, 40.0, np.random.default_rng(1))
    one, two = (di.compare_widths(results, terms=terms).dataset for terms in (1, 2))
    assert one["slope_z"].sel(theory="first_order").item() > 5
    assert one["chi_square"].item() > 30
    assert abs(two["slope_z"].sel(theory="first_order").item()) < 5
    assert two["chi_square"].item() < 20


def test_truncation_is_the_change_of_the_slope_without_the_narrowest_width():
    results = made(3.0, 40.0, np.random.default_rng(2))
    whole = di.compare_widths(results, terms=1).dataset
    wider = di.compare_widths({n: results[n] for n in (8, 16, 32)}, terms=1).dataset
    for theory in ("first_order", "infinite_width"):
        change = (wider["slope"] - whole["slope"]).item()
        assert whole["truncation"].sel(theory=theory).item() == pytest.approx(abs(change))
        left = abs(whole["slope_z"].sel(theory=theory)) - abs(change) / whole[_ERROR]
        assert beyond_truncation(whole, theory).item() == pytest.approx(left.item())
    assert 0.7 < change / (40.0 * (0.094 - 0.177)) < 1.3  # weights 1/n
    exact = di.compare_widths(results, terms=4).dataset
    assert np.isnan(exact["truncation"]).all()
    found = beyond_truncation(exact, "first_order").item()
    assert found == pytest.approx(abs(exact["slope_z"].sel(theory="first_order").item()))


def test_variances_have_slopes_too():
    data = di.compare_widths(made(1.0, 0.0, np.random.default_rng(2)), statistic="variance").dataset
    assert data["slope"].item() == pytest.approx(4.0, rel=0.05)
    assert data["predicted_slope"].sel(theory="first_order").item() == pytest.approx(4.0)


def test_bad_results_are_refused():
    results = made(1.0, 0.0, np.random.default_rng(3), 10)
    with pytest.raises(SpecError, match="4 widths for 5 powers"):
        di.compare_widths(results, terms=5)
    with pytest.raises(SpecError, match="statistic='median'"):
        di.compare_widths(results, statistic="median")
    with pytest.raises(SpecError, match="terms=0"):
        di.compare_widths(results, terms=0)
    with pytest.raises(SpecError, match="the one of infinite width"):
        di.compare_widths({4: results[4][:2], 8: results[8]})
    with pytest.raises(SpecError, match="at some widths only"):
        di.compare_widths({4: results[4], 8: results[8][::2]})
    with pytest.raises(SpecError, match="names that differ"):
        di.compare_widths({4: (*results[4], results[4][1]), 8: results[8]})
    with pytest.raises(SpecError, match="positive numbers"):
        di.compare_widths({-4: results[4], 8: results[8]})
    other = dataclasses.replace(results[4][1], quantity="other")
    with pytest.raises(SpecError, match="differ in width alone"):
        di.compare_widths({4: (results[4][0], other, results[4][2]), 8: results[8]})
    silent = dataclasses.replace(results[4][1], variance=None)
    with pytest.raises(SpecError, match="without a variance"):
        di.compare_widths(
            {4: (results[4][0], silent, results[4][2]), 8: results[8]}, statistic="variance"
        )


@pytest.mark.exhaustive
def test_the_slope_of_real_networks_is_that_of_theory():
    q, x = di.quantities.nngp, di.inputs.points([[1.0]])
    results = {}
    for width in (8, 16, 32, 64):
        spec = di.MLP((width,) * 3, "tanh", di.normal(1.5))
        results[width] = (
            di.simulate(spec, q, x, num_seeds=20_000, key=width),
            di.predict(spec, q, x, "first_order"),
            di.infinite(spec, q, x),
        )
    data = di.compare_widths(results).dataset
    assert np.abs(data["slope_z"].sel(theory="first_order").values[1:]).max() < 5
    assert np.abs(data["slope_z"].sel(theory="infinite_width").values[1:]).max() > 5
    variance = di.compare_widths(results, statistic="variance").dataset
    assert np.abs(variance["slope_z"].sel(theory="first_order").values).max() < 5


@pytest.mark.exhaustive
def test_covariances_of_linear_networks_and_of_two_quantities_are_exact():
    from deepinit.theory.kernel_corrections import linear_kernel_second_moments

    spec = di.MLP((8, 6), "linear", di.normal(1.0), output_width=1)
    x = di.inputs.points([[1.0, 0.2], [0.1, 0.9]])
    sim = di.simulate(spec, di.quantities.nngp, x, num_seeds=20_000, keep_samples=True)
    found = di.covariance(sim)
    assert found.value.shape == (2, 3, 3)
    np.testing.assert_allclose(np.diagonal(found.value[1]), sim.variance[1], rtol=1e-5)
    gram = x.points @ x.points.T / 2
    moments = linear_kernel_second_moments(gram, (8, 6), 1.0)
    rows, columns = np.triu_indices(2)
    exact = moments[rows, columns][:, rows, columns] - np.outer(
        gram[rows, columns], gram[rows, columns]
    )
    z = (found.value[1] - exact) / found.standard_error[1]
    assert np.abs(z).max() < 5
    first = (exact - np.diag(np.diag(exact))) / found.standard_error[
        1
    ]  # entries that are independent: rejected
    assert np.abs(first).max() > 20
    tangent = di.simulate(spec, di.quantities.ntk, x, num_seeds=20_000, keep_samples=True)
    both = di.covariance(sim, tangent)
    assert both.value.shape == (1, 3, 3)
    assert (
        both.value[0, 0, 0] / both.standard_error[0, 0, 0] > 20
    )  # the same networks: strongly dependent
    with pytest.raises(SpecError, match="keep_samples=True"):
        di.covariance(di.simulate(spec, di.quantities.nngp, x, num_seeds=10))
    with pytest.raises(SpecError, match="two quantities of the same networks"):
        di.covariance(
            sim, di.simulate(spec, di.quantities.nngp, x, num_seeds=10, keep_samples=True)
        )


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (None, "mapping of widths"),
        (("a", "b", "c"), "mapping of widths"),
        ({"8": (), "16": ()}, "positive numbers"),
        ({None: (), 16: ()}, "positive numbers"),
        ({True: (), 16: ()}, "positive numbers"),
        ({8: None, 16: ()}, "a tuple for each width"),
    ],
)
def test_results_of_another_kind_are_refused(results, words):
    with pytest.raises(SpecError, match=words):
        di.compare_widths(results)


@pytest.mark.parametrize("pairs", ["a", ("a", "b"), (1,), [["a"]], 3])
def test_labels_of_pairs_are_as_many_words_as_there_are_pairs(pairs):
    results = made(1.0, 0.0, np.random.default_rng(3), 10)
    with pytest.raises(SpecError, match="1 words"):
        di.compare_widths(results, components=pairs)
    assert di.compare_widths(results, components=("first",)).dataset["component"].values == [
        "first"
    ]


@pytest.mark.parametrize("bad", [None, "simulation", 3.0])
def test_covariances_of_something_else_are_refused(bad):
    with pytest.raises(SpecError, match="Estimates"):
        di.covariance(bad, bad)


@pytest.mark.parametrize("statistic", ["mean", "variance"])
def test_slopes_of_heavy_tails_are_not_judged(statistic):
    rng = np.random.default_rng(0)

    def results(sigma, light_tailed):
        rows = {}
        for n in (4, 8, 16):
            found = estimated(rng.lognormal(-(sigma**2) / 2, sigma, 2000))
            found = dataclasses.replace(
                found, light_tailed=light_tailed, heavy_tails=heavy_tails(found)
            )
            rows[n] = found, predicted("infinite_width", 1.0)
        return di.compare_widths(rows, terms=1, statistic=statistic)

    heavy, light, untold = results(4.0, "log_norm"), results(0.1, "log_norm"), results(4.0, None)
    assert not heavy.dataset["judged"].item()
    assert "not judged" in str(heavy)
    for other in (light, untold):
        assert other.dataset["judged"].item()
        assert "not judged" not in str(other)
