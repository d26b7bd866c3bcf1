"""cutoff through the real command, in small: cases, tables, refusals."""

import pytest
from experiment_runs import assert_plans, assert_refused, tables_of

from deepinit import store

EXPERIMENT = "cutoff"

SMALL = (
    "--config.widths 1 4 --config.relu-widths 1 --config.norm-widths 2 --config.phase-width 16 "
    "--config.num-paths 4000 --config.depth 14 --config.meshes 0.01 0.001 "
    "--config.relaxation-widths 16 --config.underflow-widths 16 --config.underflow-paths 100 "
    "--config.gains 1.0 --config.gain-width 4 --config.metastable-depth 60"
)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_reproduces_the_papers_curves(tmp_path, capsys):
    out = tmp_path / "small"
    tables = tables_of(capsys, EXPERIMENT, out, *SMALL.split())
    data = store.read_result(out)
    # the paper's first curve, read off its figure to 5e-4
    figure = [0.9990, 0.9914, 0.9631, 0.8960, 0.7797, 0.6233]
    figure += [0.4525, 0.2970, 0.1760, 0.0944, 0.0459, 0.0203]
    curve = data.sel(case="paper-tanh-w1", layer=slice(1, 12)).isel(component=0)
    assert (abs(curve["mean"] - figure) < 5 * curve["standard_error"] + 5e-4).all()
    assert (abs(curve["predicted"].sel(theory="exact") - figure) < 1e-3).all()

    t_mix = {row["curve"]: row["t_mix"] for row in tables["The paper's curves"]}
    assert t_mix == {"tanh-w1": 9, "tanh-w2": 11, "swish-w1": 7}
    assert all(row["t_mix"] == row["t_mix, paper's figure"] for row in tables["The paper's curves"])
    one, four = tables["The transition by width (truncate)"]
    assert (one["width"], one["orbit"]) == (1, None)
    assert four["half lost at layer"] == pytest.approx(9.7, abs=0.1)
    assert four["window / center"] < one["window / center"]
    coarse, fine = tables["The transition by precision, width 1, exact"]
    assert fine["window / center"] < coarse["window / center"]
    single, half = tables["Underflow"]
    assert (single["dtype"], half["dtype"]) == ("float32", "float16")
    assert single["orbit"] == pytest.approx(150.7, abs=0.05)
    assert single["short formula"] == pytest.approx(151.8, abs=0.05)
    assert single["formula, products underflow too"] == pytest.approx(150.6, abs=0.05)
    assert single["half lost at layer"] == pytest.approx(single["orbit"], rel=0.05)
    critical, metastable = tables["Around the critical gain, and metastability"]
    assert (critical["case"], critical["width"]) == ("gain-1", 4)
    assert (metastable["rounding"], metastable["gain"], metastable["layers"]) == (
        "nearest",
        1.15,
        60,
    )
    (ordered,) = tables["Ordered phase: decrease of ln sin^2 per layer"]
    assert ordered["first order in 1/width"] != ordered["infinite width, 1/xi_c"]
    length, overlap = tables["Relaxation: layer of total variation 1/2"]
    assert (length["gain"], overlap["gain"]) == (1.5, 2.5)
    assert overlap["measured"] == pytest.approx(overlap["mean-field map"], rel=0.3)
    assert "avelin2022deep" in (out / "report.html").read_text()


def test_presets_plan_every_case(capsys):
    assert_plans(capsys, EXPERIMENT, {"smoke": 26, "trainability": 24, "paper": 32, "full": 70})


@pytest.mark.slow
@pytest.mark.exhaustive
def test_training_succeeds_at_small_depth_and_fails_beyond_its_own(tmp_path, capsys):
    options = (
        "--preset trainability --config.trained-depths 4 10 --config.widths 4 "
        "--config.num-paths 200 --config.phase-width 8"
    )
    out = tmp_path / "trained"
    tables = tables_of(capsys, EXPERIMENT, out, *options.split())
    means = store.read_result(out)["mean"]
    accuracy = {
        name: float(means.sel(case=f"trained-{name}").max())
        for name in ("sgd-4", "sgd-10", "adam-10")
    }
    assert min(accuracy["sgd-4"], accuracy["adam-10"]) > 0.95
    assert accuracy["sgd-10"] < 0.7
    rows = tables["Training on two circles, width N = 32"]
    settings = [(row["optimizer"], row["depth"]) for row in rows if "3 N" in row["weight variance"]]
    assert settings == [("sgd", 4), ("sgd", 10), ("adam", 4), ("adam", 10)]


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--config.rho", "0"), "rho=0.0"),
        (("--config.roundings", "up"), "rounding='up'"),
        (("--config.widths", "4", "4"), "two cases called truncate-w4"),
        (("--config.norm-widths", "0"), "width"),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, text, capsys):
    assert_refused(capsys, EXPERIMENT, option, text)
