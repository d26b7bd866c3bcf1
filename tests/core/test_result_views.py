"""Results in notebooks, data frames and Datasets."""

import dataclasses
import sys

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import ResourceError, SpecError

NET, POINTS = di.MLP(widths=(16,) * 3), di.inputs.points(np.eye(4)[:2])


@pytest.fixture(scope="module")
def estimate():
    return di.simulate(NET, di.quantities.log_norm, POINTS, num_seeds=50, keep_samples=True)


@pytest.fixture(scope="module")
def prediction():
    return di.predict(NET, di.quantities.log_norm, POINTS)


def test_results_are_one_line(estimate, prediction):
    for result in (estimate, prediction, di.compare(estimate, prediction)):
        assert "\n" not in repr(result)
        assert "log_norm" in repr(result)
    assert repr(estimate).startswith("Estimate(log_norm, 3 layers x 2, 50 networks, last ")
    assert "by exact" in repr(prediction)


def test_the_line_has_the_last_finite_value(estimate):
    mean = estimate.mean.copy()
    mean[-1] = np.nan
    line = repr(dataclasses.replace(estimate, mean=mean))
    assert f"last finite {mean[1, 0]:.2f}"[:-1] in line
    mean[:] = np.nan
    assert "no finite value" in repr(dataclasses.replace(estimate, mean=mean))


def test_notebooks_show_tables(estimate, prediction):
    for result in (estimate, prediction, di.compare(estimate, prediction)):
        html = result._repr_html_()
        assert "<table" in html
        assert "array(" not in html
        assert html.count("<tr>") >= 4  # a head and three layers
    assert f"{estimate.mean[2, 0]:.3f}" in estimate._repr_html_().replace("−", "-")


def test_data_frames_are_tidy_and_hold_every_statistic(estimate, prediction):
    frame = estimate.to_dataframe()
    assert len(frame) == 6
    row = frame[(frame.layer == 2) & (frame.component == frame.component.iloc[1])].iloc[0]
    assert row["mean"] == estimate.mean[1, 1]
    assert row["q0.05"] == estimate.quantiles[1, 1, 1]
    assert prediction.to_dataframe()["mean"].tolist() == prediction.mean.ravel().tolist()
    both = di.compare(estimate, prediction).to_dataframe()
    assert {"theory", "layer", "z", "predicted", "mean"} <= set(both.columns)
    assert len(both) == 6


def test_datasets_have_named_dims(estimate, prediction):
    data = estimate.to_xarray()
    assert data["samples"].dims == ("seed", "layer", "component")
    np.testing.assert_array_equal(data["mean"].sel(layer=3), estimate.mean[2])
    assert prediction.to_xarray().attrs["name"] == "exact"


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_samples_become_draws_of_arviz(estimate):
    pytest.importorskip("arviz")
    draws = estimate.to_arviz()["posterior"]["log_norm"]
    assert draws.dims == ("chain", "draw", "layer", "component")
    np.testing.assert_array_equal(draws.values[0], estimate.samples)


def test_what_arviz_needs_is_asked_for(estimate, monkeypatch):
    with pytest.raises(SpecError, match="keep_samples=True"):
        dataclasses.replace(estimate, samples=None).to_arviz()
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ResourceError, match=r"pip install 'deepinit\[arviz\]'"):
        estimate.to_arviz()


def test_deep_networks_show_a_spread_of_layers():
    deep = di.predict(di.MLP(widths=(16,) * 300), di.quantities.log_norm, di.inputs.ones(4))
    html = deep._repr_html_()
    assert html.count("<tr>") < 30
    assert ">300<" in html
