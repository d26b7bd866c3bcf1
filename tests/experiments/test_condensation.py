"""condensation and trainability through the real command: cases, tables, figures, refusals."""

import pytest
from experiment_runs import assert_plans, assert_refused, measured, tables_of

from deepinit import store

CONDENSATION, TRAINABILITY = "condensation", "trainability"

SMALL = (
    "--config.multiplicities 1 3 --config.num-seeds 2 --config.law-seeds 16 --config.width 60 "
    "--config.deep-steps 40 --config.image-steps 2 --config.phases 1.75,0 "
    "--config.phase-widths 40 160 --config.phase-seeds 2 --config.scales 0.5 2 "
    "--config.scale-width 40"
)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_finds_the_predicted_orientations(tmp_path, capsys):
    out = tmp_path / "small"
    tables = tables_of(capsys, CONDENSATION, out, *SMALL.split())
    data = store.read_result(out)
    means = data["mean"].isel(component=0)
    for case, count in {"p1-1d": 2, "p3-1d": 6, "p3-simplex": 12, "adam-p1-5d": 2}.items():
        assert float(means.sel(case=case).dropna("step")[-1]) == count
    z = abs(data["z"])
    for case in ("aligned-fraction", "relative-distance", "drop-time"):
        assert float(z.sel(case=case, theory="leading_order").max()) < 5
    assert float(z.sel(case="aligned-fraction", theory="infinite_width").max()) > 20
    assert float(z.sel(case="scale-2", theory="infinite_width").max()) > 20

    counts = {row["case"]: row for row in tables["Orientations of two-layer networks"]}
    simplex = counts["p3-simplex"]
    assert (simplex["orientations"], simplex["predicted"], simplex["networks"]) == (12, 12, 2)
    assert simplex["not condensed"] == 0
    assert simplex["conjectured most, 2p"] == 6 < simplex["orientations"]  # the conjecture is false
    assert counts["p3-1d"]["median cosine"] > 0.999
    adam = {row["case"]: row for row in tables["Adam: median cosine with the maxima of |H|"]}
    cube, sphere = list(adam["adam-p1-5d"].values())[1:]
    assert cube > 0.999 > 0.95 > sphere  # Adam descends by signs
    (phase,) = tables["Phase diagram: growth of the distance with the width"]
    assert (phase["gamma"], phase["gamma'"], phase["predicted regime"]) == (1.75, 0.0, "condensed")
    assert phase["predicted"] == pytest.approx(0.375)
    assert measured(phase["exponent"])[0] > 0.0
    assert {row["condensed"] <= row["networks"] for row in tables["Orientations by layer"]} == {
        True
    }
    lazy, rich = (
        measured(row["largest departure"])[0] for row in tables["Departure from the linearization"]
    )
    assert lazy < rich
    assert "zhou2022condensation" in (out / "report.html").read_text()
    names = sorted(file.name for file in (out / "figures").iterdir())
    assert sum(name.endswith(".gif") for name in names) == 2
    assert len(names) == 15


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_training_run_ranks_architectures(tmp_path, capsys):
    out = tmp_path / "small"
    options = (
        "--config.nets 60x1 8x20 --config.num-seeds 2 --config.steps 60 --config.angle-seeds 200"
    )
    tables = tables_of(capsys, TRAINABILITY, out, *options.split())
    data = store.read_result(out)
    assert set(data["axis"].values) == {"layer", "step"}
    assert "row" in data.dims
    end = data["mean"].sel(row=60)
    assert float(end.sel(case="accuracy-60x1")[1]) > 0.7
    assert float(end.sel(case="accuracy-8x20")[1]) < 0.5
    wide, deep = tables["Test accuracy and the angle at initialization"]
    assert (wide["network"], deep["network"]) == ("60x1", "8x20")
    assert measured(wide["test accuracy"])[0] == pytest.approx(
        float(end.sel(case="accuracy-60x1")[1]), abs=0.01
    )
    for row in (wide, deep):
        angle = float(data["mean"].sel(case=f"angle-{row['network']}")[:, 0].dropna("row")[-1])
        assert measured(row["angle, measured"])[0] == pytest.approx(angle, rel=0.05)
    assert deep["finite width"] < deep["infinite width"] < wide["finite width"]


@pytest.mark.exhaustive_cases("condensation-counts0")
@pytest.mark.parametrize(
    ("experiment", "counts"), [(CONDENSATION, (29, 53, 110)), (TRAINABILITY, (6, 12, 36))]
)
@pytest.mark.slow_cases("condensation-counts0")
def test_presets_plan_every_case(experiment, counts, capsys):
    presets = dict(zip(("smoke", "paper", "full"), counts, strict=True))
    assert_plans(capsys, experiment, presets)


@pytest.mark.parametrize(
    ("experiment", "option", "text"),
    [
        (CONDENSATION, ("--config.phases", "1.5"), "the point '1.5' of the phase diagram"),
        (CONDENSATION, ("--config.std", "-1.0"), "std=-1.0"),
        (CONDENSATION, ("--config.deep-activations", "swoosh"), "the activation 'swoosh'"),
        (CONDENSATION, ("--config.phases", "1,0", "1,0"), "two cases called phase-1-0-w100"),
        (TRAINABILITY, ("--config.nets", "30"), "the architecture '30'"),
        (TRAINABILITY, ("--config.nets", "30x0"), "no layers"),
    ],
)
def test_configs_that_make_no_sense_are_refused(experiment, option, text, capsys):
    assert_refused(capsys, experiment, option, text)
