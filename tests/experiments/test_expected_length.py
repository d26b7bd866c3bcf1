"""expected_length through the real command, in small: cases, tables, figures, refusals."""

import math

import pytest
from experiment_runs import assert_plans, assert_refused, measured, tables_of

from deepinit import store
from deepinit.theory.lengths import HomogeneousNetwork, growth_threshold, length_moment

EXPERIMENT = "expected_length"

SMALL = (
    "--config.widths 4 16 --config.depth 4 --config.num-nodes 8 --config.polygon-chords 16 "
    "--config.unequal 3-8-4-2 --config.image-width 0 --config.narrow-widths 16 "
    "--config.deep-width 4 --config.deep-depth 32 --config.law-width 8 --config.law-depth 3 "
    "--config.num-seeds 2000 --config.num-point-seeds 4000"
)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_agrees_with_the_exact_law_and_rejects_its_rivals(tmp_path, capsys):
    out = tmp_path / "small"
    tables = tables_of(capsys, EXPERIMENT, out, *SMALL.split())
    data = store.read_result(out)
    z = abs(data["z"])
    exact = [name for name in data["case"].values if name not in ("polygon-w16", "constant-bias")]
    assert float(z.sel(case=exact, theory="exact").max()) < 5
    rivals = ("first_order", "price_tanner", "raghu", "infinite_width")
    for route in rivals:
        assert float(z.sel(case="circle-w4", theory=route).max()) > 5, route
    assert float(z.sel(case="polygon-w16", theory="exact").max()) > 5
    assert float(z.sel(case="constant-bias", theory="idealized").max()) > 5
    assert {"length_distortion", "log_volume"} == set(data["quantity"].values)
    # a ray is as long as one tangent, a circle averages
    spread = (
        data["variance"].sel(layer=3, component=0) / data["mean"].sel(layer=3, component=0) ** 2
    )
    point = (
        length_moment(HomogeneousNetwork((16,) * 4, output=None), 2)
        / length_moment(HomogeneousNetwork((16,) * 4, output=None)) ** 2
        - 1.0
    )
    assert float(spread.sel(case="ray-w16")) == pytest.approx(point, rel=0.3)
    assert float(spread.sel(case="circle-w16")) < 0.4 * point
    # the deep case's seeds are its own: more than those of curves, and none is missing
    samples = data["samples"].sel(case="deep-w4", sample_layer=32)
    assert math.isclose(
        float(samples.notnull().sum()),
        float(data["num_used"].sel(case="deep-w4", layer=32, component=0)),
    )
    check_tables(tables)
    report = (out / "report.html").read_text()
    assert "hanin2022deep" in report
    assert "Every case at its last layer" in report
    assert len(list((out / "figures").iterdir())) == 12


def check_tables(tables):
    mean = tables["Mean length of a circle after 4 layers of width 16"]
    assert [row["theory"] for row in mean][:2] == ["exact", "first_order"]
    assert mean[0]["verdict"] == "agrees"
    assert measured(mean[0]["measured"])[0] == pytest.approx(mean[0]["predicted"], rel=0.02)
    (polygon,) = tables["Deficit of a polygon after 4 layers of width 16"]
    assert (polygon["chords"], polygon["2 depth / (3 chords), %"]) == (16, pytest.approx(100 / 6))
    assert measured(polygon["deficit, %"])[0] > 5 * measured(polygon["deficit, %"])[1]
    narrow, wide = tables["First order after 4 layers"]
    assert narrow["width"] == 4
    assert narrow["excess, %"] == pytest.approx(8.2, abs=0.05)
    assert (narrow["verdict"], wide["excess, %"] < narrow["excess, %"]) == ("rejected", True)
    assert {row["verdict"] for row in tables["Exact mean, unequal widths and real images"]} == {
        "agrees"
    }
    (variance,) = tables["Mean length by weight variance after 4 layers of width 16"]
    assert variance["weight variance"] == 4.0
    assert variance["growth above the variance"] == pytest.approx(float(growth_threshold(16)))
    for row in tables["Moments E length^m at layer 3 of width 16"][1:]:
        (ray, error), (circle, _) = measured(row["ray"]), measured(row["circle"])
        assert abs(ray - row["exact at a point"]) < 5 * error  # a ray attains the bound
        assert row["(E length)^m"] < circle < row["exact at a point"]
    (area,) = tables["Volumes after 4 layers of width 16"]
    assert (area["d"], area["verdict"]) == (2, "agrees")
    without, biased = tables["Biases: length of a circle after 4 layers of width 16"]
    column = "sd over networks, % of the mean"
    assert (without["bias std"], biased["bias std"]) == (0.0, 1.0)
    assert biased[column] > without[column]
    (outputs,) = tables["Var / mean^2 of a circle's length with 2 outputs"]
    assert measured(outputs["measured"])[0] > outputs["infinite width"] > 0.0
    (deep,) = tables["Deep and narrow: length of a tangent"]
    assert deep["typical"] < deep["mean, exact"]
    assert deep["KS distance"] < 1.95 / 4000**0.5  # probability 1e-3
    (law,) = tables["Other laws: mean ln |J u| after 3 layers"]
    assert (law["law"], law["theory"], law["verdict"]) == ("constant bias", "idealized", "rejected")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_presets_plan_every_case(capsys):
    assert_plans(capsys, EXPERIMENT, {"smoke": 14, "paper": 35, "full": 41})


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--config.widths", "10", "10"), "two cases called circle-w10"),
        (("--config.unequal", "20-10"), "the widths '20-10'"),
        (("--config.laws", "cauchy"), "the law 'cauchy'"),
        (("--config.depth", "0"), "no layers"),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, text, capsys):
    assert_refused(capsys, EXPERIMENT, option, text)
