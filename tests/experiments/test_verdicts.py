"""Verdicts: entries that are not judged neither hold nor fail silently."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray

import deepinit as di
from deepinit.comparison.compare import judged_z, largest_z, verdict
from deepinit.core.results import Prediction
from deepinit.ensembles import statistics
from deepinit.runs.verdicts import headline, judge


def _result(z, judged, *, checked=("exact",), predicted=None):
    """A case of one route with these z [layers, entries]."""
    z = np.asarray(z, float)[None]
    entry, route = ("layer", "component"), ("theory", "layer", "component")
    shape = z.shape[1:]
    data = xarray.Dataset(
        {
            **{
                name: (entry, np.ones(shape))
                for name in ("mean", "standard_error", "effect_resolved")
            },
            "num_used": (entry, np.full(shape, 100)),
            "z": (route, z),
            "judged": (route, np.asarray(judged, bool)[None]),
            "predicted": (route, np.ones(z.shape) if predicted is None else predicted[None]),
        },
        coords={
            "theory": ["exact"],
            "layer": np.arange(1, shape[0] + 1),
            "component": np.arange(shape[1]).astype(str),
        },
        attrs={"num_seeds": 100, "light_tailed": "log_norm"},
    )
    case = SimpleNamespace(name="deep", checked=checked, rejected=())
    return SimpleNamespace(case=case, dataset=data, estimate=SimpleNamespace(num_seeds=100))


def test_a_check_that_is_judged_in_part_is_not_passed():
    sentence, failures = judge(_result([[1.0], [900.0]], [[True], [False]]))
    assert len(failures) == 1
    assert (
        "agree everywhere, and does where it is judged, but 1 of 2 entries cannot be judged"
        in failures[0]
    )
    assert "compare log_norm" in failures[0]
    assert "rejected" not in sentence
    _, failures = judge(_result([[7.0], [900.0]], [[True], [False]]))
    assert len(failures) == 1
    assert "largest deviation" in failures[0]
    assert judge(_result([[1.0], [2.0]], [[True], [True]]))[1] == []
    assert judge(_result([[1.0], [900.0]], [[True], [False]], checked=()))[1] == []


@pytest.mark.parametrize(
    ("z", "words"),
    [
        ([[1.0], [2.0]], "at every layer)"),
        ([[1.0, 0.5], [2.0, 1.0]], "at every layer and component)"),
        ([[1.0, 0.5], [2.0, np.nan]], "in 3 of 4 places: the others have no standard error)"),
    ],
)
def test_the_headline_claims_what_was_judged(z, words):
    assert headline([], [_result(z, np.isfinite(z))]).endswith(words + ".")


def test_largest_z_and_its_verdict():
    data = _result([[3.0], [900.0]], [[True], [False]]).dataset
    assert largest_z(judged_z(data, "exact")) == 3.0
    none = _result([[3.0], [900.0]], [[False], [False]]).dataset
    assert verdict(largest_z(judged_z(none, "exact"))) == "not judged"


def test_experiments_do_not_count_what_is_not_judged_as_held():
    from experiments.expected_length.tables import scores

    z, found = scores(_result([[3.0], [900.0]], [[False], [False]]), "exact")
    assert np.isnan(z)
    assert found == "not judged"


def test_tables_show_not_judged():
    values = np.random.default_rng(0).lognormal(sigma=4.0, size=(200, 1, 1))
    from dataclasses import replace

    from deepinit.core.results import heavy_tails

    found = statistics.estimate(
        "nngp", statistics.statistics(values, np.zeros(values.shape, int), 1), ("not_finite",)
    )
    found = replace(found, light_tailed="log_norm", heavy_tails=heavy_tails(found))
    shown = str(
        di.compare(
            found, Prediction("nngp", "exact", np.full((1, 1), np.exp(8.0)), None, "", "", "")
        )
    )
    assert "not judged" in shown


def _products(width, depth, shape, seed=0):
    """Second moments of linear networks of mean 1, exactly: products of chi-squares over width."""
    rng = np.random.default_rng(seed)
    return np.prod([rng.chisquare(width, shape) / width for _ in range(depth)], axis=0)


def _estimate(values, quantity):
    from deepinit.quantities.routes import finished_estimate

    merged = statistics.statistics(values, np.zeros(values.shape, int), len(quantity.events))
    spec, inputs = (
        di.MLP((4,) * values.shape[1], "linear", di.normal(1.0)),
        di.inputs.points(np.eye(values.shape[2], 3)),
    )
    return finished_estimate(spec, quantity, inputs, merged, None, {})


def _judged_z(values, quantity, predicted):
    """z where judged, of ensembles side by side [networks, 1, ensembles]."""
    estimate = _estimate(values, quantity)
    prediction = Prediction(
        quantity.name, "exact", np.full(estimate.mean.shape, predicted), None, "", "", ""
    )
    return judged_z(
        di.compare(
            estimate, prediction, components=tuple(map(str, range(values.shape[2])))
        ).dataset,
        "exact",
    )


@pytest.mark.parametrize(("width", "depth", "num"), [(4, 4, 100), (4, 8, 1000), (16, 16, 1000)])
def test_a3_no_exact_mean_is_rejected_by_its_own_sample(width, depth, num):
    """400 ensembles without a predicted variance: the sample's skewness alone tells."""
    z = _judged_z(_products(width, depth, (num, 1, 400)), di.quantities.length_distortion, 1.0)
    assert not (np.abs(z) >= 5).any()


def test_a3_exact_kurtoses_are_judged_where_tails_are_light_and_others_rejected():
    """Width 16, one layer: 3 Var q = 6 / 16; most ensembles of 4000 reject twice as much.

    100 networks judge nothing.
    """
    kurtosis = di.quantities.output_kurtosis
    z = _judged_z(_products(16, 1, (4000, 1, 200)), kurtosis, 6 / 16)
    assert np.isfinite(z).mean() > 0.9
    assert not (np.abs(z) >= 5).any()
    rival = _judged_z(_products(16, 1, (4000, 1, 200)), kurtosis, 12 / 16)
    assert (np.abs(rival) >= 5).mean() > 0.9
    assert np.isnan(
        _judged_z(_products(16, 4, (100, 1, 200)), kurtosis, 3 * ((1 + 2 / 16) ** 4 - 1))
    ).all()


@pytest.mark.exhaustive
def test_r01_losses_of_scaled_targets_have_the_same_z():
    """One hidden layer: the loss of infinite width is exact at step 0; scaling changes no z."""
    x, found = np.linspace(-1, 1, 4)[:, None], {}
    for scale in (1.0, 2.0**-13):
        net = di.MLP((32,), di.tanh, output_width=1, output_law=di.normal(scale**2))
        training = di.TrainingConfig(di.targets.examples(x, scale * x), (0,), mode="gd", rate=0.01)
        measured = di.simulate(
            net, di.quantities.training_loss, training, num_seeds=400, progress=lambda *_: None
        )
        right = di.infinite(net, di.quantities.training_loss, training)
        wrong = Prediction("training_loss", "wrong", 1.5 * right.mean, None, "", "", "")
        found[scale] = di.compare(measured, right, wrong).dataset["z"].values[:, 0, 0]
    np.testing.assert_allclose(found[2.0**-13], found[1.0], rtol=1e-4, atol=1e-4)
    assert abs(found[1.0][0]) < 5
    assert found[1.0][1] < -5
