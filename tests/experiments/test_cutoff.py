"""The experiment on deep limits through the real command, in small: its cases, its words, its figures, its refusals."""

import html
import json
import re

import pytest

from deepinit import cli, store

EXPERIMENT = "cutoff"

SMALL = (
    "--config.widths 1 4 --config.relu-widths 1 --config.norm-widths 2 --config.phase-width 16 --config.num-paths 4000 "
    "--config.depth 14 --config.meshes 0.01 0.001 --config.relaxation-widths 16 --config.underflow-widths 16 --config.underflow-paths 100 "
    "--config.gains 1.0 --config.gain-width 4 --config.metastable-depth 60"
)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, *arguments])
    return ended.value.code, capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_reproduces_the_papers_curves_and_says_so(tmp_path, capsys):
    out = tmp_path / "small"
    code, printed = run(capsys, "--json", "--out", str(out), *SMALL.split())
    assert code == 0, json.loads(printed)["failures"]
    data = store.read_result(out)
    # the paper's first curve, read off its figure to 5e-4
    figure = [
        0.9990,
        0.9914,
        0.9631,
        0.8960,
        0.7797,
        0.6233,
        0.4525,
        0.2970,
        0.1760,
        0.0944,
        0.0459,
        0.0203,
    ]
    curve = data.sel(case="paper-tanh-w1", layer=slice(1, 12)).isel(pair=0)
    assert (abs(curve["mean"] - figure) < 5 * curve["standard_error"] + 5e-4).all()
    assert (abs(curve["predicted"].sel(route="exact") - figure) < 1e-3).all()
    text = re.sub(
        r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", (out / "report.html").read_text()))
    )
    for words in (
        "tanh-w1: t_mix 9 (the paper's figure: 9)",
        "tanh-w2: t_mix 11 (the paper's figure: 11)",
        "swish-w1: t_mix 7 (the paper's figure: 7)",
        "by width, at layer 4: 9.7",
        "Underflow is a cut-off (float32",
        "(orbit 150.7, short formula 151.8; 150.6 where matrix products underflow too)",
        "Rounding to nearest on the grid 1/2",
        "forget each other; total variation 1/2",
        "avelin2022deep",
    ):
        assert words in text


def test_presets_plan_every_case(capsys):
    for preset, count in {"smoke": 26, "trainability": 24, "paper": 32, "full": 70}.items():
        code, printed = run(capsys, "--dry-run", "--preset", preset)
        assert code == 0
        assert f"{count} cases" in printed


@pytest.mark.slow
@pytest.mark.exhaustive
def test_training_succeeds_at_small_depth_and_fails_beyond_its_own(tmp_path, capsys):
    out = tmp_path / "trained"
    options = "--preset trainability --config.trained-depths 4 10 --config.widths 4 --config.num-paths 200 --config.phase-width 8"
    code, printed = run(capsys, "--json", "--out", str(out), *options.split())
    assert code == 0, json.loads(printed)["failures"]
    accuracy = store.read_result(out)["mean"].sel(
        case=[f"trained-{name}" for name in ("sgd-4", "sgd-10", "adam-10")]
    )
    sgd_4, sgd_10, adam_10 = (
        float(accuracy.sel(case=f"trained-{name}").max()) for name in ("sgd-4", "sgd-10", "adam-10")
    )
    assert min(sgd_4, adam_10) > 0.95
    assert sgd_10 < 0.7


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--config.rho", "0"), "rho=0.0"),
        (("--config.roundings", "up"), "rounding='up'"),
        (("--config.widths", "4", "4"), "two cases called truncate-w4"),
        (("--config.norm-widths", "0"), "width"),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, "--dry-run", *option])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
