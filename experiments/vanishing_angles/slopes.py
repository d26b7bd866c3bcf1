"""Slopes in 1/width of the mean of ln sin^2."""

from typing import Any

import numpy as np

import deepinit as di
from deepinit.comparison.widths import beyond_truncation
from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Check, Results

from .cases import CHECKED_FROM_WIDTH, Config, relu_name

_COMPARED = ("second_order", "tapered", "first_order", "infinite_width")
_HELD = ("second_order", "tapered")


def slopes(config: Config, results: Results) -> Any:
    """The Dataset of `di.compare_widths` from the checked widths on; None for fewer than two."""
    widths = [width for width in config.widths if width >= CHECKED_FROM_WIDTH]
    if len(widths) < 2:
        return None
    parts = {}
    for width in widths:
        found = results[relu_name(width)]
        theories = [each for each in found.predictions if each.name in _COMPARED]
        parts[width] = (found.estimate, *theories)
    return di.compare_widths(parts, terms=2 if len(widths) < 5 else 3).dataset


def slope_table(config: Config, results: Results) -> list[Table]:
    """Slopes at the last layer, by angle."""
    dataset = slopes(config, results)
    if dataset is None:
        return []
    rows = []
    for place, angle in enumerate(config.angles):
        data = dataset.isel(layer=-1, component=place)
        measured = with_error(float(data["slope"]), float(data["slope_standard_error"]))
        first = float(data["predicted_slope"].sel(theory="first_order"))
        own = dataset.isel(component=place)
        largest = [largest_z(own, name) for name in (*_HELD, "infinite_width")]
        rows.append([angle, measured, first, *largest])
    widths = ", ".join(f"{width:g}" for width in dataset["width"].values)
    columns = ["angle", "slope measured", "slope first_order"]
    return [
        Table(
            "Slopes of the mean of ln sin^2 in 1/width",
            [*columns, *(f"z {name}" for name in _HELD), "z of slope 0"],
            rows,
            f"Layer {config.depth}, widths {widths}, with control variates; largest z over layers, "
            "beyond the truncation of the fit.",
        )
    ]


def largest_z(dataset: Any, theory: str) -> float:
    """Largest z of a theory's slope over layers, beyond truncation; NaN if one is not judged."""
    return float(np.max(beyond_truncation(dataset, theory)))


def checks(config: Config, results: Results) -> list[Check]:
    """width (measured - theory) tends to 0 with 1/width, at every layer and angle."""
    dataset = slopes(config, results)
    return [] if dataset is None else [slope_check(dataset, name) for name in _HELD]


def slope_check(dataset: Any, theory: str) -> Check:
    """The slope of a theory against the measured one."""
    z, zero = (largest_z(dataset, name) for name in (theory, "infinite_width"))
    held = z < THRESHOLD_SIGMA  # false for NaN
    ending = "" if held else ": NOT SO"
    return Check(
        f"{theory}: width times its distance from the measured mean tends to 0 with 1/width "
        f"(z <= {z:.1f} beyond the truncation of the fit; infinite width: {zero:.0f}){ending}.",
        held,
    )
