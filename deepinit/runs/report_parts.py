"""Parts of a report as HTML: tiles, heat map, glossary, checks, cases, provenance."""

import dataclasses
import html
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.core.symbols import typeset
from deepinit.core.tables import Table, swatch

_LEGEND = (
    f"Largest |z| over all layers and components; z = (measured − predicted) / standard error. "
    f"Rejected from |z| = {THRESHOLD_SIGMA:g} on, by Student's t with few networks. "
    "A check must agree; not resolved: known to be wrong, to be rejected by more networks. "
    "A cell leads to its case."
)


class Tile(NamedTuple):
    """A number of the first screen; `state`: good, bad or empty."""

    label: str
    value: str
    note: str = ""
    state: str = ""


class Cell(NamedTuple):
    """A theory in one case: worst |z| (NaN without), words, and whether it is rejected."""

    z: float
    words: str
    rejected: bool = False
    failed: bool = False


class HeatMap(NamedTuple):
    """Cells by case, then theory; theories that do not apply are left out."""

    theories: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Cell]]


@dataclasses.dataclass(frozen=True)
class CaseDetails:
    """One case: facts (name -> text), tables, and theories that do not apply, with reasons."""

    name: str
    remark: str
    facts: Mapping[str, str]
    tables: Sequence[Table]
    not_applicable: Mapping[str, str]
    failed: bool = False


def tiles_html(tiles: Sequence[Tile]) -> str:
    """A list of tiles."""
    items = "\n".join(
        f'<li class="tile {tile.state}"><span class="label">{_text(tile.label)}</span>'
        f"<strong>{_text(tile.value)}</strong>"
        f'<span class="note">{_text(tile.note)}</span></li>'
        for tile in tiles
    )
    return f'<ul class="tiles">\n{items}\n</ul>'


def heat_map_html(heat_map: HeatMap, colours: Mapping[str, str], *, linked: bool = True) -> str:
    """A table coloured by |z| and told by words; `linked`: to the details of its cases."""
    to = lambda case, text: f'<a href="#case-{_text(case)}">{text}</a>' if linked else text
    head = "".join(
        f'<th scope="col"><a href="#theory-{_text(name)}">{swatch(name, colours)}</a></th>'
        for name in heat_map.theories
    )
    bare = [case for case, cells in heat_map.rows.items() if not cells]
    legend = f"{_LEGEND} Cases without a prediction: {', '.join(bare)}." if bare else _LEGEND
    rows = "\n".join(
        f'<tr><th scope="row">{to(case, _text(case))}</th>'
        + "".join(_heat_cell(cells.get(name), partial(to, case)) for name in heat_map.theories)
        + "</tr>"
        for case, cells in heat_map.rows.items()
        if cells
    )
    label = "Worst z by case and theory"
    return (
        f'<div class="box" tabindex="0" role="region" aria-label="{label}">\n'
        f'<table class="heat" aria-label="{label}">\n<thead><tr><th scope="col">case</th>{head}'
        f"</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n"
        f'<p class="note">{html.escape(legend)}</p>'
    )


def _heat_cell(cell: Cell | None, linked: Callable[[str], str]) -> str:
    if cell is None:
        return '<td class="none"><span title="does not apply">–</span></td>'
    link = linked(f"{_number(cell.z)}<small>{_text(cell.words)}</small>")
    mark = " failed" if cell.failed else ""
    return f'<td class="{_level(cell)}{mark}">{link}</td>'


def _level(cell: Cell) -> str:
    """Class of a cell: agreement in two, rejection in three levels."""
    if math.isnan(cell.z):
        return "none"
    size = abs(cell.z)
    if not cell.rejected:
        return "a1" if size < 2.5 else "a2"
    return "r1" if size < 10 else "r2" if size < 40 else "r3"


def _number(z: float) -> str:
    if math.isnan(z):
        return "–"
    return f"{abs(z):.1f}" if abs(z) < 100 else f"{abs(z):.0f}" if abs(z) < 1e4 else f"{abs(z):.0e}"


def glossary_html(meanings: Mapping[str, str], colours: Mapping[str, str]) -> str:
    """A definition for every theory."""
    items = "\n".join(
        f'<div id="theory-{_text(name)}"><dt>{swatch(name, colours)}</dt>'
        f"<dd>{typeset(sentence)}</dd></div>"
        for name, sentence in meanings.items()
    )
    return f'<dl class="glossary">\n{items}\n</dl>'


def checks_html(checks: Sequence[tuple[str, bool]]) -> str:
    """Sentences marked by whether they held."""
    items = "\n".join(
        f'<li class="{"good" if held else "bad"}"><b>{"held" if held else "FAILED"}</b> '
        f"<span>{typeset(sentence)}</span></li>"
        for sentence, held in checks
    )
    return f'<ul class="checks">\n{items}\n</ul>'


def files_html(files: Mapping[str, str]) -> str:
    """Links to files beside the report."""
    items = "\n".join(
        f'<li><a href="{_text(name)}">{_text(name)}</a> <span>{_text(words)}</span></li>'
        for name, words in files.items()
    )
    return f'<ul class="files">\n{items}\n</ul>'


def case_html(case: CaseDetails, colours: Mapping[str, str]) -> str:
    """Collapsed details of a case.

    The target of links lies inside, so that following one opens the details.
    """
    facts = "\n".join(
        f"<div><dt>{_text(name)}</dt><dd>{typeset(text)}</dd></div>"
        for name, text in case.facts.items()
    )
    tables = "\n".join(f"<h4>{typeset(t.title)}</h4>\n{t.to_html(colours)}" for t in case.tables)
    missing = "\n".join(
        f"<div><dt>{swatch(name, colours)}</dt><dd>{_text(reason)}</dd></div>"
        for name, reason in case.not_applicable.items()
    )
    if missing:
        missing = f"\n<h4>Theories that do not apply</h4>\n<dl>\n{missing}\n</dl>"
    state = ' class="bad"' if case.failed else ""
    return (
        f"<details{state}>\n<summary>{_text(case.name)} <small>{_text(case.remark)}</small>"
        f'</summary>\n<div id="case-{_text(case.name)}">\n<dl>\n{facts}\n</dl>\n{tables}{missing}\n'
        "</div>\n</details>"
    )


def provenance_html(record: Mapping[str, Any]) -> str:
    """A nested definition list."""
    rows = "\n".join(
        f"<div><dt>{_text(key)}</dt><dd>{_provenance_value(value)}</dd></div>"
        for key, value in record.items()
    )
    return f"<dl>\n{rows}\n</dl>"


def _provenance_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return provenance_html(value) if value else "none"
    if isinstance(value, list | tuple):
        if any(isinstance(item, Mapping) for item in value):
            return "\n".join(_provenance_value(item) for item in value)
        return _text(", ".join(str(item) for item in value)) if value else "none"
    if value is None or value == "":
        return "none"
    return _text(value)


def _text(value: object) -> str:
    return html.escape(str(value), quote=True)
