"""trainability_study through the real command."""

import pytest
from experiment_runs import assert_plans, assert_refused, tables_of

EXPERIMENT = "trainability_study"


@pytest.mark.slow
def test_a_small_run_has_gradients_and_the_tables_of_the_study(tmp_path, capsys):
    options = ["--config.networks", "mlp-032", "--config.num-seeds", "200"]
    tables = tables_of(capsys, EXPERIMENT, tmp_path / "small", *options)
    (row,) = tables["Gradients of registered MLPs at initialization"]
    mean, error = map(float, row["slope"].split(" +- "))
    # of order depth/width beside the sum of ln chi
    assert abs(mean - float(row["infinite width"])) < 5 * error + 1.5
    assert len(tables["Outcomes"]) == 6
    assert len(tables["Registered lines"]) == 15
    assert len(list((tmp_path / "small" / "figures").iterdir())) >= 2


@pytest.mark.exhaustive
def test_presets_have_their_cases(capsys):
    assert_plans(capsys, EXPERIMENT, {"smoke": 6, "default": 6, "full": 90})


def test_an_unknown_network(capsys):
    assert_refused(capsys, EXPERIMENT, ("--config.networks", "mlp-999"), "mlp-999")
