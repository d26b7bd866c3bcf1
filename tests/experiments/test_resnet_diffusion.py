"""resnet_diffusion through the real command, in small: cases, tables, refusals."""

import numpy as np
import pytest
from experiment_runs import assert_plans, assert_refused, measured, tables_of

from deepinit import store
from experiments.resnet_diffusion import analysis as reading
from experiments.resnet_diffusion import cases, limits

EXPERIMENT = "resnet_diffusion"


@pytest.mark.exhaustive
def test_presets_plan_every_case(capsys):
    assert_plans(capsys, EXPERIMENT, {"smoke": 24, "paper": 44, "full": 52})


@pytest.mark.slow
def test_kernels_at_infinite_width_and_depth_are_those_of_the_table():
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


def test_moments_in_the_limit_are_those_of_the_figure():
    spec, inputs = cases.shallow(2, 3), cases.copied((0.0, 1.0), 2, "")
    limit = reading.moments_limit(spec, inputs, reading.DOUBLE_LIMIT).mean
    np.testing.assert_allclose(limit[-1], [0.0, 1.0, 1.71828, 1.71828, 3.43656], atol=5e-6)
    assert reading.moment_entries(spec, inputs)[2:] == (
        "covariance at 0, 0",
        "covariance at 0, 1",
        "covariance at 1, 1",
    )


def test_overlaps_of_positions_in_the_limit():
    case = cases.convolution_case(cases.Config())
    limit = case.quantity.theory("double_limit").predict(case.spec, case.inputs).mean[0]
    np.testing.assert_allclose(
        limit[:6], [2.6566, 0.5608, -0.5392, 1.2339, 1.7678, 0.2878], atol=6e-5
    )


@pytest.mark.parametrize(
    ("option", "text"),
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
def test_configs_that_make_no_sense_are_refused(option, text, capsys):
    assert_refused(capsys, EXPERIMENT, option, text)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_smoke_run_holds_its_checks(tmp_path, capsys):
    out = tmp_path / "smoke"
    tables = tables_of(capsys, EXPERIMENT, out, "--preset", "smoke")
    data = store.read_result(out)
    overlaps = data.sel(case="overlaps", layer=64, component=2)
    assert (
        abs(float(overlaps["z"].sel(theory="infinite_depth"))) > 5
    )  # the limit without the bias of the depth
    quantiles = {row["case"]: row for row in tables["Quantiles of random functions at z = 2"]}
    for name, expected in {"tanh": (-2.82, 2.00, 6.82), "silu": (2.21, 5.12, 8.02)}.items():
        row = quantiles[f"functions-resnet-{name}"]
        levels = [row[f"limit {level} %"] for level in (5, 50, 95)]
        assert levels == pytest.approx(expected, abs=5e-3)
        assert row["paper"].count(",") == 2
    kernels = {(row["D"], row["L"]): row for row in tables["Kernels by width and depth"]}
    for size, expected in {
        ("infinite", 16): (2.8644, 0.9551, 3.1794, 4.7456),
        ("infinite", "infinite"): (6.43656, 1.71828, 4.43656, 7.15485),
    }.items():
        row = kernels[size]
        values = [float(row[name]) for name in ("K_W", "K_b", "q_1", "lambda_12")]
        assert values == pytest.approx(expected, abs=6e-5)
    assert kernels[8, "infinite"]["sd K_b"] == pytest.approx(0.8488, abs=5e-5)
    assert kernels[8, "infinite"]["Var q_1"] == pytest.approx(12.864, abs=5e-4)
    for row in tables["Moments of x_T at D = L = 64"]:
        if " +- " in row["network"]:
            value, error = measured(row["network"])
            assert abs(value - row["infinite width"]) < 5 * error
    correlation = tables["Correlation of the values at z = -2 and z = 2, deep and wide"]
    values = {row["network"]: row["correlation"] for row in correlation}
    assert values["residual, tanh"] == pytest.approx(-0.600, abs=5e-4)
    explosion = tables["Swish beyond the explosion, z = 2"]
    assert explosion[0]["explosion time"] == pytest.approx(1.7216, abs=5e-5)
    shallow, deep = (measured(row["ln |x_T| / |x_0|"])[0] for row in explosion)
    assert shallow < deep
    gradient, determinant = tables["Gradients and determinants, D = 8, L = 200"]
    for row in (gradient, determinant):
        value, error = measured(row["mean"])
        assert abs(value - row["exact mean"]) < 6 * error
    assert abs(determinant["z isometry"]) > 5
    assert "peluchetti2021doubly" in (out / "report.html").read_text()
