"""A run's report: one HTML file that needs nothing else, for reading on a screen, a telephone or paper.

Everything that is shown is escaped; figures are inlined (SVG, PNG where the drawing would be large, GIF where it moves); there are no
scripts, no fonts and no style sheets to fetch. Equal reports give equal bytes.
"""

import base64
import dataclasses
import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deepinit.core.errors import SpecError, refusal
from deepinit.core.results import GATE
from deepinit.runs.report_style import STYLE

MAX_SVG_CHARACTERS = 400_000
SECTIONS_WITHOUT_CONTENTS = 6
LONG_CELL = 32  # characters from which a cell's text may break into lines


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the report.

    Attributes:
        title: heading.
        columns: names; a column called `z` (or `z` and something, such as "z second order") holds z-scores, and
            those at or beyond the gate are marked, and so is a text that states one ("-4.66, z -17.2").
        rows: one cell per column: text, numbers, True/False, None for "not available".
        note: a sentence below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class FigureItem:
    """A figure of the report: the `gif` if there is one; else `svg`, or `png`, or of both the SVG unless it is large.

    Attributes:
        title: heading.
        caption: what to see, in a sentence or two.
        svg: document of `plots.to_svg`.
        png: file of `plots.to_png`.
        gif: file of `plots.animate_orientations` or `plots.animate_similarities`.
    """

    title: str
    caption: str
    svg: str | None = None
    png: bytes | None = None
    gif: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run has to say.

    Attributes:
        title: of the page.
        summary: sentences; verdicts in words first.
        tables, figures: in order.
        provenance: nested mapping: versions, commit, devices, settings.
        citation: plain text and BibTeX.
        command: that reproduces the run.
    """

    title: str
    summary: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[FigureItem] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    citation: str = ""
    command: str = ""


def figure_item(title: str, caption: str, figure: Any) -> FigureItem:
    """A matplotlib figure as a FigureItem: SVG, or PNG where the drawing is too large for a page."""
    from deepinit import plots

    svg = plots.to_svg(figure)
    if len(svg) <= MAX_SVG_CHARACTERS:
        return FigureItem(title, caption, svg=svg)
    return FigureItem(title, caption, png=plots.to_png(figure))


def render(report: Report) -> str:
    """The report as one self-contained HTML document.

    Raises:
        SpecError: a table's row with a cell too many or too few; a figure without a picture, or with an SVG that is
            not a drawing.
    """
    sections: list[tuple[str, str]] = []
    if report.summary:
        items = "\n".join(f"<li>{_text(sentence)}</li>" for sentence in report.summary)
        sections.append(("Summary", f'<ul class="summary">\n{items}\n</ul>'))
    sections += [(item.title, _figure(item, index)) for index, item in enumerate(report.figures, start=1)]
    sections += [(table.title, _table(table)) for table in report.tables]
    if report.provenance:
        sections.append(("Provenance", _provenance(report.provenance)))
    if report.command:
        sections.append(("Run it again", f"<pre><code>{_text(report.command)}</code></pre>"))
    if report.citation:
        sections.append(("Citation", f"<pre>{_text(report.citation)}</pre>"))
    contents = _contents([title for title, _ in sections]) if len(sections) > SECTIONS_WITHOUT_CONTENTS else ""
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
        f'<li><a href="#section-{number}">{_text(title)}</a></li>' for number, title in enumerate(titles, start=1)
    )
    return f'<nav aria-label="Contents">\n<ol>\n{items}\n</ol>\n</nav>\n'


def _figure(item: FigureItem, number: int) -> str:
    label = _text(f"{item.title}. {item.caption}" if item.caption else item.title)
    if item.gif is not None:
        # bytes 6 and 7 of a GIF file hold its width, in the page's own pixels
        picture = _inline_image("gif", item.gif, label, int.from_bytes(item.gif[6:8], "little"))
    elif item.svg is not None and (item.png is None or len(item.svg) <= MAX_SVG_CHARACTERS):
        picture = _inline_svg(item, number, label)
    elif item.png is not None:
        # bytes 16 to 20 of a PNG file hold its width; a figure has 150 dots per inch, a page 96
        width = int.from_bytes(item.png[16:20], "big") * 96.0 / 150.0
        picture = _inline_image("png", item.png, label, width)
    else:
        raise SpecError(
            f"the figure {item.title!r} without a picture", "svg, png or gif", "Use di.plots.to_svg."
        )
    caption = f"\n<figcaption>{_text(item.caption)}</figcaption>" if item.caption else ""
    return f"<figure>\n{picture}{caption}\n</figure>"


def _inline_image(kind: str, file: bytes, label: str, width: float) -> str:
    data = base64.b64encode(file).decode("ascii")
    return f'<img src="data:image/{kind};base64,{data}" alt="{label}" style="width: {width:.0f}px">'


def _inline_svg(item: FigureItem, number: int, label: str) -> str:
    """The drawing alone (no prolog), scaled to the page, with ids that no other figure of the page has."""
    match = re.search(r"<svg\b([^>]*)>(.*)</svg>", item.svg or "", flags=re.DOTALL)
    view = re.search(r'viewBox="([-\d.\s]+)"', match.group(1)) if match else None
    if match is None or view is None or re.search(r"<script|<foreignObject|\son\w+=", match.group(2), re.IGNORECASE):
        raise SpecError(
            f"the figure {item.title!r} with an SVG that is not a plain drawing",
                "an svg element with a viewBox and no scripts",
                "Use di.plots.to_svg."
        )
    inner = re.sub(r"<metadata>.*?</metadata>", "", match.group(2), flags=re.DOTALL)
    prefix = f"figure-{number}-"
    inner = re.sub(r'\bid="', f'id="{prefix}', inner)
    inner = re.sub(r"url\(#", f"url(#{prefix}", inner)
    inner = re.sub(r'href="#', f'href="#{prefix}', inner)
    width = float(view.group(1).split()[2])
    # points to CSS pixels: a drawing is shown at its size, never wider than the page
    style = f"max-width: {width * 96.0 / 72.0:.0f}px"
    return f'<svg viewBox="{view.group(1)}" role="img" aria-label="{label}" style="{style}">{inner}</svg>'


def _table(table: Table) -> str:
    for row in table.rows:
        if len(row) != len(table.columns):
            raise SpecError(
                f"a row of {len(row)} cells in the table {table.title!r}",
                    f"{len(table.columns)} cells, one per column",
                    "Use None for a cell that is not available."
            )
    columns = [[row[index] for row in table.rows] for index in range(len(table.columns))]
    scores = [re.match(r"z(\b|_)", name) is not None for name in table.columns]
    numeric = [
        any(map(_is_number, cells)) and all(c is None or c == "" or _is_number(c) for c in cells) for cells in columns
    ]
    written = [
        [_score(cell) if is_score else _number(cell, _decimals(cells)) for cell in cells]
        for cells, is_score in zip(columns, scores, strict=True)
    ]
    head = "".join(
        f'<th scope="col"{_cell_class(right)}>{_text(name)}</th>'
        for name, right in zip(table.columns, numeric, strict=True)
    )
    rows = "\n".join(
        "<tr>"
        + "".join(
            f"<td{_cell_class(numeric[i], columns[i][k])}>{written[i][k]}</td>" for i in range(len(table.columns))
        )
        + "</tr>"
        for k in range(len(table.rows))
    )
    note = f'\n<p class="note">{_text(table.note)}</p>' if table.note else ""
    label = _text(table.title)
    return (
        f'<div class="box" tabindex="0" role="region" aria-label="{label}">\n<table aria-label="{label}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>{note}"
    )


def _cell_class(right: bool, cell: Any = None) -> str:
    if right:
        return ' class="number"'
    return ' class="prose"' if isinstance(cell, str) and len(cell) > LONG_CELL else ""


def _is_number(cell: Any) -> bool:
    """A number, or a text made of numbers (`-1.23 ± 0.04`, `-1.23 (0.5), z +0.3`)."""
    if isinstance(cell, str):
        return re.fullmatch(r"\s*[-+−]?\d[\d.,eEz()±+−\s-]*", cell) is not None
    return not isinstance(cell, bool) and _as_float(cell) is not None


def _as_float(cell: Any) -> float | None:
    """The value of a Python or NumPy number; None for anything else."""
    if isinstance(cell, str | bytes) or cell is None:
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _is_integer(cell: Any) -> bool:
    return hasattr(cell, "__index__") and not isinstance(cell, bool)


def _decimals(cells: Sequence[Any]) -> int | None:
    """Decimals that give a column's largest value four digits and its smallest three; None for powers of ten."""
    values = [] if any(isinstance(cell, str) for cell in cells) else [_as_float(cell) for cell in cells]
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0.0]
    if not sizes or min(sizes) < 1e-4 or max(sizes) >= 1e6 or max(sizes) / min(sizes) > 1e4:
        return None
    return max(0, 3 - math.floor(math.log10(max(sizes))), 2 - math.floor(math.log10(min(sizes))))


