"""Reports in headless Chromium: light, dark, at 400 pixels."""

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from case_results import case_result

from deepinit import plots
from deepinit.runs import overview
from deepinit.runs.report import Report, plot_item, render
from deepinit.runs.verdicts import theory_verdicts

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
WIDTHS = (400, 1280)


def page(draws=True):
    """A report with tables and names that are wider than 400 pixels."""
    results = [
        case_result(
            f"{name}-{'with-a-long-name-' * 3}",
            {"tapered": 1.0, "second_order": 8.0, "paper": 20.0, "infinite_width": -86.0},
            case={"checked": ("tapered",)},
        )
        for name in ("w16", "w64")
    ]
    verdicts = {each.case.name: theory_verdicts(each) for each in results}
    chart = overview.heat_map(verdicts)
    plotted = "Layers", "Measured and predicted.", plots.layers, results[0].dataset
    figure = plot_item(*plotted) if draws else None
    return Report(
        "Angles",
        name="angles",
        summary=["What holds?", *overview.theory_sentences(verdicts)],
        tiles=overview.tiles(results, 2, 0, 83.0),
        headline=figure,
        heat_map=chart,
        meanings=overview.meanings(results, chart.theories, {}),
        figures=[figure, figure, figure] if figure else [],
        cases=[overview.case_details(each, verdicts[each.case.name]) for each in results],
        provenance={"path": "/a/long/path" * 30},
        command="deepinit run " + "angles" * 40,
        citation="@misc{x, title = {" + "T" * 300 + "}}",
    )


def chromium(*arguments):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags.append("--allow-file-access-from-files")
    command = [str(BROWSER), *flags, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(page()).replace("<details>", "<details open>"))
    return path


@needs_browser
@pytest.mark.slow
def test_the_page_never_scrolls_sideways(file):
    frames = "".join(
        f'<iframe src="report.html" width="{w}" height="900"></iframe>' for w in WIDTHS
    )
    script = (
        "onload = () => document.title = [...document.querySelectorAll('iframe')].map("
        "f => f.contentDocument.documentElement.scrollWidth).join()"
    )
    harness = Path(file.parent, "harness.html")
    harness.write_text(f"<html><body>{frames}<script>{script}</script></body></html>")
    seen = chromium("--virtual-time-budget=5000", "--dump-dom", f"file://{harness}")
    widths = re.search("<title>(.*?)</title>", seen)
    assert widths is not None
    assert widths[1] == ",".join(map(str, WIDTHS))


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
def test_surfaces_and_figures_follow_the_colour_scheme(file, tmp_path, dark):
    import matplotlib.image

    picture = tmp_path / "page.png"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    chromium(*scheme, "--window-size=1280,1000", f"--screenshot={picture}", f"file://{file}")
    pixels = matplotlib.image.imread(picture)[..., :3].mean(axis=2)
    assert pixels.shape == (1000, 1280)
    background = np.median(pixels)
    assert background < 0.15 if dark else background > 0.9
    # text and lines stand out everywhere: in each fifth of the first screen
    for part in np.array_split(pixels[:700], 5):
        assert np.abs(part - background).max() > 0.6


def test_the_page_of_equal_reports_is_equal():
    first, second = render(page(draws=False)), render(page(draws=False))
    assert first == second
    other = dataclasses.replace(page(draws=False), title="Other")
    assert render(other) != first
