"""Figures in the colours of the page."""

import re

import pytest
from html_pages import Page

from deepinit.runs.figure_html import figure_html, figures_html, in_dark, palette
from deepinit.runs.figure_items import FigureItem


def drawing(colours=("#000000",), size=(504, 324), inside=""):
    paths = "".join(f'<path style="fill: none; stroke: {each}"/>' for each in colours)
    return FigureItem("t", "", svg=f'<svg viewBox="0 0 {size[0]} {size[1]}">{paths}{inside}</svg>')


def luminance(colour):
    """Relative luminance by WCAG 2."""
    values = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other="#1b1d20"):
    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_page_decides_the_colours_of_drawings():
    figure = figure_html(drawing(["#1A1A1A", "#0072b2"]), 1)
    assert figure.kind == "themed"
    assert figure.colours == {"#000000", "#1a1a1a", "#0072b2"}
    assert "stroke: var(--c1a1a1a)" in figure.content
    assert not re.search("#[0-9a-f]{6}", figure.content)
    css = palette(figure.colours)
    light, dark = css.strip().split("\n")
    for colour in figure.colours:
        assert f"--c{colour[1:]}: {colour};" in light
        assert f"--c{colour[1:]}:" in dark
    assert "@media screen and (prefers-color-scheme: dark)" in dark


def test_lines_can_be_seen_on_the_dark_surface():
    from deepinit.plots.style import KNOWN_COLOURS, MEASURED_COLOURS, OTHER_COLOURS, width_colour

    lines = {*KNOWN_COLOURS.values(), *OTHER_COLOURS, *MEASURED_COLOURS}
    lines |= {width_colour(2**k) for k in range(2, 12)}
    for colour in lines:
        assert contrast(in_dark(colour.lower())) > 3.0
    assert contrast("#882255") < 3.0  # as it is
    assert contrast(in_dark("#000000")) > 10
    assert in_dark("#ffffff") == "var(--surface)"
    assert in_dark("#56b4e9") == "#56b4e9"


@pytest.mark.parametrize(
    "item",
    [
        drawing([f"#0000{k:02x}" for k in range(80)]),
        drawing(inside='<image xlink:href="data:image/png;base64,"/>'),
    ],
)
def test_drawings_with_a_colour_map_stay_on_white(item):
    figure = figure_html(item, 1)
    assert (figure.kind, figure.colours) == ("picture", set())
    assert "var(" not in figure.content


def test_figures_fill_two_columns():
    def classes(*widths):
        html = figures_html([figure_html(drawing(size=(each, 100)), 1) for each in widths])
        return [attrs["class"].endswith("wide") for attrs in Page(html).all("figure")]

    assert classes(500, 500) == [False, False]
    assert classes(500, 500, 500) == [False, False, True]
    assert classes(500, 648, 500, 500) == [True, True, False, False]
    assert classes(648) == [True]


def test_a_title_in_the_drawing_is_not_shown_twice():
    from deepinit import plots
    from deepinit.core.results import Prediction

    fig = plots.layers(Prediction("q", "paper", [[0.0], [1.0]], None, "", "", ""), title="Mine")
    content = figure_html(FigureItem("Mine", "", svg=plots.to_svg(fig)), 1).content
    assert '<h3 class="drawn">Mine</h3>' in content
    assert "<h3>t</h3>" in figure_html(drawing(), 1).content
