"""own_model through the real command."""

import pytest
from experiment_runs import assert_plans, assert_refused, tables_of

EXPERIMENT = "own_model"


@pytest.mark.slow
def test_a_small_run_has_every_layer(tmp_path, capsys):
    options = "--config.models mlp --config.quantities size gradient --config.num-seeds 60"
    tables = tables_of(capsys, EXPERIMENT, tmp_path / "small", *options.split())
    rows = tables["MLP (flax.nnx)"]
    assert len(rows) == 8
    assert rows[-1]["layer"] == "output"
    for row in rows[:-2]:  # He weights keep the root mean square at sqrt(2)
        mean = float(row["root mean square"].split()[0])
        assert abs(mean - 2**0.5) < 0.1
    assert len(list((tmp_path / "small" / "figures").iterdir())) == 2


@pytest.mark.exhaustive
def test_presets_have_their_cases(capsys):
    assert_plans(capsys, EXPERIMENT, {"smoke": 12, "default": 12, "full": 12})


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--config.models", "cnn"), "a model='cnn'"),
        (("--config.quantities", "angle"), "a quantity='angle'"),
    ],
)
def test_refusals(capsys, option, text):
    assert_refused(capsys, EXPERIMENT, option, text)
