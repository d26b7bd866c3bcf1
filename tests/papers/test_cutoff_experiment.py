"""The experiment on deep limits through the real command, in small: its cases, its words, its figures, its refusals."""

import html
import json
import pathlib
import re

import pytest

from deepinit import cli, store

EXPERIMENT = str(pathlib.Path(__file__).parents[2] / "experiments" / "cutoff.py")

SMALL = (
    "--config.widths 1 4 --config.relu-widths 1 --config.norm-widths 2 --config.phase-width 16 --config.num-paths 4000 "
    "--config.depth 14 --config.meshes 0.01 0.001"
)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, *arguments])
    return ended.value.code, capsys.readouterr().out


@pytest.mark.slow
def test_small_run_reproduces_the_papers_curves_and_says_so(tmp_path, capsys):
    out = tmp_path / "small"
    code, printed = run(capsys, "--json", "--out", str(out), *SMALL.split())
    assert code == 0, json.loads(printed)["failures"]
    data = store.read_result(out)
    # the paper's first curve, read off its figure to 5e-4
    figure = [0.9990, 0.9914, 0.9631, 0.8960, 0.7797, 0.6233, 0.4525, 0.2970, 0.1760, 0.0944, 0.0459, 0.0203]
    curve = data.sel(case="paper-tanh-w1", layer=slice(1, 12)).isel(pair=0)
    assert (abs(curve["mean"] - figure) < 5 * curve["standard_error"] + 5e-4).all()
    assert (abs(curve["predicted"].sel(route="exact") - figure) < 1e-3).all()
    text = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", (out / "report.html").read_text())))
    for words in (
        "tanh-w1: t_mix 9 (the paper's figure: 9)",
        "tanh-w2: t_mix 11 (the paper's figure: 11)",
        "swish-w1: t_mix 7 (the paper's figure: 7)",
        "avelin2022deep",
    ):
        assert words in text


def test_presets_plan_every_case(capsys):
    for preset, count in {"smoke": 15, "paper": 33, "full": 56}.items():
        code, printed = run(capsys, "--dry-run", "--preset", preset)
        assert code == 0
        assert f"{count} cases" in printed


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
