"""Sweeps in experiments: a case for every point, and their results as one Dataset.

    def cases(config):
        return sweep_cases("sweep", sweep(config), ANGLE, di.inputs.pair, num_seeds=100)

Points of one structure share a compiled program. Finished blocks of points are stored, so that a
killed run continues.
"""

from typing import Any

import numpy as np

from deepinit.comparison.compare import judged_z, largest_z
from deepinit.core.errors import SpecError
from deepinit.core.result_views import with_error
from deepinit.core.results import Prediction
from deepinit.core.sweep import Sweep
from deepinit.core.sweep_results import SweepResult, of_points
from deepinit.core.tables import Table
from deepinit.quantities.quantity import Quantity
from deepinit.runs.experiment import Case, CaseResult, Results

_FIELDS = ("mean", "standard_error", "variance", "variance_standard_error", "num_excluded")


def sweep_cases(
    name: str, sweep: Sweep, quantity: Quantity, inputs: Any, num_seeds: int, **options: Any
) -> tuple[Case, ...]:
    """Cases `NAME-0`, `NAME-1`, ... of all points, with the options of `Case`.

    Args:
        inputs: of all points, or a function of the swept `inputs.` names.

    Raises SpecError: of a point, with the point.
    """
    return tuple(
        sweep.saying(
            number,
            lambda number: Case(
                case_name(name, sweep, number),
                sweep.networks[number],
                quantity,
                sweep.inputs(number, inputs),
                num_seeds,
                **options,
            ),
            number,
        )
        for number in range(len(sweep))
    )


def case_name(name: str, sweep: Sweep, number: int) -> str:
    """`NAME-007` of a hundred points."""
    return f"{name}-{number:0{len(str(len(sweep) - 1))}d}"


def measured_sweep(name: str, sweep: Sweep, results: Results) -> SweepResult:
    """Statistics of all points, for `di.plots.sweep`."""
    points = _points(name, sweep, results)
    every = [
        (_axis(point), {field: np.asarray(getattr(point.estimate, field)) for field in _FIELDS})
        for point in points
    ]
    first = points[0].estimate
    attributes = {"quantity": first.quantity, "num_seeds": first.num_seeds}
    return of_points(sweep, every, attributes, symbol=first.symbol)


def predicted_sweep(name: str, sweep: Sweep, results: Results, theory: str) -> SweepResult:
    """Predictions of a theory at all points; NaN where it does not apply."""
    points = _points(name, sweep, results)
    every = []
    for point in points:
        shape, prediction = point.estimate.mean.shape, _prediction(point, theory)
        mean = np.nan if prediction is None else prediction.mean
        given = None if prediction is None else prediction.variance
        variance = np.nan if given is None else given
        fields = {"mean": mean, "variance": variance}
        every.append(
            (_axis(point), {key: np.broadcast_to(value, shape) for key, value in fields.items()})
        )
    quantity = points[0].case.quantity
    return of_points(sweep, every, {"quantity": quantity.name, "name": theory}, quantity.symbol)


def sweep_table(name: str, sweep: Sweep, results: Results) -> Table:
    """A row for every point: its values, mean at the last layer, worst z of every theory."""
    points = _points(name, sweep, results)
    theories = list(dict.fromkeys(each.name for point in points for each in point.predictions))
    rows = []
    for number, point in enumerate(points):
        estimate, data = point.estimate, point.dataset
        z = [
            largest_z(judged_z(data, each)) if each in data["theory"] else None for each in theories
        ]
        mean = with_error(estimate.mean[-1, 0], estimate.standard_error[-1, 0])
        rows.append([*map(_cell, sweep.at(number).values()), mean, *z])
    columns = [*sweep.names, "mean at the last layer", *(f"z {each}" for each in theories)]
    return Table(f"Every point of {name}", columns, rows, "Largest |z| over layers and components.")


def _points(name: str, sweep: Sweep, results: Results) -> list[CaseResult]:
    names = [case_name(name, sweep, number) for number in range(len(sweep))]
    missing = [each for each in names if each not in results]
    if missing:
        given = f"results without the case {missing[0]}"
        raise SpecError(given, f"those of sweep_cases({name!r}, ...)", "Give both the same sweep.")
    return [results[each] for each in names]


def _axis(point: CaseResult) -> Any:
    return point.case.quantity.measurement.axis(point.case.spec, point.case.inputs)


def _prediction(point: CaseResult, theory: str) -> Prediction | None:
    return next((each for each in point.predictions if each.name == theory), None)


def _cell(value: Any) -> Any:
    return value if isinstance(value, int | float) else str(value)
