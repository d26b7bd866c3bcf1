"""Comparisons of a run as one tidy CSV file."""

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np

from deepinit.comparison.compare import axis_of
from deepinit.runs.experiment import CaseResult

FILE = "comparison.csv"
_MEASURED, _PREDICTED = ("mean", "standard_error"), ("predicted", "z")


def comparison_csv(results: Sequence[CaseResult]) -> bytes:
    """A row for every case, theory, layer (or step) and component.

    Columns: case, quantity, theory, layer, component, mean, standard_error, predicted, z, judged
    (1 or 0). A case without theory has rows with an empty theory; NaN is empty. Numbers are
    written in full. The position is called `layer`, `step`, or `row` if cases have both.
    """
    axes = {axis_of(result.dataset) for result in results}
    position = axes.pop() if len(axes) == 1 else "row"
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    columns = ("case", "quantity", "theory", position, "component")
    writer.writerow([*columns, *_MEASURED, *_PREDICTED, "judged"])
    for result in results:
        writer.writerows(_rows(result))
    return file.getvalue().encode("utf-8", "backslashreplace")


def _rows(result: CaseResult) -> Iterator[list[str]]:
    data = result.dataset
    components = list(map(str, data["component"].values))
    positions = list(map(str, data[axis_of(data)].values))
    measured = [data[name].values for name in _MEASURED]
    for number, theory in enumerate([str(name) for name in data["theory"].values] or [""]):
        predicted = [data[name].values[number] for name in _PREDICTED] if theory else []
        judged = data["judged"].values[number] if theory else None
        for place in np.ndindex(len(positions), len(components)):
            yield [
                result.case.name,
                result.case.quantity.name,
                theory,
                positions[place[0]],
                components[place[1]],
                *(_text(values[place]) for values in (*measured, *predicted)),
                *(["", "", ""] if judged is None else [str(int(judged[place]))]),
            ]


def _text(value: float) -> str:
    """Shortest text of a number; empty for NaN."""
    return "" if np.isnan(value) else repr(float(value))
