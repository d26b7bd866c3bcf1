"""finite_width through the real command: slopes, tables, refusals."""

import pytest
from experiment_runs import assert_plans, assert_refused, measured, tables_of

EXPERIMENT = "finite_width"
SMALL = "--config.networks relu --config.widths 32 64 128 --config.depth 2 --config.num-seeds 2000"


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_measures_the_slope_of_order_one(tmp_path, capsys):
    out = tmp_path / "small"
    tables = tables_of(capsys, EXPERIMENT, out, *SMALL.split())  # exit code 0: checks held
    (row,) = tables["Slopes of the mean in 1/width"]
    assert row["network"] == "ReLU"
    assert row["z"] < 5 < row["z of slope 0"]
    assert row["variance saved"] > 20
    slope, error = measured(row["slope measured"])
    assert abs(slope - row["order 1/width"]) < 5 * error
    assert len(list((out / "figures").iterdir())) == 2


@pytest.mark.slow
def test_presets_have_their_cases(capsys):
    assert_plans(capsys, EXPERIMENT, {"smoke": 12, "default": 24, "full": 48})


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--config.networks", "relu", "cnn"), "the networks ['cnn']"),
        (("--config.widths", "32", "64"), "2 widths"),
    ],
)
def test_refusals(capsys, option, text):
    assert_refused(capsys, EXPERIMENT, option, text)
