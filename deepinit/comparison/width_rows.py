"""Results at several widths: what `compare_widths` accepts, and how it reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.results import Estimate, Prediction

_WRITE = "Write {64: (di.simulate(...), di.predict(...), di.infinite(...)), ...}."


def check_rows(results: Any) -> None:
    """Refuses what is not a mapping of widths to sequences."""
    if not isinstance(results, Mapping):
        raise SpecError(
            f"results of type {type(results).__name__}", "a mapping of widths to results", _WRITE
        )
    if not all(validate.is_number(width) and np.isfinite(width) and width > 0 for width in results):
        raise SpecError(f"widths {[*results]!r}", "positive numbers", _WRITE)
    if not all(isinstance(row, Sequence) for row in results.values()):
        kinds = ", ".join(type(row).__name__ for row in results.values())
        raise SpecError(f"results of widths of types {kinds}", "a tuple for each width", _WRITE)


def are_labels(pairs: Any, count: int) -> bool:
    """As many words as there are entries."""
    return (
        isinstance(pairs, list | tuple)
        and len(pairs) == count
        and all(isinstance(name, str) for name in pairs)
    )


def sorted_out(
    rows: list[Sequence[Any]],
) -> tuple[list[Estimate], np.ndarray, dict[str, list[Prediction]]]:
    """Estimates, infinite width [widths, ...], and every other route at each width."""
    estimates: list[Estimate] = []
    limits: list[np.ndarray] = []
    routes: dict[str, list[Prediction]] = {}
    for row in rows:
        measured = [part for part in row if isinstance(part, Estimate)]
        predictions = [part for part in row if isinstance(part, Prediction)]
        infinite = [part for part in predictions if part.name == "infinite_width"]
        if len(measured) != 1 or len(infinite) != 1:
            raise SpecError(
                f"results of a width with {', '.join(getattr(part, 'name', type(part).__name__) for part in row) or 'nothing'}",
                "one Estimate, any finite-width Predictions, and the one of infinite width",
                _WRITE,
            )
        estimate = measured[0]
        estimates.append(estimate)
        limits.append(infinite[0].mean)
        for prediction in predictions:
            if prediction is not infinite[0]:
                routes.setdefault(prediction.name, []).append(prediction)
        others: list[tuple[Any, tuple[int, ...]]] = [
            (part, part.mean.shape) for part in predictions
        ]
        for part, shape in (*others, (estimates[0], estimates[0].mean.shape)):
            if part.quantity != estimate.quantity or shape != estimate.mean.shape:
                raise SpecError(
                    f"{part.quantity} {shape} beside {estimate.quantity} {estimate.mean.shape}",
                    "one quantity of networks that differ in width alone",
                    "Keep depth and inputs the same at every width.",
                )
    partial = [name for name, parts in routes.items() if len(parts) != len(rows)]
    if partial:
        raise SpecError(
            f"{', '.join(partial)} at some widths only",
            "every prediction at every width",
            "Add or drop it.",
        )
    return estimates, np.stack(limits), routes


def measured_values(estimates: list[Estimate], statistic: str) -> tuple[np.ndarray, np.ndarray]:
    """The statistic and its standard errors, [widths, ...]."""
    errors = {"mean": "standard_error", "variance": "variance_standard_error"}
    values = np.stack([getattr(estimate, statistic) for estimate in estimates])
    return values, np.stack([getattr(estimate, errors[statistic]) for estimate in estimates])


def predicted_values(parts: list[Prediction], statistic: str) -> np.ndarray:
    """The statistic by one theory, [widths, ...]."""
    if statistic == "mean":
        return np.stack([part.mean for part in parts])
    lacking = [part.name for part in parts if part.variance is None]
    if lacking:
        raise SpecError(
            f"{lacking[0]} without a variance",
            "predictions of the variance",
            "Leave it out, or compare means.",
        )
    return np.stack([np.broadcast_to(np.asarray(part.variance), part.mean.shape) for part in parts])
