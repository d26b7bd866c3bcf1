"""Slopes in 1/width, measured and predicted."""

from typing import Any, NamedTuple

import numpy as np

import deepinit as di
from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results

from .cases import KINDS, Config, case_name


class Slope(NamedTuple):
    """Of one network at the last layer, at the component of the largest shift.

    `measured`, `error`, `predicted`: width times (finite - infinite width) as width grows.
    `z`, `zero_z`: largest |z| of order 1/width and of infinite width over components.
    `saved`: variance saved by control variates, geometric mean over widths.
    """

    label: str
    component: str
    limit: float
    measured: float
    error: float
    predicted: float
    z: float
    zero_z: float
    saved: float

    @property
    def held(self) -> bool:
        """Order 1/width within the threshold."""
        return self.z < THRESHOLD_SIGMA


def slopes(config: Config, results: Results) -> dict[str, Slope]:
    """By network."""
    return {name: slope(config, results, name) for name in config.networks}


def slope(config: Config, results: Results, network: str) -> Slope:
    """The fitted slope of one network."""
    by_width = {width: results[case_name(network, width)] for width in config.widths}
    parts = {w: (found.estimate, *found.predictions) for w, found in by_width.items()}
    data = di.compare_widths(parts, terms=min(3, len(parts) - 1)).dataset.isel(layer=-1)
    first = data.sel(theory="first_order")
    place = int(np.argmax(np.abs(first["predicted_slope"].values)))
    saved = [found.estimate.variance_saved[-1, place] for found in by_width.values()]
    own = data.isel(component=place)
    limit = next(p for p in by_width[config.widths[0]].predictions if p.name == "infinite_width")
    return Slope(
        KINDS[network].label,
        str(own["component"].values),
        float(limit.mean[-1, place]),
        float(own["slope"]),
        float(own["slope_standard_error"]),
        float(first["predicted_slope"][place]),
        largest(first["slope_z"]),
        largest(data.sel(theory="infinite_width")["slope_z"]),
        float(np.exp(np.mean(np.log(saved)))),
    )


def largest(z: Any) -> float:
    """max |z|; components without spread do not count."""
    return float(np.nanmax(np.abs(z.values)))


def tables(config: Config, results: Results) -> list[Table]:
    """Slopes of every network."""
    rows = []
    for found in slopes(config, results).values():
        measured = with_error(found.measured, found.error)
        shown = [found.label, found.component, found.limit, measured, found.predicted]
        rows.append([*shown, found.z, found.zero_z, found.saved])
    columns = ["network", "component", "infinite width", "slope measured", "order 1/width"]
    return [
        Table(
            "Slopes of the mean in 1/width",
            [*columns, "z", "z of slope 0", "variance saved"],
            rows,
            "Last layer; the component of the largest predicted slope; largest |z| over "
            "components. Variance saved by control variates: geometric mean over widths.",
        )
    ]
