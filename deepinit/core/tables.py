"""Tables as HTML, plain text and JSON."""

import dataclasses
import html
import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from deepinit.core.errors import SpecError
from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.core.symbols import plain, typeset
from deepinit.core.terminal_tables import to_terminal

_LONG_CELL = 32  # characters from which a cell's text may break into lines
_NOT_AVAILABLE = "–"
_ASCII = str.maketrans({"−": "-", _NOT_AVAILABLE: "-", "∞": "inf", "±": "+-"})


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of the report, also printed at the end; SpecError for a row of another length.

    Attributes:
        columns: names. `z` and "z ..." hold z-scores; those at or beyond the threshold are
            marked, and texts that state one ("-4.66, z -17.2").
        rows: a cell per column: text, number, boolean; None or NaN for "not available".
            `comparison.with_error` formats numbers with standard errors.
        caption: below the table.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                given = f"a row of {len(row)} cells in the table {self.title!r}"
                allowed = f"{len(self.columns)} cells, one per column"
                raise SpecError(given, allowed, "Use None for a cell that is not available.")

    def to_json(self) -> dict[str, Any]:
        """JSON; `Table(**record)` reads it."""
        rows = [[_plain(cell) for cell in row] for row in self.rows]
        return dataclasses.asdict(self) | {"columns": list(self.columns), "rows": rows}

    def to_text(self) -> list[list[str]]:
        """ASCII cells, aligned decimals."""
        columns = list(zip(*self.rows, strict=True))
        texts = [
            [_cell_text(cell, decimals).translate(_ASCII) for cell in cells]
            for cells, decimals in zip(columns, map(_decimals, columns), strict=True)
        ]
        return [list(row) for row in zip(*texts, strict=True)]

    def to_terminal(self, width: int, keys: Sequence[int] = (0,)) -> str:
        """Text; columns that do not fit follow below, beside the columns `keys` again."""
        text, note = self.to_text(), self.caption
        return to_terminal(self.title, self.columns, text, keys=keys, note=note, width=width)

    def to_html(self, colours: Mapping[str, str] = MappingProxyType({})) -> str:
        """The table in a scrolling box, titles and caption typeset.

        `colours`: name of a theory -> CSS colour, of a swatch before the name.
        """
        columns = list(zip(*self.rows, strict=True)) or [() for _ in self.columns]
        scores = [re.match(r"z(\b|_)", name) is not None for name in self.columns]
        numeric = [
            any(map(_is_number, cells)) and all(c in (None, "") or _is_number(c) for c in cells)
            for cells in columns
        ]
        head = "".join(
            f'<th scope="col"{_css_class(right)}>{swatch(name, colours)}</th>'
            for name, right in zip(self.columns, numeric, strict=True)
        )
        decimals = list(map(_decimals, columns))
        rows = "\n".join(
            "<tr>"
            + "".join(
                f"<td{_css_class(right, cell)}>"
                f"{_score(cell) if z else _cell(cell, places, colours)}</td>"
                for cell, right, z, places in zip(row, numeric, scores, decimals, strict=True)
            )
            + "</tr>"
            for row in self.rows
        )
        caption = f'\n<p class="note">{typeset(self.caption)}</p>' if self.caption else ""
        label = html.escape(plain(self.title))
        return (
            f'<div class="box" tabindex="0" role="region" aria-label="{label}">\n'
            f'<table aria-label="{label}">\n<thead><tr>{head}</tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>{caption}"
        )


def _css_class(right: bool, cell: Any = None) -> str:
    if right:
        return ' class="number"'
    return ' class="prose"' if isinstance(cell, str) and len(cell) > _LONG_CELL else ""


def _is_number(cell: Any) -> bool:
    """A number, or numbers as text (`-1.23 ± 0.04`, `-1.23 (0.5), z +0.3`)."""
    if isinstance(cell, str):
        return re.fullmatch(r"\s*[-+−]?\d[\d.,eEz()±+−\s-]*", cell) is not None
    return not isinstance(cell, bool) and _as_float(cell) is not None


