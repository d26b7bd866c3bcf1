"""The experiment on residual networks as diffusions through the real command, in small: its cases, words, figures and refusals."""

import html
import json
import re
import sys

import numpy as np
import pytest

from deepinit import cli, store

EXPERIMENT = "resnet_diffusion"


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, *arguments])
    return ended.value.code, capsys.readouterr().out


@pytest.fixture
def readings(monkeypatch):
    from experiments.resnet_diffusion import analysis as resnet_diffusion_readings
    from experiments.resnet_diffusion import cases as resnet_diffusion_cases
    from experiments.resnet_diffusion import limits as resnet_diffusion_limits

    yield resnet_diffusion_cases, resnet_diffusion_readings, resnet_diffusion_limits
    for name in ("cases", "readings", "limits"):
        sys.modules.pop(f"resnet_diffusion_{name}", None)


@pytest.mark.exhaustive
def test_presets_plan_every_case(capsys):
    for preset, count in {"smoke": 24, "paper": 44, "full": 52}.items():
        code, printed = run(capsys, "--dry-run", "--preset", preset)
        assert code == 0
        assert f"{count} cases" in printed


@pytest.mark.slow
def test_kernels_at_infinite_width_and_depth_are_those_of_the_table(readings):
    cases, reading, limits = readings
    inputs = cases.copied((1.0, 2.0), 2, "")
    value = reading.kernels_infinite(cases.shallow(2, 16), inputs).mean[0]
    np.testing.assert_allclose(
        value[[0, 1, 2, 4]], [2.864414, 0.955127, 3.179440, 4.745604], atol=2e-6
    )
    np.testing.assert_allclose(
        limits.limit_kernels()[[0, 1, 2, 4]], [6.43656, 1.71828, 4.43656, 7.15485], atol=5e-6
    )
    for width, deviation, variance in (
        (8, 0.8488, 12.864),
        (32, 0.4012, 2.6788),
        (128, 0.1979, 0.64092),
    ):
        exact = reading.kernels_exact(
            cases.shallow(width, 4), cases.copied((1.0, 2.0), width, ""), "infinite_depth"
        )
        assert exact.variance[0, 1] ** 0.5 == pytest.approx(deviation, abs=5e-5)
        assert exact.variance[0, 2] == pytest.approx(variance, rel=5e-5)


def test_moments_in_the_limit_are_those_of_the_figure(readings):
    cases, reading, _ = readings
    spec, inputs = cases.shallow(2, 3), cases.copied((0.0, 1.0), 2, "")
    limit = reading.moments_limit(spec, inputs, reading.DOUBLE_LIMIT).mean
    np.testing.assert_allclose(limit[-1], [0.0, 1.0, 1.71828, 1.71828, 3.43656], atol=5e-6)
    assert reading.moment_entries(spec, inputs)[2:] == (
        "covariance at 0, 0",
        "covariance at 0, 1",
        "covariance at 1, 1",
    )


def test_overlaps_of_positions_in_the_limit(readings):
    cases, _, _ = readings
    case = cases.convolution_case(cases.Config())
    limit = case.quantity.theory("double_limit").predict(case.spec, case.inputs).mean[0]
    np.testing.assert_allclose(
        limit[:6], [2.6566, 0.5608, -0.5392, 1.2339, 1.7678, 0.2878], atol=6e-5
    )


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--config.gradient-width", "0"), "width"),
        (("--config.table-widths", "8", "8"), "table-w8-l16"),
        (("--config.table-networks", "0"), "num_seeds"),
        (
            ("--config.drawn-widths", "8", "16", "32", "--config.drawn-depths", "4", "8", "16"),
            "3 widths by 3 depths",
        ),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, "--dry-run", *option])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.exhaustive
def test_smoke_run_holds_its_checks_and_says_what_it_found(tmp_path, capsys):
    out = tmp_path / "smoke"
    code, printed = run(capsys, "--json", "--out", str(out), "--preset", "smoke")
    assert code == 0, json.loads(printed)["failures"]
    data = store.read_result(out)
    overlaps = data.sel(case="overlaps", layer=64, pair=2)
    assert (
        abs(float(overlaps["z"].sel(route="infinite_depth"))) > 5
    )  # the limit without the bias of the depth
    text = re.sub(
        r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", (out / "report.html").read_text()))
    )
    for words in (
        "double limit -2.82, 2.00, 6.82; the paper's figure",
        "double limit 2.21, 5.12, 8.02",
        "D infinite, L = 16: K_W 2.8644, K_b 0.9551, q_1 3.1794, lambda_12 4.7456",
        "Both infinite: K_W 6.43656, K_b 1.71828, q_1 4.43656, lambda_12 7.15485",
        "D = 8, L infinite (exact): means of both limits, sd K_b 0.8488, Var q_1 12.864",
        "residual, tanh -0.600",
        "the limit explodes at T = 1.7216",
        "peluchetti2021doubly",
    ):
        assert words in text