def _number(cell: Any, decimals: int | None) -> str:
    """A cell's text: typographic minus signs, thousands apart in integers, a dash for what is not available."""
    if cell is None:
        return '<span title="not available">–</span>'
    if isinstance(cell, bool) or type(cell).__name__ == "bool":  # NumPy's bool has that name too
        return "yes" if cell else "no"
    if isinstance(cell, str):
        return _scored_text(cell)
    value = _as_float(cell)
    if value is None:
        return _text(cell)
    if _is_integer(cell):
        return f"{int(cell):,}".replace("-", "−")
    if math.isnan(value):
        return '<span title="not available">–</span>'
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return (f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}").replace("-", "−")


def _score(cell: Any) -> str:
    """A z-score to two decimals; at or beyond the gate marked by text as well as by colour."""
    value = _as_float(cell)
    if value is None or math.isnan(value):
        return _number(cell, None)
    if math.isinf(value):
        written = _number(value, None)
    else:
        written = (f"{value:.2f}" if abs(value) < 1e4 else f"{value:.2e}").replace("-", "−")
    return written if abs(value) < GATE else _marked(written)


def _scored_text(cell: str) -> str:
    """A cell's text; marked if it states a z-score (`-4.66, z -17.2`) that as written is at or beyond the gate."""
    scores = re.findall(r"\bz(?:\s*=)?\s+([-+−]?\d+(?:\.\d*)?(?:e[-+]?\d+)?)", cell)
    beyond = any(abs(float(score.replace("−", "-"))) >= GATE for score in scores)
    return _marked(_text(cell)) if beyond else _text(cell)


def _marked(written: str) -> str:
    return f'<span class="beyond"><span class="mark">beyond ±{GATE:g}</span> {written}</span>'


def _provenance(record: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"<div><dt>{_text(key)}</dt><dd>{_provenance_value(value)}</dd></div>" for key, value in record.items()
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
