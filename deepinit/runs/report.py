"""A run's report: one self-contained HTML file.

Text is escaped, `$...$` typeset, figures are inlined, nothing is fetched or executed. Equal reports
give equal bytes.
"""

import dataclasses
import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deepinit.core.symbols import typeset
from deepinit.core.tables import Table, swatch
from deepinit.plots.style import route_styles
from deepinit.runs.figure_html import FigureHtml, figure_html, figures_html, palette, variable
from deepinit.runs.figure_items import FigureItem, checks_item, figure_item, plot_item
from deepinit.runs.report_parts import (
    CaseDetails,
    HeatMap,
    Tile,
    case_html,
    checks_html,
    files_html,
    glossary_html,
    heat_map_html,
    provenance_html,
    tiles_html,
)
from deepinit.runs.report_style import STYLE

__all__ = ["FigureItem", "Report", "checks_item", "figure_item", "plot_item", "render"]

MOST_SENTENCES = 5  # of the first screen
Section = tuple[str, str, str]  # anchor, title, HTML


@dataclasses.dataclass(frozen=True)
class Report:
    """Content of a report, in order.

    Attributes:
        name: of the experiment.
        summary: sentences of the first screen, five at most.
        tiles: numbers of the first screen.
        headline: figure of the first screen.
        heat_map: verdicts, case x theory.
        cross_check: sentence on kernels at infinite width, below the heat map.
        meanings: theory -> sentence.
        checks: joint checks, sentence and whether it held; failures of cases are sentences too.
        findings, figures: tables and figures of the experiment.
        cases: details, collapsed.
        tables: collapsed as well.
        files: file beside the report -> description.
        provenance: nested mapping.
        citation: plain text and BibTeX.
        command: reproduces the run.
    """

    title: str
    summary: Sequence[str] = ()
    findings: Sequence[Table] = ()
    figures: Sequence[FigureItem] = ()
    tables: Sequence[Table] = ()
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    citation: str = ""
    command: str = ""
    name: str = ""
    tiles: Sequence[Tile] = ()
    headline: FigureItem | None = None
    heat_map: HeatMap | None = None
    cross_check: str = ""
    meanings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    checks: Sequence[tuple[str, bool]] = ()
    cases: Sequence[CaseDetails] = ()
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)


def render(report: Report) -> str:
    """The HTML document; SpecError for figures without a plain picture."""
    styles = route_styles(report.meanings)
    colours = {name: variable(style.colour) for name, style in styles.items()}
    figures = [figure_html(item, k) for k, item in enumerate(report.figures, start=1)]
    headline = None if report.headline is None else figure_html(report.headline, 0)
    used = {style.colour.lower() for style in styles.values()}
    used |= {each for figure in (*figures, headline) if figure for each in figure.colours}
    sections = [*_results(report, figures, colours), *_origin(report)]
    contents = _contents(sections) if len(sections) > 1 else ""
    body = "\n".join(
        f'<section id="{anchor}">\n<h2>{title}</h2>\n{content}\n</section>'
        for anchor, title, content in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="deepinit">
<title>{_text(report.title)}</title>
<style>
{palette(used)}{STYLE}</style>
</head>
<body>
<main>
{_first_screen(report, headline, colours)}{contents}{body}
</main>
</body>
</html>
"""


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)


def _first_screen(report: Report, headline: FigureHtml | None, colours: Mapping[str, str]) -> str:
    """Title, tiles, sentences beside the headline figure."""
    name = f'<p class="eyebrow">deepinit <span>{_text(report.name)}</span></p>\n'
    parts = [
        f"<header>\n{name if report.name else ''}<h1>{typeset(report.title)}</h1>\n</header>\n"
    ]
    if report.tiles:
        parts.append(f"{tiles_html(report.tiles)}\n")
    sentences = "\n".join(
        f"<p>{_sentence(text, colours)}</p>" for text in report.summary[:MOST_SENTENCES]
    )
    summary = f'<div class="summary">\n{sentences}\n</div>' if sentences else ""
    figure = headline.element() if headline else ""
    if figure or summary:
        parts.append(f'<div class="first">\n{summary}{figure}\n</div>\n')
    return "".join(parts)


def _sentence(text: str, colours: Mapping[str, str]) -> str:
    """Sentence with a swatch before each `THEORY (2 cases)`."""
    parts = re.split(r"\b(\w+)(?= \(\d+ )", text)
    if not colours.keys() & set(parts[1::2]):
        return typeset(text)
    return "".join(swatch(part, colours) for part in parts)


def _results(
    report: Report, figures: Sequence[FigureHtml], colours: Mapping[str, str]
) -> list[Section]:
    """Theories, checks, findings, figures, cases, tables."""
    parts: list[Section] = []
    if report.heat_map is not None and report.heat_map.theories:
        body = heat_map_html(report.heat_map, colours, linked=bool(report.cases))
        if report.cross_check:
            body += f'\n<p class="note">{_text(report.cross_check)}</p>'
        parts.append(("theories", "Where theories hold", body))
    if report.meanings:
        parts.append(("names", "Theories", glossary_html(report.meanings, colours)))
    if report.checks:
        parts.append(("checks", "Checks", checks_html(report.checks)))
    if report.findings:
        body = "\n".join(_table(table, colours) for table in report.findings)
        parts.append(("findings", "Findings", body))
    if figures:
        parts.append(("figures", "Figures", figures_html(figures)))
    if report.cases:
        body = "\n".join(case_html(case, colours) for case in report.cases)
        parts.append(("cases", "Cases", body))
    if report.tables:
        body = "\n".join(_collapsed(t.title, t.to_html(colours)) for t in report.tables)
        parts.append(("tables", "Tables", body))
    return parts


def _origin(report: Report) -> list[Section]:
    """Files, command, citation, provenance."""
    parts = []
    if report.files:
        parts.append(("files", "Files", files_html(report.files)))
    if report.command:
        code = f"<pre><code>{_text(report.command)}</code></pre>"
        parts.append(("again", "Run it again", code))
    if report.citation:
        parts.append(("citation", "Citation", f"<pre>{_text(report.citation)}</pre>"))
    if report.provenance:
        details = _collapsed("Versions, machine, starts", provenance_html(report.provenance))
        parts.append(("provenance", "Provenance", details))
    return parts


def _table(table: Table, colours: Mapping[str, str]) -> str:
    return f"<h3>{typeset(table.title)}</h3>\n{table.to_html(colours)}"


def _collapsed(title: str, body: str) -> str:
    return f"<details>\n<summary>{typeset(title)}</summary>\n<div>{body}</div>\n</details>"


def _contents(sections: Sequence[Section]) -> str:
    items = "\n".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in sections)
    return f'<nav aria-label="Contents">\n<ul>\n{items}\n</ul>\n</nav>\n'
