"""Results at several widths as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.results import Estimate, Prediction
from deepinit.core.typing import Float, Real

_WRITE = "Write {64: (di.simulate(...), di.predict(...), di.infinite(...)), ...}."
_ERRORS = {"mean": "standard_error", "variance": "variance_standard_error"}


class Results(NamedTuple):
    """One statistic at several increasing widths, arrays [widths, layers, entries].

    `measured`, `error`: the statistic and its standard error, of means at least rounding. `limit`,
    `predicted`: at infinite width, and by finite-width theory.
    """

    widths: Real[np.ndarray, "widths"]
    estimates: list[Estimate]
    measured: Float[np.ndarray, "widths layers entries"]
    error: Float[np.ndarray, "widths layers entries"]
    limit: Float[np.ndarray, "widths layers entries"]
    predicted: dict[str, np.ndarray]


def sort_results(results: Mapping[float, Sequence[Any]], statistic: str) -> Results:
    """Results of `compare_widths` as arrays.

    Raises SpecError: not one Estimate, its infinite_width and other Predictions per width;
        different quantities or shapes; no prediction of the statistic.
    """
    validate.instance("results", results, Mapping, "a mapping of widths to results", _WRITE)
    if not all(validate.is_number(width) and np.isfinite(width) and width > 0 for width in results):
        raise SpecError(f"widths {[*results]!r}", "positive numbers", _WRITE)
    for width, row in results.items():
        validate.instance(f"results[{width}]", row, Sequence, "a tuple for each width", _WRITE)
    widths = sorted(results)
    rows = [_sort_row(results[width]) for width in widths]
    estimates = [estimate for estimate, _ in rows]
    for estimate, predictions in rows:
        shape = estimate.mean.shape
        parts: list[Estimate | Prediction] = [*predictions.values(), estimates[0]]
        for part in parts:
            given = f"{part.quantity} {part.mean.shape} beside {estimate.quantity} {shape}"
            if part.quantity != estimate.quantity or part.mean.shape != shape:
                allowed = "one quantity of networks that differ in width alone"
                raise SpecError(given, allowed, "Keep depth and inputs the same at every width.")
    names = dict.fromkeys(name for _, predictions in rows for name in predictions)
    partial = [name for name in names if not all(name in predictions for _, predictions in rows)]
    if partial:
        given = f"{', '.join(partial)} at some widths only"
        raise SpecError(given, "every prediction at every width", "Add or drop it.")
    limit = np.stack([predictions["infinite_width"].mean for _, predictions in rows])
    return Results(
        np.array(widths, np.float64),
        estimates,
        np.stack([getattr(estimate, statistic) for estimate in estimates]),
        np.stack([_error(estimate, statistic) for estimate in estimates]),
        limit if statistic == "mean" else np.zeros_like(limit),
        {
            name: np.stack([_value(predictions[name], statistic) for _, predictions in rows])
            for name in names
            if name != "infinite_width"
        },
    )


def _error(estimate: Estimate, statistic: str) -> np.ndarray:
    """Standard errors; of means at least rounding, which control variates may leave alone."""
    error = getattr(estimate, _ERRORS[statistic])
    if statistic != "mean":
        return error
    return np.where(error > 0, np.maximum(error, estimate.rounding_error), error)


def _sort_row(row: Sequence[Any]) -> tuple[Estimate, dict[str, Prediction]]:
    """One width's results."""
    estimates = [part for part in row if isinstance(part, Estimate)]
    predictions = [part for part in row if isinstance(part, Prediction)]
    limits = [prediction for prediction in predictions if prediction.name == "infinite_width"]
    if len(estimates) != 1 or len(limits) != 1:
        given = ", ".join(getattr(part, "name", type(part).__name__) for part in row) or "nothing"
        allowed = "one Estimate, any finite-width Predictions, and the one of infinite width"
        raise SpecError(f"results of a width with {given}", allowed, _WRITE)
    names = [prediction.name for prediction in predictions]
    if len({*names}) < len(names):
        raise SpecError(f"predictions {', '.join(names)}", "names that differ", "Drop the repeats.")
    return estimates[0], dict(zip(names, predictions, strict=True))


def _value(prediction: Prediction, statistic: str) -> np.ndarray:
    if statistic == "mean":
        return prediction.mean
    if prediction.variance is None:
        allowed = "predictions of the variance"
        raise SpecError(f"{prediction.name} without a variance", allowed, "Compare means.")
    return np.broadcast_to(prediction.variance, prediction.mean.shape)
