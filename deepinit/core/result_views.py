"""Results as tables, Datasets, data frames and one line of text."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.extras import optional
from deepinit.core.levels import QUANTILE_LEVELS
from deepinit.core.tables import Table

if TYPE_CHECKING:
    import pandas
    import xarray

    from deepinit.core.results import Estimate, Prediction

MOST_ROWS = 24  # of a table in a notebook; `to_dataframe` has all
_STATISTICS = (
    "mean",
    "standard_error",
    "variance",
    "variance_standard_error",
    "skewness",
    "minimum",
    "maximum",
    "num_excluded",
)


def shown_layers(num_layers: int, at_most: int) -> list[int]:
    """Indices of all layers, or a geometric spread with both ends."""
    if num_layers <= at_most:
        return list(range(num_layers))
    return sorted({round(index) for index in np.geomspace(1, num_layers, at_most) - 1})


def axis_coordinates(estimate: "Estimate", components: Sequence[str] | None) -> dict[str, Any]:
    """Coordinates of both axes, numbers where unnamed; `path` along sites of composed networks."""
    rows, columns = estimate.mean.shape
    positions = range(1, rows + 1) if estimate.positions is None else estimate.positions
    labels = estimate.entries if components is None else components
    names = [str(index) for index in range(columns)] if labels is None else labels
    coordinates: dict[str, Any] = {estimate.axis: np.array(positions), "component": np.array(names)}
    if estimate.paths is not None:
        coordinates["path"] = (estimate.axis, np.array(estimate.paths))
    return coordinates


def estimate_dataset(estimate: "Estimate") -> "xarray.Dataset":
    """Statistics with dims layer (or step), component; `samples` with seed."""
    import xarray

    entry = (estimate.axis, "component")
    variables: dict[str, Any] = {name: (entry, getattr(estimate, name)) for name in _STATISTICS}
    variables["quantiles"] = (("level", *entry), estimate.quantiles)
    if estimate.samples is not None:
        variables["samples"] = (("seed", *entry), estimate.samples)
    coordinates = axis_coordinates(estimate, None) | {"level": np.array(QUANTILE_LEVELS)}
    attributes = {"quantity": estimate.quantity, "num_seeds": estimate.num_seeds}
    return xarray.Dataset(variables, coordinates, attributes | dict(estimate.settings))


def prediction_dataset(prediction: "Prediction") -> "xarray.Dataset":
    """Mean and variance with dims layer, component."""
    import xarray

    rows, columns = prediction.mean.shape
    variables = {"mean": (("layer", "component"), prediction.mean)}
    if prediction.variance is not None:
        variance = np.broadcast_to(prediction.variance, prediction.mean.shape)
        variables["variance"] = (("layer", "component"), variance)
    coordinates = {
        "layer": np.arange(1, rows + 1),
        "component": np.array([str(column) for column in range(columns)]),
    }
    names = ("quantity", "name", "error_order", "valid_for", "reference")
    return xarray.Dataset(
        variables, coordinates, {name: getattr(prediction, name) for name in names}
    )


def data_frame(dataset: "xarray.Dataset") -> "pandas.DataFrame":
    """Tidy: a row for every layer and component, a column for every statistic.

    Quantiles are columns `q0.05`; samples are left out.
    """
    frame = dataset.drop_vars(["samples", "quantiles", "level"], errors="ignore").to_dataframe()
    if "quantiles" in dataset:
        for level in dataset["level"].values:
            one = dataset["quantiles"].sel(level=level).drop_vars("level")
            frame[f"q{level:g}"] = one.to_series()
    return frame.reset_index()


def arviz_data(estimate: "Estimate") -> Any:
    """Samples as one chain, a draw for every network, named by the quantity.

    Raises SpecError: no samples.
    """
    if estimate.samples is None:
        given, allowed = "an Estimate without samples", "one with samples"
        raise SpecError(given, allowed, "Write di.simulate(..., keep_samples=True).")
    import xarray

    arviz: Any = optional("arviz")
    entry = (estimate.axis, "component")
    variable = (("chain", "draw", *entry), estimate.samples[None])
    posterior = xarray.Dataset({estimate.quantity: variable}, axis_coordinates(estimate, None))
    if hasattr(arviz, "InferenceData"):  # before arviz 1.0
        return arviz.InferenceData(posterior=posterior)
    return xarray.DataTree.from_dict({"posterior": posterior})


def estimate_line(estimate: "Estimate") -> str:
    """`Estimate(log_norm, 32 layers x 1, 5000 networks, last -0.62 +- 0.01)`.

    Networks without a value, of which the mean knows nothing, are named at their most frequent.
    """
    mean, error = estimate.mean, estimate.standard_error
    excluded = int(np.max(estimate.num_excluded, initial=0))
    without = f", up to {excluded} without a value" if excluded else ""
    last = _last(mean, lambda at: with_error(mean[at, 0], error[at, 0]))
    return (
        f"Estimate({estimate.quantity}, {_extent(mean.shape, estimate.axis)}, "
        f"{estimate.num_seeds} networks{without}{last})"
    )


def prediction_line(prediction: "Prediction") -> str:
    """`Prediction(log_norm by exact, 32 layers x 1, last -0.62, error O(...))`."""
    mean = prediction.mean
    last = _last(mean, lambda at: f"{mean[at, 0]:.5g}") if mean.ndim == 2 else ""
    extent, order = _extent(mean.shape, "layer"), prediction.error_order
    return f"Prediction({prediction.quantity} by {prediction.name}, {extent}{last}, error {order})"


def _last(mean: np.ndarray, text: Callable[[int], str]) -> str:
    """The last finite value: not every layer has one (entropy without attention)."""
    if not mean.size:
        return ""
    finite = np.flatnonzero(np.isfinite(mean[:, 0]))
    if not len(finite):
        return ", no finite value"
    name = "last" if finite[-1] == len(mean) - 1 else "last finite"
    return f", {name} {text(int(finite[-1]))}"


def _extent(shape: tuple[int, ...], axis: str) -> str:
    if len(shape) != 2:
        return " x ".join(map(str, shape))
    return f"{shape[0]} {axis}{'s' if shape[0] > 1 else ''} x {shape[1]}"


def estimate_table(estimate: "Estimate", component: int = 0) -> Table:
    """Mean, standard deviation and excluded networks by layer."""
    coordinates = axis_coordinates(estimate, None)
    places = estimate.paths or [str(place) for place in coordinates[estimate.axis]]
    rows = [
        [
            places[layer],
            with_error(estimate.mean[layer, component], estimate.standard_error[layer, component]),
            f"{float(estimate.variance[layer, component]) ** 0.5:.4g}",
            int(estimate.num_excluded[layer, component]),
        ]
        for layer in shown_layers(len(estimate.mean), MOST_ROWS)
    ]
    count, name = estimate.mean.shape[1], coordinates["component"][component]
    title = f"{estimate.quantity}{f', {name}' if count > 1 else ''}: {estimate.num_seeds} networks"
    rest = f"{count - 1} other components: .to_dataframe() has all." if count > 1 else ""
    return Table(title, [estimate.axis, "mean", "standard deviation", "excluded"], rows, rest)


def prediction_table(prediction: "Prediction", component: int = 0) -> Table:
    """Mean and standard deviation by layer, with range and source."""
    variance = prediction.variance
    if variance is not None:
        variance = np.broadcast_to(variance, prediction.mean.shape)
    rows = [
        [
            str(layer + 1),
            f"{prediction.mean[layer, component]:.5g}",
            None if variance is None else f"{float(variance[layer, component]) ** 0.5:.4g}",
        ]
        for layer in shown_layers(len(prediction.mean), MOST_ROWS)
    ]
    title = f"{prediction.quantity} by {prediction.name}"
    caption = f"Error {prediction.error_order}. {prediction.valid_for}. {prediction.reference}"
    return Table(title, ["layer", "mean", "standard deviation"], rows, caption)


def with_error(value: float, error: float) -> str:
    """`value +- error`, to two digits of the error."""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.5g}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 10))
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def notebook_html(*tables: Table) -> str:
    """Titled tables for a notebook."""
    import html

    style = "<style>.beyond .mark{display:none}.beyond{color:#b3261e;font-weight:600}</style>"
    parts = [
        f"<p><strong>{html.escape(each.title)}</strong></p>{each.to_html()}" for each in tables
    ]
    return style + "".join(parts)
