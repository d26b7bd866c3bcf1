"""transformers through the real command: laws, tables, refusals."""

import math

import numpy as np
import pytest
from experiment_runs import assert_plans, assert_refused, measured, tables_of

from deepinit import store
from experiments.transformers import analysis

EXPERIMENT = "transformers"
SMALL = (
    "--config.scores sqrt --config.scales depth --config.depth 2 --config.width 32 "
    "--config.heads 4 --config.num-seeds 200 --config.collapse sqrt causal "
    "--config.law-heads 1 4 32 --config.law-seeds 4000"
)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_holds_the_laws_and_rejects_wrong_ones(tmp_path, capsys):
    out = tmp_path / "small"
    tables = tables_of(capsys, EXPERIMENT, out, *SMALL.split())  # exit code 0: checks held
    blocks = tables["Tokens and gradients across 2 blocks"]
    assert [row["norm"] for row in blocks] == ["pre", "post"]
    assert all(0 < measured(row["token cosine"])[0] < 1 for row in blocks)
    laws = {row["case"]: row for row in tables["Laws of rank collapse and heads"]}
    assert list(laws) == ["sqrt", "causal", "heads"]
    assert all(row["z"] < 5 for row in laws.values())
    assert measured(laws["heads"]["measured"])[0] == pytest.approx(5.4e-4, rel=0.3)
    variances = tables["Variance of the mean token cosine, times 10 000"]
    first, last = (measured(variances[place]["measured"])[0] for place in (0, -1))
    assert first > 3 * last
    data = store.read_result(out)
    collapse = data["mean"].sel(case="collapse-sqrt").isel(component=0).dropna("layer")
    assert (np.diff(np.diff(collapse)) < 0).all()  # faster than geometric
    assert "dong2021attention" in (out / "report.html").read_text()
    assert len(list((out / "figures").iterdir())) == 4


@pytest.mark.exhaustive
@pytest.mark.slow
def test_laws_have_their_reference_values():
    slope = analysis.heads_slope(8, 0.3)
    assert slope == pytest.approx(5.402e-4, rel=0.015)  # 400 000 plain draws
    assert analysis.heads_slope(8, 0.3, queries="independent") > 1.4 * slope
    orbit = analysis.distance_orbit(8, 3)
    assert orbit[-1] - 3 * orbit[-2] == pytest.approx(math.log(7 / 64), abs=0.05)
    size, spread = analysis.head_draws(8, 0.7)
    assert 1 - spread.mean() / size.mean() == pytest.approx(0.90997, abs=3e-4)  # plain draws
    assert np.diff(analysis.causal_orbit(8, 40))[-1] == pytest.approx(-math.log(4), abs=1e-4)


@pytest.mark.slow
def test_presets_have_their_cases(capsys):
    assert_plans(capsys, EXPERIMENT, {"smoke": 24, "full": 26})


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--config.norms", "middle"), "norms='middle'"),
        (("--config.scales", "two"), "scales='two'"),
        (("--config.collapse", "linear"), "collapse='linear'"),
        (("--config.heads", "3"), "3 heads of 128 neurons"),
        (("--config.law-heads", "4", "8"), "2 numbers of heads"),
        (("--config.law-heads", "4", "4", "8"), "two cases called heads-4"),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, text, capsys):
    assert_refused(capsys, EXPERIMENT, option, text)
