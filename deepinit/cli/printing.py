"""Output of the command: tables, or one JSON object."""

import json
from collections.abc import Sequence
from typing import Any

from deepinit.core.terminal import emit, write, write_line
from deepinit.core.terminal_tables import output_width, to_terminal


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
    """Print a table, in parts as wide as the terminal."""
    keys = [place for place, column in enumerate(columns) if column in _KEYS] or [0]
    width = output_width()
    emit(to_terminal(title, columns, rows, keys=keys, left=_LEFT, note=note or "", width=width))


_KEYS = ("case", "network", "experiment", "prediction", "theory", "model")
_LEFT = ("case", "network", "inputs", "linear map", "quantity", "experiment", "question", "presets")
