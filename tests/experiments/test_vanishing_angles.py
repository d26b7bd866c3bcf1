"""vanishing_angles through the real command: the smoke preset, every case of full in small."""

import numpy as np
import pytest
from experiment_runs import assert_refused, measured, run, tables_of

from deepinit import store
from deepinit.theory import angles
from experiments.vanishing_angles import slopes

EXPERIMENT = "vanishing_angles"


@pytest.mark.exhaustive
def test_smoke_prints_tables_that_reject_the_papers_correction(tmp_path, capsys):
    out = tmp_path / "smoke"
    code, printed = run(capsys, EXPERIMENT, "--out", out)
    assert code == 0
    assert printed.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert "relu-w64" in printed
    assert "Theories by width" in printed
    report = (out / "report.html").read_text()
    assert "jakub2024depth" in report
    assert len(list((out / "figures").iterdir())) == 7
    data = store.read_result(out)
    z = abs(data["z"].sel(case="relu-w64"))
    assert float(z.sel(theory="second_order").max()) < 5
    assert float(z.sel(theory="paper").max()) > 5
    assert float(z.sel(theory="infinite_width").max()) > 5

    tables = tables_of(capsys, EXPERIMENT, out)  # of the finished run
    rows = {row["width"]: row for row in tables["Theories by width"]}
    assert list(rows) == [16, 64, 256]
    row = rows[64]
    for theory in ("tapered", "hybrid", "second_order"):
        assert row[f"z {theory}"] < 5
    assert row["z first_order"] > 5  # O(1 / width^2), which control variates resolve
    for theory in ("paper", "infinite_width"):
        assert 5 < row[f"z {theory}"] == pytest.approx(float(z.sel(theory=theory).max()))
    assert row["paper: rho(n)"] == pytest.approx(angles.rho(64))
    exact = -angles.small_angle_log_sin2_moments(64).mean
    assert row["decrease, exact"] == pytest.approx(exact)
    assert 2 / 64 < exact < row["paper: rho(n)"]
    (slope,) = tables["Slopes of the mean of ln sin^2 in 1/width"]
    assert max(slope["z second_order"], slope["z tapered"]) < 5 < slope["z of slope 0"]
    value, error = measured(slope["slope measured"])
    assert abs(value - slope["slope first_order"]) < 5 * error < 0.02 * abs(value)
    wide = data.sel(case="relu-w256")
    assert np.nanmin(wide["plain_standard_error"] / wide["standard_error"]) > 30
    distances = tables["Kolmogorov-Smirnov distances at width 64"]
    assert [row["layer"] for row in distances] == [1, 16]
    for row in distances:
        assert row["second_order"] < row["paper"] < 1.0
        assert row["second_order"] < 1.95 / row["networks"] ** 0.5 + 0.01


@pytest.mark.slow
@pytest.mark.exhaustive
def test_every_case_of_full_runs_in_small(tmp_path, capsys):
    small = (
        "--preset full --config.num-seeds 400 --config.depth 3 --config.widths 16 64 "
        "--config.histogram-width 64 --config.activation-width 32 --config.unequal 64-32-64 "
        "--config.activations leaky_relu gelu --config.histogram-layers 1 3 "
        "--config.image-pairs 2"
    )
    out = tmp_path / "full"
    tables = tables_of(capsys, EXPERIMENT, out, *small.split())
    data = store.read_result(out)
    cases = "relu-w16 relu-w64 relu-64-32-64 leaky_relu gelu images"
    assert list(data["case"].values) == cases.split()
    assert data.sizes["component"] == 4
    assert len(list((out / "figures").iterdir())) >= 9
    layers = [row["layer"] for row in tables["Kolmogorov-Smirnov distances at width 64"]]
    assert layers == [1, 3]


def test_a_slope_off_by_more_than_its_error_does_not_hold():
    import xarray

    places = "theory", "layer", "component"

    def check(z, judged=True):
        data = {
            "slope_z": (places, np.array([z, [[900.0], [700.0]]])),
            "truncation": (places, np.full((2, 2, 1), np.nan)),
            "slope_standard_error": (places[1:], np.ones((2, 1))),
            "judged": (("layer", "component"), [[True], [judged]]),
        }
        theories = {"theory": ["second_order", "infinite_width"]}
        return slopes.slope_check(xarray.Dataset(data, coords=theories), "second_order")

    assert check([[1.0], [-4.9]]).held
    assert "infinite width: 900" in check([[1.0], [-4.9]]).sentence
    assert "NOT SO" in check([[1.0], [-5.1]]).sentence
    assert not check([[1.0], [np.nan]]).held
    assert not check([[1.0], [1.0]], judged=False).held


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--config.widths", "16", "16"), "two cases called relu-w16"),
        (("--config.activations", "tanh", "tanh"), "two cases called tanh"),
        (("--config.unequal", "64x32"), "the widths '64x32'"),
        (("--config.depth", "0"), "no layers"),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, text, capsys):
    assert_refused(capsys, EXPERIMENT, option, text)
