import math
import re
import subprocess
import sys

from html_pages import Page
from report_pictures import SVG, gif, png

from deepinit.core.tables import Table
from deepinit.plots.style import route_styles
from deepinit.runs.report import FigureItem, Report, render
from deepinit.runs.report_parts import CaseDetails, Cell, HeatMap, Tile


def full_report():
    return Report(
        title="Angles",
        name="vanishing_angles",
        summary=["Second order agrees.", "Infinite width is rejected."],
        tiles=[Tile("Checks held", "2 of 2", "at 5 standard errors", "good")],
        headline=FigureItem("Zero", "Headline.", svg=SVG),
        heat_map=HeatMap(
            ("paper", "infinite_width"),
            {
                "w16": {
                    "paper": Cell(1.2, "check held"),
                    "infinite_width": Cell(-40.8, "rejected", True),
                },
                "w64": {"infinite_width": Cell(math.nan, "not judged")},
            },
        ),
        meanings={
            "paper": "As published.",
            "infinite_width": "Width to infinity: $n \\to \\infty$.",
        },
        checks=[("The angle shrinks.", True), ("It grows.", False)],
        findings=[Table("By width", ["width", "paper"], [(16, 0.5)])],
        figures=[
            FigureItem("One", "First caption.", svg=SVG),
            FigureItem("Two", "Second caption.", png=png()),
            FigureItem("Three", "It moves.", gif=gif()),
        ],
        cases=[
            CaseDetails(name, "100 networks", {"inputs": "a pair"}, [], {"exact": "it has biases"})
            for name in ("w16", "w64")
        ],
        tables=[
            Table("Layers", ["layer", "mean", "z"], [(1, -1.5, 0.3), (2, -2.25, -7.0)], "A note.")
        ],
        files={"comparison.csv": "every comparison", "result.nc": "everything"},
        provenance={
            "commit": "abc",
            "versions": {"jax": "0.10.2", "deep": {"a": 1}},
            "devices": ["cpu:0", "cpu:1"],
        },
        citation="@article{x, title={T}}",
        command="deepinit run x",
    )


SECTIONS = {
    "theories": "Where theories hold",
    "names": "Theories",
    "checks": "Checks",
    "findings": "Findings",
    "figures": "Figures",
    "cases": "Cases",
    "tables": "Tables",
    "files": "Files",
    "again": "Run it again",
    "citation": "Citation",
    "provenance": "Provenance",
}


def test_the_page_is_well_formed_and_complete():
    text = render(full_report())
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert {"charset": "utf-8"} in page.all("meta")
    assert page.texts["title"] == ["Angles"] == page.texts["h1"]
    assert page.texts["h2"] == list(SECTIONS.values())
    assert page.texts["h3"] == ["Zero", "By width", "One", "Two", "Three"]
    assert page.texts["strong"] == ["2 of 2"]
    assert page.texts["figcaption"] == [
        "Headline.",
        "First caption.",
        "Second caption.",
        "It moves.",
    ]
    assert page.texts["pre"] == ["deepinit run x", "@article{x, title={T}}"]
    assert page.texts["dt"][-6:] == ["commit", "versions", "jax", "deep", "a", "devices"]
    assert "cpu:0, cpu:1" in page.texts["dd"]
    assert render(full_report()) == text


def test_the_page_fetches_nothing_and_runs_nothing():
    text = render(full_report())
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in page.tags}
    allowed = ("data:image/png;base64,", "data:image/gif;base64,", "#")
    beside = []
    for _, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href") and not value.startswith(allowed):
                beside.append(value)
    assert beside == ["comparison.csv", "result.nc"]


def test_the_first_screen_has_at_most_five_sentences():
    summary = [f"Sentence {k}." for k in range(7)]
    page = Page(render(Report("t", summary=summary)))
    assert page.texts["p"] == summary[:5]


def test_the_heat_map_is_told_by_words_and_leads_to_cases_and_names():
    page = Page(render(full_report()))
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    links = [attrs["href"][1:] for attrs in page.all("a") if attrs["href"].startswith("#")]
    assert {"case-w16", "case-w64", "theory-paper", "theory-infinite_width"} <= set(links) <= ids
    assert page.texts["td"][:4] == ["1.2check held", "40.8rejected", "–", "–not judged"]
    levels = [attrs.get("class") for attrs in page.all("td")[:4]]
    assert levels == ["a1", "r3", "none", "none"]


def test_a_failed_check_is_told_in_the_heat_map():
    cell = Cell(7.0, "check failed", rejected=True, failed=True)
    page = Page(render(Report("t", heat_map=HeatMap(("exact",), {"c": {"exact": cell}}))))
    assert page.all("td") == [{"class": "r1 failed"}]
    assert page.texts["td"] == ["7.0check failed"]


def test_every_theory_has_its_own_colour_and_sentence():
    text = render(full_report())
    page = Page(text)
    assert "Width to infinity: n → ∞." in page.texts["dd"]
    for name in ("paper", "infinite_width"):
        colour = f"var(--c{route_styles([name])[name].colour[1:].lower()})"
        swatch = f'<span class="swatch" style="background: {colour}"></span>{name}</span>'
        assert text.count(swatch) >= 2  # heat map, glossary, headings of tables


def test_details_of_a_case_are_collapsed_around_their_target():
    text = render(full_report())
    assert "open" not in [name for attrs in Page(text).all("details") for name in attrs]
    assert re.search(r"<details>\n<summary>w16 .*\n<div id=\"case-w16\">", text)
    assert "it has biases" in text


def test_checks_say_whether_they_held():
    page = Page(render(full_report()))
    assert page.texts["b"] == ["held", "FAILED"]


def test_everything_is_escaped():
    evil = "<script>alert('x')</script> & \"quotes\""
    report = Report(
        title=evil,
        summary=[evil],
        tables=[Table(evil, [evil], [(evil,)], evil)],
        figures=[FigureItem(evil, evil, svg=SVG), FigureItem(evil, evil, png=png())],
        provenance={evil: {evil: [evil]}},
        citation=evil,
        command=evil,
    )
    text = render(report)
    page = Page(text)
    assert "<script" not in text
    assert page.texts["h1"] == [evil]
    assert page.texts["td"] == [evil]
    assert page.all("img")[0]["alt"] == f"{evil}. {evil}"
    assert text.count("&lt;script&gt;") >= 14


def test_contents_appear_with_several_sections_and_lead_somewhere():
    assert Page(render(Report("t", command="x"))).all("nav") == []
    page = Page(render(full_report()))
    assert len(page.all("nav")) == 1
    assert [section["id"] for section in page.all("section")] == list(SECTIONS)
    links = [attrs["href"] for attrs in page.all("a")][: len(SECTIONS)]
    assert links == [f"#{anchor}" for anchor in SECTIONS]


def test_tables_scroll_in_a_named_box_and_numerals_are_tabular():
    text = render(full_report())
    *_, box = [attrs for attrs in Page(text).all("div") if attrs.get("class") == "box"]
    assert box == {"class": "box", "tabindex": "0", "role": "region", "aria-label": "Layers"}
    assert "tabular-nums" in text
    assert re.search(r"\.box \{ overflow: auto", text)
    assert "@media print" in text
    assert "width=device-width" in text


def test_an_empty_report_is_a_page():
    page = Page(render(Report("Nothing yet")))
    assert page.texts["h1"] == ["Nothing yet"]
    assert page.all("section") == []


def test_importing_the_report_imports_no_heavy_package():
    heavy = "('matplotlib', 'xarray', 'jax')"
    code = f"import sys, deepinit.runs.report; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"
