"""Verdicts in words: what is not judged has neither held nor failed silently."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray

import deepinit as di
from deepinit.comparison.compare import judged_z, largest_z, verdict, worst_of
from deepinit.core.results import Prediction
from deepinit.ensembles import statistics
from deepinit.outcome import headline, judge

sys.path.append(str(Path(__file__).parents[2] / "experiments"))


def _result(z, judged, *, checked=("exact",), predicted=None):
    """A case of one route with these z [layers, entries]."""
    z = np.asarray(z, float)[None]
    entry, route = ("layer", "pair"), ("route", "layer", "pair")
    shape = z.shape[1:]
    data = xarray.Dataset(
        {
            **{name: (entry, np.ones(shape)) for name in ("mean", "standard_error", "effect_resolved")},
            "z": (route, z),
            "judged": (route, np.asarray(judged, bool)[None]),
            "predicted": (route, np.ones(z.shape) if predicted is None else predicted[None]),
        },
        coords={"route": ["exact"], "layer": np.arange(1, shape[0] + 1), "pair": np.arange(shape[1]).astype(str)},
        attrs={"num_seeds": 100, "light_tailed": "log_norm"},
    )
    case = SimpleNamespace(name="deep", checked=checked, rejected=())
    return SimpleNamespace(case=case, dataset=data, estimate=SimpleNamespace(num_seeds=100))


def test_a_check_that_is_judged_in_part_is_not_passed():
    sentence, failures = judge(_result([[1.0], [900.0]], [[True], [False]]))
    assert len(failures) == 1
    assert "agree everywhere, and does where it is judged, but 1 of 2 entries cannot be judged" in failures[0]
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
        ([[1.0, 0.5], [2.0, 1.0]], "at every layer and entry)"),
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
    nan = float("nan")
    assert [verdict(worst_of(z)) for z in ([1.0, 2.0], [1.0, nan], [9.0, nan], [nan])] == [
        "agrees", "not judged", "rejected", "not judged",
    ]  # fmt: skip


def test_experiments_do_not_count_what_is_not_judged_as_held():
    import expected_length_words as words

    none = _result([[3.0], [900.0]], [[False], [False]])
    assert np.isnan(words.largest_z(none, "exact"))
    assert words._IN_WORDS[verdict(words.largest_z(none, "exact"))] == "not judged against"


def test_tables_show_not_judged():
    values = np.random.default_rng(0).lognormal(sigma=4.0, size=(200, 1, 1))
    from dataclasses import replace

    from deepinit.quantities.tails import heavy_tails

    found = statistics.estimate("nngp", statistics.statistics(values, np.zeros(values.shape, int), 1), ("not_finite",))
    found = replace(found, light_tailed="log_norm", heavy_tails=heavy_tails(found))
    shown = str(di.compare(found, Prediction("nngp", "exact", np.full((1, 1), np.exp(8.0)), None, "", "", "")))
    assert "not judged" in shown
