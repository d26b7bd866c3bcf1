"""Experiments through the real command, and the tables of their outcome."""

import json

import pytest

from deepinit import cli


def run(capsys, experiment, *arguments):
    """(exit code, standard output) of `deepinit run`."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", experiment, *map(str, arguments)])
    return ended.value.code, capsys.readouterr().out


def tables_of(capsys, experiment, out, *arguments):
    """title -> rows, each column -> cell, of a run that must hold its checks."""
    code, printed = run(capsys, experiment, "--json", "--out", out, *arguments)
    assert printed, f"exit code {code} without an outcome"
    record = json.loads(printed)
    assert code == 0, record["failures"]
    return rows_by_title(record["tables"])


def rows_by_title(records):
    """title -> rows, each column -> cell, of tables as JSON or as records."""
    tables = [record if isinstance(record, dict) else record.to_json() for record in records]
    return {
        table["title"]: [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
        for table in tables
    }


def assert_plans(capsys, experiment, counts):
    """The number of cases of every preset."""
    for preset, count in counts.items():
        code, printed = run(capsys, experiment, "--dry-run", "--preset", preset)
        assert code == 0
        assert f"{count} cases" in printed


def assert_refused(capsys, experiment, option, text):
    """A config that ends with exit code 2 and a message with this text."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", experiment, "--dry-run", *option])
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


def measured(cell):
    """(value, standard error) of `1.23 +- 0.04`; 0 without an error."""
    value, _, error = cell.partition(" +- ")
    return float(value), float(error or 0.0)