def _as_float(cell: Any) -> float | None:
    """Number as float; else None."""
    if isinstance(cell, str | bytes) or cell is None:
        return None
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _is_flag(cell: Any) -> bool:
    """A boolean."""
    return isinstance(cell, bool) or type(cell).__name__ == "bool"


def _plain(cell: Any) -> Any:
    """JSON value: NaN is null, an infinity text."""
    if _is_flag(cell):
        return bool(cell)
    if hasattr(cell, "__index__"):
        return int(cell)
    value = _as_float(cell)
    if value is None:
        return cell if cell is None else str(cell)
    return value if math.isfinite(value) else None if math.isnan(value) else f"{value:g}"


def _decimals(cells: Sequence[Any]) -> int | None:
    """Decimals: 4 digits of the largest, 3 of the smallest, or None."""
    if any(isinstance(cell, str) for cell in cells):
        return None
    values = [_as_float(cell) for cell in cells]
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0.0]
    if not sizes or min(sizes) < 1e-4 or max(sizes) >= 1e6 or max(sizes) / min(sizes) > 1e4:
        return None
    largest, smallest = (math.floor(math.log10(size)) for size in (max(sizes), min(sizes)))
    return max(0, 3 - largest, 2 - smallest)


def _cell_text(cell: Any, decimals: int | None) -> str:
    """Typographic minus, grouped thousands, dash for NaN."""
    if _is_flag(cell):
        return "yes" if cell else "no"
    value = _as_float(cell)
    if value is None:
        return _NOT_AVAILABLE if cell is None else str(cell)
    if hasattr(cell, "__index__"):
        text = f"{int(cell):,}"
    elif math.isnan(value):
        return _NOT_AVAILABLE
    elif math.isinf(value):
        text = "∞" if value > 0 else "−∞"
    else:
        text = f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("-", "−")


def swatch(text: str, colours: Mapping[str, str]) -> str:
    """HTML of a text, with a swatch if it is `NAME`, `z NAME` or `NAME: ...` of a theory."""
    found = re.fullmatch(r"(?:z )?(\w+)(?::.*)?", text)
    if found is None or found[1] not in colours:
        return typeset(text)
    colour = html.escape(colours[found[1]])
    first, space, rest = html.escape(text).partition(" ")
    mark = f'<span class="swatch" style="background: {colour}"></span>'
    return f'<span class="named">{mark}{first}</span>{space}{rest}'


def _cell(
    cell: Any, decimals: int | None, colours: Mapping[str, str] = MappingProxyType({})
) -> str:
    """HTML of a cell."""
    if isinstance(cell, str) and cell in colours:
        return swatch(cell, colours)
    text = html.escape(_cell_text(cell, decimals))
    if isinstance(cell, str):
        if _is_number(cell):
            text = re.sub(r"(?<!e)-", "−", text.replace("+-", "±"))
        return _marked(text) if _states_rejection(cell) else text
    missing = text == _NOT_AVAILABLE
    return f'<span title="not available">{text}</span>' if missing else text


def _states_rejection(cell: str) -> bool:
    """Whether a text states a rejected z-score."""
    scores = re.findall(r"\bz(?:\s*=)?\s+([-+−]?\d+(?:\.\d*)?(?:e[-+]?\d+)?)", cell)
    return any(abs(float(score.replace("−", "-"))) >= THRESHOLD_SIGMA for score in scores)


def _score(cell: Any) -> str:
    """HTML of a z-score, marked if rejected."""
    value = _as_float(cell)
    if value is None or not math.isfinite(value):
        written = _cell(cell, None)
    else:
        written = (f"{value:.2f}" if abs(value) < 1e4 else f"{value:.2e}").replace("-", "−")
    return _marked(written) if value is not None and abs(value) >= THRESHOLD_SIGMA else written


def _marked(written: str) -> str:
    mark = f'<span class="mark">beyond ±{THRESHOLD_SIGMA:g}</span>'
    return f'<span class="beyond">{mark} {written}</span>'
