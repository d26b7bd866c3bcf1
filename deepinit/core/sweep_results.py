"""Results of a sweep as one Dataset."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.result_views import data_frame
from deepinit.core.sweep import Sweep, coordinate

if TYPE_CHECKING:
    import pandas
    import xarray


@dataclasses.dataclass(frozen=True, eq=False)
class SweepResult:
    """Statistics or predictions at every point of a sweep.

    Attributes:
        dataset: `mean`, `standard_error`, `variance`, ...; of predictions `mean` and `variance`.
            Dims: the swept names (of a list of points `point`), then layer (or step) and component.
            NaN beyond the last layer of shallower networks. Without quantiles.
        names: swept names.
        symbol: mathtext of the quantity.
    """

    dataset: "xarray.Dataset"
    names: tuple[str, ...]
    symbol: str = ""

    def __repr__(self) -> str:
        sizes = " x ".join(f"{name}: {size}" for name, size in self.dataset.sizes.items())
        given = self.dataset.attrs
        source = given.get("name") or f"{given.get('num_seeds')} networks per point"
        return f"SweepResult({given['quantity']}, {source}; {sizes})"

    def _repr_html_(self) -> str:
        return self.dataset._repr_html_()

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for every point, layer and component."""
        return data_frame(self.dataset)


def of_points(
    sweep: Sweep,
    every: list[tuple[Any, dict[str, np.ndarray]]],
    attributes: dict[str, Any],
    symbol: str,
) -> SweepResult:
    """The result from axes and fields [layers, entries] by point."""
    import xarray

    shapes = [(axis.length, len(axis.entries)) for axis, _ in every]
    rows, columns = max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
    longest = every[shapes.index(max(shapes))][0]
    is_grid = sweep.over is not None
    dims = sweep.names if is_grid else ("point",)
    own = (*dims, longest.name, "component")
    variables = {}
    for name in every[0][1]:
        whole = np.full((len(sweep), rows, columns), np.nan)
        for at, (_, fields) in enumerate(every):
            value = fields[name]
            whole[at, : value.shape[0], : value.shape[1]] = value
        variables[name] = (own, whole.reshape(*sweep.shape, rows, columns))
    assert math.prod(sweep.shape) == len(every)
    coordinates: dict[str, Any] = {
        name: (name if is_grid else "point", coordinate(sweep.values(name))) for name in sweep.names
    }
    positions = longest.positions or range(1, rows + 1)
    coordinates[longest.name] = np.array(positions)
    entries = {axis.entries for axis, _ in every}
    numbers = tuple(str(number) for number in range(columns))
    coordinates["component"] = np.array(entries.pop() if len(entries) == 1 else numbers)
    if longest.paths is not None:
        coordinates["path"] = (longest.name, np.array(longest.paths))
    return SweepResult(xarray.Dataset(variables, coordinates, attributes), sweep.names, symbol)
