"""The experiment on kernels at finite width through the real command, in small: its cases, readings, checks and figures."""

import html
import json
import re
import sys

import numpy as np
import pytest

from deepinit import cli, store

EXPERIMENT = "kernel_corrections"
SMALL = [
    "--config.activations",
    "relu",
    "tanh",
    "--config.widths",
    "16",
    "24",
    "32",
    "--config.depth",
    "3",
    "--config.shown-depths",
    "1",
    "3",
    "--config.num-networks",
    "2000",
    "--config.tangent-widths",
    "16",
    "24",
    "32",
    "--config.tangent-depths",
    "2",
    "--config.tangent-networks",
    "1000",
    "--config.narrow-networks",
    "4000",
    "--config.covariance-networks",
    "2000",
    "--config.num-images",
    "2",
    "--config.image-networks",
    "200",
    "--config.image-width",
    "32",
    "--config.image-depth",
    "2",
]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, *arguments])
    return ended.value.code, capsys.readouterr().out


@pytest.fixture
def parts(monkeypatch):
    from experiments.kernel_corrections import analysis as kernel_corrections_readings
    from experiments.kernel_corrections import cases as kernel_corrections_cases
    from experiments.kernel_corrections import remarks as kernel_corrections_words

    yield kernel_corrections_cases, kernel_corrections_readings, kernel_corrections_words
    for name in ("cases", "entries", "figures", "readings", "words"):
        sys.modules.pop(f"kernel_corrections_{name}", None)


@pytest.mark.slow
def test_presets_plan_every_case(capsys, parts):
    cases, _, _ = parts
    for preset, config in cases.PRESETS.items():
        code, printed = run(capsys, "--dry-run", "--preset", preset)
        assert code == 0
        assert f"{len(cases.cases(config))} cases" in printed


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf", "gelu"])
def test_inputs_have_the_gram_matrix_that_is_said(parts, activation):
    cases, _, _ = parts
    weight_var, bias_var = cases.GAINS[activation]
    x = cases.pair(activation).points
    np.testing.assert_allclose(bias_var + weight_var * x @ x.T / x.shape[1], cases.GRAM, rtol=1e-12)


@pytest.mark.exhaustive
def test_slopes_take_wide_networks_alone(parts):
    import deepinit as di
    from deepinit.runs.experiment import CaseResult

    cases, readings, _ = parts
    config = cases.Config(
        activations=("relu",),
        widths=(8, 64, 96, 128),
        depth=2,
        shown_depths=(1, 2),
        num_networks=300,
    )
    results = {}
    for case in cases.kernel_cases(config):
        first, limit = (
            di.predict(case.spec, case.quantity, case.inputs, "first_order"),
            di.infinite(case.spec, case.quantity, case.inputs),
        )
        sim = di.simulate(case.spec, case.quantity, case.inputs, num_seeds=300, key=case.key)
        results[case.name] = CaseResult(case, sim, (first, limit), None)
    found = readings.kernel_slopes(config, results)
    assert [(slope.depth, slope.widths) for slope in found] == [
        (1, (64, 96, 128)),
        (2, (64, 96, 128)),
    ]  # 5 layers / 8 is too much
    np.testing.assert_allclose(
        found[1].dataset["predicted_slope"].sel(route="first_order").values[0], 0.0, atol=1e-12
    )
    variance = readings.kernel_slopes(config, results, "variance")[1].dataset
    np.testing.assert_allclose(
        variance["predicted_slope"].sel(route="first_order").values[0], 5 * 2 * 0.5**2, rtol=1e-6
    )


def test_covariances_agree_within_r_and_no_further(parts, monkeypatch):
    from deepinit.runs.experiment import CaseResult

    cases, readings, words = parts
    case = next(
        case for case in cases.covariance_cases(cases.Config()) if case.name == "covariance-kernel"
    )
    results = {"covariance-kernel": CaseResult(case, None, (), None)}
    predicted, natural = np.array([2.0, 0.3, 1.0]), np.array([2.0, np.sqrt(2.0), 1.0])

    def held(measured):
        entries = readings.CovarianceEntries(
            ["G11 G11", "G11 T11", "T11 T11"],
            np.array(measured),
            0.002 * natural,
            predicted,
            natural,
        )
        monkeypatch.setattr(words, "covariances", lambda results: entries)
        return words.covariance_check(results)

    assert held(predicted).held
    assert "for 3 of them" in held(predicted).sentence
    assert held(predicted + 0.06 * natural).held  # r = 3 / 48
    assert not held(predicted * [1.0, 0.0, 1.0]).held  # without the covariance of the two
    assert not held(predicted * 1.2).held
    assert not held([2.0, np.nan, 1.0]).held


def test_a_slope_that_is_missing_is_no_agreement(parts):
    import xarray

    _, readings, words = parts

    def check(z, judged=(True, True)):
        data = xarray.Dataset(
            {
                "slope_z": (("route", "pair"), np.array([z, [9.0, 9.0]])),
                "judged": ("pair", np.array(judged)),
                "predicted_slope": (("route", "pair"), np.zeros((2, 2))),
                "slope": ("pair", np.ones(2)),
                "slope_standard_error": ("pair", np.ones(2)),
            },
            coords={"route": ["first_order", "infinite_width"]},
        )
        return words.slope_check(
            "NTK", "relu", "mean", [readings.Slope("relu", 2, (8, 16, 32), data)]
        )

    assert check([1.0, 4.9]).held
    assert "NOT SO" in check([1.0, -5.1]).sentence
    for z in ([1.0, np.nan], [np.nan, np.nan]):
        assert not check(z).held
    assert not check([1.0, 1.0], (True, False)).held  # tails too heavy


@pytest.mark.exhaustive
def test_a_small_run_says_and_shows_everything(capsys, tmp_path):
    code, printed = run(capsys, *SMALL, "--out", str(tmp_path / "run"))
    assert code == 0, printed
    said = " ".join(json.loads(store.read_result(tmp_path / "run").attrs["verdicts"]))
    for words in (
        "slopes of the mean in 1/width",
        "slopes of the variance",
        "Covariances over tanh",
        "by the exact law",
        "Digits, relu",
    ):
        assert words in said
    report = html.unescape((tmp_path / "run" / "report.html").read_text())
    assert (
        len(re.findall("<svg", report))
        == len(list((tmp_path / "run" / "figures").glob("*.svg")))
        >= 10
    )
