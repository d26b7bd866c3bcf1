"""A run's report: one self-contained HTML file.

Text is escaped, figures are inlined, nothing is fetched. Equal reports give equal bytes.
"""

import base64
import dataclasses
import html
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepinit.core.errors import SpecError
from deepinit.core.tables import Table
from deepinit.runs.report_style import STYLE

MAX_SVG_CHARACTERS = 400_000
SECTIONS_WITHOUT_CONTENTS = 6


@dataclasses.dataclass(frozen=True)
class FigureItem:
    """A figure of the report: GIF if given, else SVG, PNG if large.

    Attributes:
        caption: the finding, in a sentence or two.
        svg, png: of `plots.to_svg`, `plots.to_png`.
        gif: of `plots.animate_orientations` or `plots.animate_similarities`.
    """

    title: str
    caption: str
    svg: str | None = None
    png: bytes | None = None
    gif: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """Content of a report, in order.

    `summary`: sentences. `findings`, `tables`: before and after the figures. `provenance`: nested
    mapping. `citation`: plain text and BibTeX. `command`: reproduces the run.
    """

    title: str
    summary: Sequence[str] = ()
    findings: Sequence[Table] = ()
    figures: Sequence[FigureItem] = ()
    tables: Sequence[Table] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    citation: str = ""
    command: str = ""


def figure_item(title: str, caption: str, figure: Any) -> FigureItem:
    """Figure as SVG, or PNG if too large."""
    from deepinit import plots

    svg = plots.to_svg(figure)
    if len(svg) <= MAX_SVG_CHARACTERS:
        return FigureItem(title, caption, svg=svg)
    return FigureItem(title, caption, png=plots.to_png(figure))


def plot_item(
    title: str, caption: str, plot: Callable[..., Any], *args: Any, **options: Any
) -> FigureItem:
    """Figure plot(*args, title=title, **options)."""
    return figure_item(title, caption, plot(*args, title=title, **options))


def checks_item(
    results: Mapping[str, Any],
    title: str = "Every check of this run",
    caption: str = "One dot per layer; a cross is beyond the threshold.",
    theories: Sequence[str] | None = None,
) -> FigureItem:
    """z-scores of the given results."""
    from deepinit import plots

    datasets = {name: result.dataset for name, result in results.items()}
    return figure_item(title, caption, plots.z_panel(datasets, routes=theories))


def render(report: Report) -> str:
    """The HTML document; SpecError for figures without a plain picture."""
    sections: list[tuple[str, str]] = []
    if report.summary:
        items = "\n".join(f"<li>{_text(sentence)}</li>" for sentence in report.summary)
        sections.append(("Summary", f'<ul class="summary">\n{items}\n</ul>'))
    sections += [(table.title, table.to_html()) for table in report.findings]
    sections += [(item.title, _figure(item, k)) for k, item in enumerate(report.figures, start=1)]
    sections += [(table.title, table.to_html()) for table in report.tables]
    if report.provenance:
        sections.append(("Provenance", _provenance(report.provenance)))
    if report.command:
        code = f"<pre><code>{_text(report.command)}</code></pre>"
        sections.append(("Run it again", code))
    if report.citation:
        sections.append(("Citation", f"<pre>{_text(report.citation)}</pre>"))
    long = len(sections) > SECTIONS_WITHOUT_CONTENTS
    contents = _contents([title for title, _ in sections]) if long else ""
    body = "\n".join(
        f'<section id="section-{number}">\n<h2>{_text(title)}</h2>\n{content}\n</section>'
        for number, (title, content) in enumerate(sections, start=1)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="deepinit">
<title>{_text(report.title)}</title>
<style>
{STYLE}</style>
</head>
<body>
<main>
<h1>{_text(report.title)}</h1>
{contents}{body}
</main>
</body>
</html>
"""


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _contents(titles: list[str]) -> str:
    items = "\n".join(
        f'<li><a href="#section-{number}">{_text(title)}</a></li>'
        for number, title in enumerate(titles, start=1)
    )
    return f'<nav aria-label="Contents">\n<ol>\n{items}\n</ol>\n</nav>\n'


def _figure(item: FigureItem, number: int) -> str:
    label = _text(f"{item.title}. {item.caption}" if item.caption else item.title)
    if item.gif is not None:
        # bytes 6 and 7 of a GIF file hold its width in CSS pixels
        picture = _inline_image("gif", item.gif, label, int.from_bytes(item.gif[6:8], "little"))
    elif item.svg is not None and (item.png is None or len(item.svg) <= MAX_SVG_CHARACTERS):
        picture = _inline_svg(item, number, label)
    elif item.png is not None:
        # bytes 16 to 20 of a PNG file hold its width; a figure has 150 dots per inch, a page 96
        width = int.from_bytes(item.png[16:20], "big") * 96.0 / 150.0
        picture = _inline_image("png", item.png, label, width)
    else:
        given = f"the figure {item.title!r} without a picture"
        raise SpecError(given, "svg, png or gif", "Use di.plots.to_svg.")
    caption = f"\n<figcaption>{_text(item.caption)}</figcaption>" if item.caption else ""
    return f"<figure>\n{picture}{caption}\n</figure>"


def _inline_image(kind: str, file: bytes, label: str, width: float) -> str:
    data = base64.b64encode(file).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{label}" style="width: {width:.0f}px">'


def _inline_svg(item: FigureItem, number: int, label: str) -> str:
    """The svg element, scaled, with unique ids."""
    match = re.search(r"<svg\b([^>]*)>(.*)</svg>", item.svg or "", flags=re.DOTALL)
    view = re.search(r'viewBox="([-\d.\s]+)"', match.group(1)) if match else None
    active = r"<script|<foreignObject|\son\w+="
    if match is None or view is None or re.search(active, match.group(2), re.IGNORECASE):
        given = f"the figure {item.title!r} with an SVG that is not a plain drawing"
        allowed = "an svg element with a viewBox and no scripts"
        raise SpecError(given, allowed, "Use di.plots.to_svg.")
    inner = re.sub(r"<metadata>.*?</metadata>", "", match.group(2), flags=re.DOTALL)
    prefix = f"figure-{number}-"
    inner = re.sub(r'\bid="', f'id="{prefix}', inner)
    inner = re.sub(r"url\(#", f"url(#{prefix}", inner)
    inner = re.sub(r'href="#', f'href="#{prefix}', inner)
    width = float(view.group(1).split()[2])
    style = f"max-width: {width * 96.0 / 72.0:.0f}px"  # points to CSS pixels
    tag = f'svg viewBox="{view.group(1)}" role="img" aria-label="{label}" style="{style}"'
    return f"<{tag}>{inner}</svg>"


def _provenance(record: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"<div><dt>{_text(key)}</dt><dd>{_provenance_value(value)}</dd></div>"
        for key, value in record.items()
    )
    return f"<dl>\n{rows}\n</dl>"


def _provenance_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return _provenance(value) if value else "none"
    if isinstance(value, list | tuple):
        if any(isinstance(item, Mapping) for item in value):
            return "\n".join(_provenance_value(item) for item in value)
        return _text(", ".join(str(item) for item in value)) if value else "none"
    if value is None or value == "":
        return "none"
    return _text(value)
