"""The experiments on training through the real command, in small: their cases, their words, their figures, their refusals."""

import html
import json
import re

import pytest

from deepinit import cli, store

CONDENSATION, TRAINABILITY = "condensation", "trainability"

SMALL = (
    "--config.multiplicities 1 3 --config.num-seeds 2 --config.law-seeds 16 --config.width 60 --config.deep-steps 40 "
    "--config.image-steps 2 --config.phases 1.75,0 --config.phase-widths 40 160 --config.phase-seeds 2 --config.scales 0.5 2 "
    "--config.scale-width 40"
)


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", *arguments])
    return ended.value.code, capsys.readouterr().out


def words_of(report):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", report.read_text())))


@pytest.mark.slow
@pytest.mark.exhaustive
def test_small_run_finds_the_predicted_orientations_and_says_so(tmp_path, capsys):
    out = tmp_path / "small"
    code, printed = run(capsys, CONDENSATION, "--json", "--out", str(out), *SMALL.split())
    record = json.loads(printed)
    assert code == 0, record["failures"]
    data = store.read_result(out)
    means = data["mean"].isel(pair=0)
    for case, count in {"p1-1d": 2, "p3-1d": 6, "p3-simplex": 12, "adam-p1-5d": 2}.items():
        assert float(means.sel(case=case).dropna("step")[-1]) == count
    z = abs(data["z"])
    for case in ("aligned-fraction", "relative-distance", "drop-time"):
        assert float(z.sel(case=case, route="leading_order").max()) < 5
    assert float(z.sel(case="aligned-fraction", route="infinite_width").max()) > 20
    assert float(z.sel(case="scale-2", route="infinite_width").max()) > 20
    text = words_of(out / "report.html")
    for words in (
        "p3-simplex: 12 orientations (predicted 12), 0 of 2 networks not condensed",
        "take 12 orientations: the conjecture of at most 2p = 6 is false",
        "predicted for large widths 0.38 (condensed)",
        "zhou2022condensation",
    ):
        assert words in text
    cube, sphere = re.search(
        r"adam-p1-5d: median cosine (0\.\d+|1\.0+) with the maxima .*? (0\.\d+) with those on the sphere",
        text,
    ).groups()
    assert float(cube) > 0.999 > 0.95 > float(sphere)  # Adam descends by signs
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
    code, _ = run(capsys, TRAINABILITY, "--out", str(out), *options.split())
    assert code == 0
    data = store.read_result(out)
    assert set(data["axis"].values) == {"layer", "step"}
    assert "row" in data.dims
    end = data["mean"].sel(row=60)
    assert float(end.sel(case="accuracy-60x1")[1]) > 0.7
    assert float(end.sel(case="accuracy-8x20")[1]) < 0.5
    assert "8x20: test accuracy" in words_of(out / "report.html")


@pytest.mark.parametrize(
    ("experiment", "counts"), [(CONDENSATION, (29, 53, 110)), (TRAINABILITY, (6, 12, 36))]
)
def test_presets_plan_every_case(experiment, counts, capsys):
    for preset, count in zip(("smoke", "paper", "full"), counts, strict=True):
        code, printed = run(capsys, experiment, "--dry-run", "--preset", preset)
        assert code == 0
        assert f"{count} cases" in printed


@pytest.mark.parametrize(
    ("experiment", "option", "words"),
    [
        (CONDENSATION, ("--config.phases", "1.5"), "the point '1.5' of the phase diagram"),
        (CONDENSATION, ("--config.std", "-1.0"), "std=-1.0"),
        (CONDENSATION, ("--config.deep-activations", "swoosh"), "the activation 'swoosh'"),
        (CONDENSATION, ("--config.phases", "1,0", "1,0"), "two cases called phase-1-0-w100"),
        (TRAINABILITY, ("--config.nets", "30"), "the architecture '30'"),
        (TRAINABILITY, ("--config.nets", "30x0"), "no layers"),
    ],
)
def test_configs_that_make_no_sense_are_refused(experiment, option, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", experiment, "--dry-run", *option])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
