"""Figures of a report."""

import base64
import dataclasses

import numpy as np
import pytest
from html_pages import Page
from paths import TINY_EXPERIMENT
from report_pictures import SVG, gif, png

from deepinit.core.errors import SpecError
from deepinit.runs.report import FigureItem, Report, render


def test_figures_have_descriptions_and_ids_of_their_own():
    report = Report(
        "t", figures=[FigureItem("One", "First.", svg=SVG), FigureItem("Two", "", svg=SVG)]
    )
    page = Page(render(report))
    drawings = page.all("svg")
    assert [d["aria-label"] for d in drawings] == ["One. First.", "Two"]
    assert {d["role"] for d in drawings} == {"img"}
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert page.all("use") == [{"xlink:href": "#figure-1-mark"}, {"xlink:href": "#figure-2-mark"}]
    assert [g["clip-path"] for g in page.all("g")] == ["url(#figure-1-mark)", "url(#figure-2-mark)"]
    for _, attrs in page.tags:
        if "xlink:href" in attrs:
            assert attrs["xlink:href"][1:] in ids


def test_a_large_drawing_gives_way_to_its_picture():
    large = SVG.replace('d="M 0 0"', f'd="{"M 0 0 " * 100_000}"')
    small_page = Page(render(Report("t", figures=[FigureItem("f", "", svg=SVG, png=png())])))
    large_page = Page(render(Report("t", figures=[FigureItem("f", "", svg=large, png=png())])))
    assert (len(small_page.all("svg")), len(small_page.all("img"))) == (1, 0)
    assert (len(large_page.all("svg")), len(large_page.all("img"))) == (0, 1)
    (image,) = large_page.all("img")
    assert base64.b64decode(image["src"].split(",")[1]) == png()
    assert image["style"] == "width: 672px"
    assert len(Page(render(Report("t", figures=[FigureItem("f", "", svg=large)]))).all("svg")) == 1


def test_a_moving_picture_is_shown_in_place_of_its_still_ones_at_its_own_size():
    figures = [
        FigureItem("f", "It moves.", svg=SVG, png=png(), gif=gif()),
        FigureItem("g", "", gif=gif(301)),
    ]
    page = Page(render(Report("t", figures=figures)))
    assert page.all("svg") == []
    first, second = page.all("img")
    kind, data = first["src"].split(",")
    assert kind == "data:image/gif;base64"
    assert base64.b64decode(data) == gif()
    assert (first["alt"], first["style"]) == ("f. It moves.", "width: 480px")
    assert second["style"] == "width: 301px"


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_real_moving_picture_fits_in_and_a_run_writes_it_beside_its_drawing(tmp_path):
    from deepinit import plots
    from deepinit.runs.execute import run
    from deepinit.runs.load import load_experiment

    tiny = load_experiment(str(TINY_EXPERIMENT))
    moving = plots.animate_similarities(np.stack([np.eye(2), -np.eye(2)]), title="t")
    figures = [FigureItem("It moves!", "", svg=SVG, gif=moving), FigureItem("Still", "", png=png())]
    experiment = dataclasses.replace(tiny, figures=lambda config, results: figures)
    run(experiment, dataclasses.replace(tiny.preset("quick"), num_seeds=20), tmp_path / "run")
    written = {file.name: file.read_bytes() for file in (tmp_path / "run" / "figures").iterdir()}
    assert written == {
        "01-it-moves.gif": moving,
        "01-it-moves.svg": SVG.encode(),
        "02-still.png": png(),
    }
    width = int.from_bytes(moving[6:8], "little")
    first, _ = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8")).all("img")
    assert first["style"] == f"width: {width}px"


@pytest.mark.parametrize(
    "svg",
    [
        "",
        "plain text",
        "<svg></svg>",
        SVG.replace("<defs>", "<script>x</script><defs>"),
        SVG.replace("<g ", '<g onload="x" '),
    ],
)
def test_what_is_not_a_drawing_is_refused(svg):
    with pytest.raises(SpecError, match="not a plain drawing"):
        render(Report("t", figures=[FigureItem("f", "", svg=svg)]))


def test_a_figure_without_a_picture_is_refused():
    with pytest.raises(SpecError, match="without a picture"):
        render(Report("t", figures=[FigureItem("f", "")]))


def test_real_figures_fit_in():
    from deepinit import plots
    from deepinit.core.results import Prediction

    fig = plots.layers(Prediction("q", "paper", np.zeros((3, 1)), None, "", "", ""))
    item = FigureItem("f", "c", svg=plots.to_svg(fig), png=plots.to_png(fig))
    text = render(Report("t", figures=[item, item]))
    page = Page(text)
    assert len(page.all("svg")) == 2
    assert "http://" not in text
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
