"""Output of the command: tables, or one JSON object."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from deepinit.core.terminal import emit, one_line, write, write_line


def print_outcome(outcome: Any, as_json: bool) -> int:
    """Print the table, failed checks and report of a run; returns the exit code."""
    from deepinit.runs.verdicts import summary_table

    table = summary_table(outcome.dataset)
    if as_json:
        record = {
            "directory": str(outcome.path),
            "report": str(outcome.report),
            "verdicts": list(outcome.verdicts),
            "failures": list(outcome.failures),
            "columns": list(table.columns),
            "rows": [list(row) for row in table.rows],
            "tables": [each.to_json() for each in outcome.tables],
        }
        write(json.dumps(record, indent=1) + "\n")
    else:
        for table in (summary_table(outcome.dataset), *outcome.tables):
            print_rows(table.title, table.columns, table.to_text(), table.caption)
        for failure in outcome.failures:
            write_line(f"CHECK FAILED: {failure}")
        if outcome.report.is_file():
            write_line(f"report: {outcome.report}")
    return 6 if outcome.failures else 0


def print_rows(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str | None = None
) -> None:
    """Print a table, as wide as the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def plain(text: str) -> Text:  # no markup, control characters or newlines of stored text
        return Text(one_line(text))

    table = Table(title=plain(title), caption=plain(note) if note else None)
    for column in columns:
        table.add_column(plain(column), justify="left" if column in _LEFT else "right")
    for row in rows:
        table.add_row(*map(plain, row))
    console = Console(width=None if sys.stdout.isatty() else 160)
    with console.capture() as captured:
        console.print(table)
    emit(captured.get())


_LEFT = ("case", "network", "inputs", "linear map", "quantity", "experiment", "question", "presets")
