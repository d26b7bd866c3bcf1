"""Tables as text of a given width: no number and no name is cut."""

import functools
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from deepinit.core.terminal import one_line

_PADDING, _BORDER = 3, 1  # characters that a table adds to each column, and once
_LONGEST_NAME = 24  # longer texts may break between words
FILE_WIDTH = 160  # where the output is no terminal


def output_width() -> int:
    """Columns of the terminal; FILE_WIDTH elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else FILE_WIDTH


def to_terminal(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    keys: Sequence[int] = (0,),
    left: Sequence[str] = (),
    note: str = "",
    width: int = FILE_WIDTH,
) -> str:
    """A table; columns that do not fit follow below, beside the key columns again.

    Where not even one column fits beside the keys, every row is a list of its cells.
    `keys`: numbers of the columns that tell rows apart. `left`: names of columns that are aligned
    to the left.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def plain(text: str) -> Text:  # no markup, control characters or newlines of stored text
        return Text(one_line(text))

    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    least = [
        _least_width([name, *(row[column] for row in cells)]) for column, name in enumerate(columns)
    ]
    parts = panels(least, keys, width)
    if any(_BORDER + sum(least[column] + _PADDING for column in part) > width for part in parts):
        return _lists(title, columns, cells, keys, note, width)
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as captured:
        for number, chosen in enumerate(parts):
            table = Table(
                title=plain(title) if number == 0 else None,
                caption=plain(note) if note and number == len(parts) - 1 else None,
            )
            for column in chosen:
                justify: Any = "left" if columns[column] in left else "right"
                table.add_column(
                    plain(columns[column]),
                    justify=justify,
                    overflow="fold",
                    min_width=min(least[column], width - _BORDER - _PADDING),
                )
            for row in cells:
                table.add_row(*(plain(row[column]) for column in chosen))
            console.print(table)
    return captured.get()


def _lists(
    title: str,
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    keys: Sequence[int],
    note: str,
    width: int,
) -> str:
    """A paragraph for every row: `column: cell` lines, without empty cells; keys are repeated."""
    wrapped = functools.partial(
        textwrap.fill,
        width=max(width, 8),
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    paragraphs = [wrapped(one_line(title))] if title else []
    last: dict[int, str] = {}
    for row in cells:
        last |= {column: row[column] for column in keys if row[column]}
        shown = {
            column: last.get(column, "") if column in keys else row[column]
            for column in range(len(columns))
        }
        lines = [wrapped(f"{columns[column]}: {cell}") for column, cell in shown.items() if cell]
        paragraphs.append("\n".join(lines))
    if note:
        paragraphs.append(wrapped(one_line(note)))
    return "\n\n".join(paragraphs) + "\n"


def panels(least: Sequence[int], keys: Sequence[int], width: int) -> list[list[int]]:
    """Numbers of the columns of each part, in order; every part has the keys.

    `least`: characters that each column needs.
    """
    needed = [characters + _PADDING for characters in least]
    parts = [list(keys)]
    for column in sorted(set(range(len(least))) - set(keys)):
        taken = _BORDER + sum(needed[other] for other in parts[-1])
        if taken + needed[column] > width and len(parts[-1]) > len(keys):
            parts.append(list(keys))
        parts[-1].append(column)
    return [sorted(part) for part in parts]


def _least_width(texts: Sequence[str]) -> int:
    """Characters of the longest part that must not break."""
    return max(_unbroken(text) for text in texts)


def _unbroken(text: str) -> int:
    if len(text) <= _LONGEST_NAME:
        return len(text)
    return max(_LONGEST_NAME, *(len(word) for word in text.split()))
