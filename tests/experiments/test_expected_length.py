"""The experiment through the real command, in small: its cases, its words, its figures, its refusals."""

import html
import json
import math
import re

import pytest

from deepinit import cli, store
from deepinit.theory.lengths import HomogeneousNetwork, length_moment

EXPERIMENT = "expected_length"

SMALL = (
    "--config.widths 4 16 --config.depth 4 --config.num-nodes 8 --config.polygon-chords 16 --config.unequal 3-8-4-2 "
    "--config.image-width 0 --config.narrow-widths 16 --config.deep-width 4 --config.deep-depth 32 --config.law-width 8 "
    "--config.law-depth 3 --config.num-seeds 2000 --config.num-point-seeds 4000"
)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, *arguments])
    return ended.value.code, capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_agrees_with_the_exact_law_rejects_its_rivals_and_says_so(tmp_path, capsys):
    out = tmp_path / "small"
    code, printed = run(capsys, "--json", "--out", str(out), *SMALL.split())
    record = json.loads(printed)
    assert code == 0, record["failures"]
    data = store.read_result(out)
    z = abs(data["z"])
    exact = [name for name in data["case"].values if name not in ("polygon-w16", "constant-bias")]
    assert float(z.sel(case=exact, route="exact").max()) < 5
    rivals = ("first_order", "price_tanner", "raghu", "infinite_width")
    for route in rivals:
        assert float(z.sel(case="circle-w4", route=route).max()) > 5, route
    assert float(z.sel(case="polygon-w16", route="exact").max()) > 5
    assert float(z.sel(case="constant-bias", route="idealized").max()) > 5
    assert {"length_distortion", "log_volume"} == set(data["quantity"].values)
    # a ray is as long as one tangent, a circle averages
    spread = data["variance"].sel(layer=3, pair=0) / data["mean"].sel(layer=3, pair=0) ** 2
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
        float(data["num_used"].sel(case="deep-w4", layer=32, pair=0)),
    )

    text = re.sub(
        r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", (out / "report.html").read_text()))
    )
    for words in (
        "Expected length does not grow: after 4 layers of width 16",
        "The polygon through 17 images",
        "the first-order exponential is 8.2 % above the exact mean and rejected",
        "one exact formula covers unequal widths",
        "Length grows exponentially only above the weight variance 2.1",
        "a ray attains the bound",
        "Volumes of dimension d shrink faster",
        "Gaussian biases of standard deviation 1 leave the mean length",
        "With 2 outputs the variance survives infinite width",
        "Preserved is the mean at depth / width below 1",
        "No exact law, measured against Gaussian weights of the same variance without biases: constant bias",
        "hanin2022deep",
        "Every case at its last layer",
    ):
        assert words in text
    assert "nan" not in text.lower().split()
    assert len(list((out / "figures").iterdir())) == 12


@pytest.mark.slow
def test_presets_plan_every_case(capsys):
    for preset, count in {"smoke": 14, "paper": 35, "full": 41}.items():
        code, printed = run(capsys, "--dry-run", "--preset", preset)
        assert code == 0
        assert f"{count} cases" in printed


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--config.widths", "10", "10"), "two cases called circle-w10"),
        (("--config.unequal", "20-10"), "the widths '20-10'"),
        (("--config.laws", "cauchy"), "the law 'cauchy'"),
        (("--config.depth", "0"), "no layers"),
    ],
)
def test_configs_that_make_no_sense_are_refused(option, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", EXPERIMENT, "--dry-run", *option])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
