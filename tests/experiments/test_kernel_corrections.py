"""kernel_corrections through the real command, in small: analysis, checks, tables, figures."""

import re

import numpy as np
import pytest
from experiment_runs import assert_plans, measured, tables_of

import deepinit as di
from deepinit.runs.experiment import CaseResult
from experiments.kernel_corrections import analysis, cases, checks

EXPERIMENT = "kernel_corrections"
SMALL = (
    "--config.activations relu tanh --config.widths 16 24 32 --config.depth 3 "
    "--config.shown-depths 1 3 --config.num-networks 2000 --config.tangent-widths 24 32 48 "
    "--config.tangent-depths 2 --config.tangent-networks 2000 --config.narrow-networks 4000 "
    "--config.covariance-networks 2000 --config.num-images 2 --config.image-networks 200 "
    "--config.image-width 32 --config.image-depth 2"
)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_presets_plan_every_case(capsys):
    counts = {preset: len(cases.cases(config)) for preset, config in cases.PRESETS.items()}
    assert_plans(capsys, EXPERIMENT, counts)


@pytest.mark.parametrize("activation", ["relu", "tanh", "erf", "gelu"])
def test_inputs_have_the_documented_gram_matrix(activation):
    weight_var, bias_var = cases.GAINS[activation]
    x = cases.pair(activation).points
    np.testing.assert_allclose(bias_var + weight_var * x @ x.T / x.shape[1], cases.GRAM, rtol=1e-12)


@pytest.mark.exhaustive
def test_slopes_take_wide_networks_alone():
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
    found = analysis.kernel_slopes(config, results)
    assert [(slope.depth, slope.widths) for slope in found] == [
        (1, (64, 96, 128)),
        (2, (64, 96, 128)),
    ]  # 5 layers / 8 is too much
    np.testing.assert_allclose(
        found[1].dataset["predicted_slope"].sel(theory="first_order").values[0], 0.0, atol=1e-12
    )
    variance = analysis.kernel_slopes(config, results, "variance")[1].dataset
    np.testing.assert_allclose(
        variance["predicted_slope"].sel(theory="first_order").values[0], 5 * 2 * 0.5**2, rtol=1e-6
    )


def test_covariances_agree_within_r_and_no_further(monkeypatch):
    case = next(
        case for case in cases.covariance_cases(cases.Config()) if case.name == "covariance-kernel"
    )
    results = {"covariance-kernel": CaseResult(case, None, (), None)}
    predicted, natural = np.array([2.0, 0.3, 1.0]), np.array([2.0, np.sqrt(2.0), 1.0])

    def held(measured):
        entries = analysis.CovarianceEntries(
            ["G11 G11", "G11 T11", "T11 T11"],
            np.array(measured),
            0.002 * natural,
            predicted,
            natural,
        )
        monkeypatch.setattr(checks, "covariances", lambda results: entries)
        return checks.covariance_check(results)

    assert held(predicted).held
    assert "for 3 of them" in held(predicted).sentence
    assert held(predicted + 0.06 * natural).held  # r = 3 / 48
    assert not held(predicted * [1.0, 0.0, 1.0]).held  # without the covariance of the two
    assert not held(predicted * 1.2).held
    assert not held([2.0, np.nan, 1.0]).held


def test_a_slope_that_is_missing_is_no_agreement():
    import xarray

    def check(z, judged=(True, True), truncation=0.0):
        data = xarray.Dataset(
            {
                "slope_z": (("theory", "component"), np.array([z, [9.0, 9.0]])),
                "judged": ("component", np.array(judged)),
                "predicted_slope": (("theory", "component"), np.zeros((2, 2))),
                "slope": ("component", np.ones(2)),
                "slope_standard_error": ("component", np.ones(2)),
                "truncation": (("theory", "component"), np.full((2, 2), truncation)),
            },
            coords={"theory": ["first_order", "infinite_width"]},
        )
        return checks.slope_check(
            "NTK", "relu", "mean", [analysis.Slope("relu", 2, (8, 16, 32), data)]
        )

    assert check([1.0, 4.9]).held
    assert "NOT SO" in check([1.0, -5.1]).sentence
    assert check([1.0, -5.1], truncation=0.2).held
    assert not check([1.0, -5.1], truncation=0.05).held
    for z in ([1.0, np.nan], [np.nan, np.nan]):
        assert not check(z).held
    assert not check([1.0, 1.0], (True, False)).held  # tails too heavy


@pytest.mark.exhaustive
def test_a_small_run_shows_everything(capsys, tmp_path):
    out = tmp_path / "run"
    tables = tables_of(capsys, EXPERIMENT, out, *SMALL.split())
    slopes = tables["Slopes in 1/width: largest deviation from first order"]
    assert len(slopes) == 8  # two kernels, two statistics, two activations
    for row in slopes:
        assert row["z"] < 5
        slope, error = measured(row["measured"])
        assert abs(slope - row["first order"]) < 5.1 * error + row["truncation"]
    growth = tables["Growth: Var / mean^2 over depth / width"]
    assert [(row["kernel"], row["activation"]) for row in growth] == [
        ("NNGP kernel", "relu"),
        ("NTK", "relu"),
        ("NNGP kernel", "tanh"),
        ("NTK", "tanh"),
    ]
    assert growth[0]["deep limit of the class"] == pytest.approx(5.0)
    assert growth[0]["first order"] == pytest.approx(5.0, rel=1e-6)
    for row in tables["Variance of narrow ReLU networks, one input"]:
        variance, error = measured(row["measured"])
        assert abs(variance - row["exact"]) < 5 * error
        assert row["first order"] < row["exact"]
    (covariances,) = (rows for title, rows in tables.items() if title.startswith("Covariances"))
    assert len(covariances) == 21
    assert len(tables["Digits, width 32, depth 2"]) == 2
    assert len(tables["Range of first order: variances off by more than 30 %"]) == 4
    report = (out / "report.html").read_text()
    figures = list((out / "figures").glob("*.svg"))
    assert len(re.findall("<svg", report)) == len(figures) >= 10
