"""Estimates against Predictions, entry by entry: z and verdict."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from deepinit.comparison.controlled import beside_controls, saved_cell, saved_column
from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.levels import QUANTILE_LEVELS, THRESHOLD_SIGMA
from deepinit.core.result_views import (
    axis_coordinates,
    data_frame,
    notebook_html,
    shown_layers,
    with_error,
)
from deepinit.core.results import Estimate, Prediction, component_names
from deepinit.core.tables import Table
from deepinit.core.terminal_tables import output_width
from deepinit.core.typing import Float, Like, Numbers

if TYPE_CHECKING:
    import pandas
    import xarray

NOT_JUDGED = "not judged"
_STATISTICS = ("mean", "standard_error", "variance", "variance_standard_error", "skewness")
_TEXTS = ("error_order", "valid_for", "reference")
_CHEBYSHEV = 1e3  # standard errors: exceeded with a probability below 1e-6 for any tails


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """An xarray Dataset; prints tables of the first four components.

    `dataset`: dims theory, layer (`step` in training), component, level. Variables: mean,
    standard_error, variance, variance_standard_error, num_used, num_excluded, effect_resolved,
    closest (the theory nearest to the mean), with controls plain_mean, plain_standard_error,
    variance_saved [layer, component]; quantiles [level, layer, component]; predicted,
    predicted_variance, difference, z, p_value, variance_z, judged [theory, layer, component].
    """

    dataset: "xarray.Dataset"

    def __str__(self) -> str:
        return printed(self.dataset, self._tables())

    def __repr__(self) -> str:
        theories = ", ".join(map(str, self.dataset["theory"].values))
        return f"Comparison({self.dataset.attrs['quantity']} with {theories or 'no theory'})"

    def _repr_html_(self) -> str:
        return notebook_html(*self._tables())

    def _tables(self) -> list[Table]:
        return [table(self.dataset, component=k) for k in shown_components(self.dataset)]

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for every theory, layer and component, a column for every statistic."""
        return data_frame(self.dataset)


def threshold(num_seeds: Numbers) -> Float[Like, "..."]:
    """|z| of rejection: Student's t quantile at 5 normal standard deviations (5.7e-7, two-sided).

    `num_seeds` - 1 degrees of freedom: 1.1e6 for 2 networks, 5.35 for 100, 5.03 for 1000, 5 for
    infinity.
    """
    from scipy import special

    freedom = np.maximum(np.asarray(num_seeds, np.float64) - 1.0, 1.0)
    return -special.stdtrit(freedom, special.ndtr(-THRESHOLD_SIGMA))


def compare(
    estimate: Estimate, *predictions: Prediction, components: tuple[str, ...] | None = None
) -> Comparison:
    """One measured quantity against predictions.

    z = (measured - predicted) / standard error; the error is at least four rounding units of the
    simulation's dtype at the scale of the values (at least 1 for logarithms). A quantity equal in
    all n networks has z = 0 where the prediction agrees to rounding, else NaN: a rare event may be
    unseen. One network: NaN. `p_value` is two-sided, Student's t, n - 1 degrees of freedom.
    `effect_resolved` is the smallest difference rejected by `threshold`.

    `judged` is False where z is NaN and, for heavy tails (`Quantity.light_tailed`), where
    - the sample skewness invalidates the standard error, or
    - z rejects a difference below 5 s / sqrt(variance_saved), s = sqrt(predicted variance / n);
      from 1000 s every distribution is judged (Chebyshev's inequality).

    `components` label the last axis.

    Raises:
        SpecError: no prediction, or another quantity or shape.
    """
    if not predictions:
        raise SpecError("no prediction", "one or more", "Pass di.predict(...) or di.infinite(...).")
    return comparison(estimate, predictions, components=components)


def comparison(
    estimate: Estimate,
    predictions: Sequence[Prediction],
    *,
    components: tuple[str, ...] | None = None,
) -> Comparison:
    """`compare`, also without predictions."""
    import xarray
    from scipy import special

    shape = estimate.mean.shape
    for p in predictions:
        given = f"{p.quantity} {p.mean.shape} by {p.name} against {estimate.quantity} {shape}"
        same = p.quantity == estimate.quantity and p.mean.shape == shape
        validate.require(same, given, "one quantity and shape", "Give both the same arguments.")
    predicted = np.array([p.mean for p in predictions]).reshape(-1, *shape)
    unknown = np.full(shape, np.nan)
    variances = [unknown if p.variance is None else p.variance for p in predictions]
    variance = np.array([np.broadcast_to(v, shape) for v in variances]).reshape(-1, *shape)
    difference = estimate.mean - predicted
    num_used = estimate.num_seeds - estimate.num_excluded
    z = estimate.z(predicted)
    p_value = 2.0 * special.stdtr(np.maximum(num_used - 1.0, 1.0), -np.abs(z))
    variance_z = _ratio(estimate.variance - variance, estimate.variance_standard_error)
    names = np.array([prediction.name for prediction in predictions], dtype=str)
    distance = np.where(np.isnan(difference), np.inf, np.abs(difference))
    nearest = (
        distance <= np.min(distance, axis=0, initial=np.inf) + estimate.rounding_error
    )  # first of equal ones
    closest = names[np.argmax(nearest, axis=0)] if predictions else np.full(shape, "")
    entry, route = (estimate.axis, "component"), ("theory", estimate.axis, "component")
    dataset = xarray.Dataset(
        {
            **{name: (entry, getattr(estimate, name)) for name in _STATISTICS},
            "num_used": (entry, num_used),
            "num_excluded": (entry, estimate.num_excluded),
            **{f"num_{name}": (entry, count) for name, count in estimate.events.items()},
            "effect_resolved": (entry, threshold(num_used) * estimate.mean_error),
            "quantiles": (("level", *entry), estimate.quantiles),
            "predicted": (route, predicted),
            "predicted_variance": (route, variance),
            "difference": (route, difference),
            "z": (route, z),
            "judged": (route, _judged(estimate, num_used, z, difference, variance)),
            "p_value": (route, p_value),
            "variance_z": (route, variance_z),
            "closest": (entry, closest),
            **{name: (entry, values) for name, values in beside_controls(estimate).items()},
        },
        coords={
            "theory": names,
            **axis_coordinates(estimate, components),
            "level": np.array(QUANTILE_LEVELS),
            **{name: ("theory", [getattr(p, name) for p in predictions]) for name in _TEXTS},
        },
        attrs={
            "quantity": estimate.quantity,
            "symbol": estimate.symbol,
            "light_tailed": estimate.light_tailed or "",
            "num_seeds": estimate.num_seeds,
            **dict(estimate.settings),
        },
    )
    return Comparison(dataset)


def _judged(
    estimate: Estimate,
    num_used: np.ndarray,
    z: np.ndarray,
    difference: np.ndarray,
    variance: np.ndarray,
) -> np.ndarray:
    """`judged` of `compare`, [theory, layer, component]."""
    judged = np.isfinite(z)
    if estimate.light_tailed is None:
        return judged
    with np.errstate(invalid="ignore"):
        distance, error = np.abs(difference), np.sqrt(variance / np.maximum(num_used, 1))
        expected = distance < THRESHOLD_SIGMA * error / np.sqrt(estimate.variance_saved)
        # a predicted variance of 0 is only a leading order
        excluded = (variance > 0) & (distance >= _CHEBYSHEV * error)
    heavy = np.False_ if estimate.heavy_tails is None else estimate.heavy_tails
    return judged & ((~heavy & ~((np.abs(z) >= threshold(num_used)) & expected)) | excluded)


def _ratio(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, difference / error, np.nan)


def judged_z(dataset: "xarray.Dataset", route: str) -> np.ndarray:
    """z of one theory, NaN where not judged."""
    selected = dataset.sel(theory=route)  # padded with NaN where cases differ in size
    return np.where(selected["judged"].values == 1, selected["z"].values, np.nan)


def largest_z(z: Float[Like, "..."]) -> float:
    """Largest |z|; NaN where nothing is judged."""
    return float(np.nanmax(np.abs(z))) if np.isfinite(z).any() else float("nan")


def verdict(z: Numbers, num_seeds: Numbers = np.inf) -> str:
    """`rejected` if a |z| reaches `threshold`, `not judged` if all NaN, else `agrees`."""
    if np.isnan(z).all():
        return NOT_JUDGED
    return "rejected" if np.any(np.abs(z) >= threshold(num_seeds)) else "agrees"


def table(dataset: "xarray.Dataset", *, max_layers: int = 40, component: int = 0) -> Table:
    """One component, a row per layer."""
    axis, values = axis_of(dataset), dataset.isel(component=component)
    routes = [str(route) for route in dataset["theory"].values]
    theories = [column for route in routes for column in (route, "z")]
    columns = [axis, "measured", *saved_column(dataset), "sd", *theories, "closest"]
    rows = []
    for index in shown_layers(dataset.sizes[axis], max_layers):
        layer = values.isel({axis: index})
        measured = with_error(float(layer["mean"]), float(layer["standard_error"]))
        place = str(layer["path"].values) if "path" in layer.coords else str(int(layer[axis]))
        cells = [place, measured, *saved_cell(layer), f"{float(layer['variance']) ** 0.5:.4g}"]
        for column in range(len(routes)):
            z = shown_z(float(layer["z"][column]), bool(layer["judged"][column]))
            cells += [f"{float(layer['predicted'][column]):.5g}", z]
        rows.append([*cells, str(layer["closest"].values)])
    return Table(table_title(dataset, component), columns, rows)


def shown_z(z: float, judged: bool) -> str:
    """z with one decimal, or `not judged`."""
    return f"{z:+.1f}" if judged or np.isnan(z) else NOT_JUDGED


def axis_of(dataset: "xarray.Dataset") -> str:
    """First axis: `layer`, `step`, or `row` for both."""
    return next(name for name in ("layer", "step", "row") if name in dataset.dims)


def table_title(dataset: "xarray.Dataset", component: int = 0) -> str:
    """Quantity, component, networks and exclusions."""
    excluded = int(dataset["num_excluded"].isel(component=component).max())
    note = f", up to {excluded} excluded" if excluded else ""
    return f"{component_title(dataset, component)}: {dataset.attrs['num_seeds']} networks{note}"


def component_title(dataset: "xarray.Dataset", component: int) -> str:
    """Quantity, with the component if named or of several."""
    name = component_names([str(name) for name in dataset["component"].values])[component]
    return ", ".join(filter(None, (dataset.attrs["quantity"], name)))


def shown_components(dataset: "xarray.Dataset") -> range:
    """The first four components."""
    return range(min(dataset.sizes["component"], 4))


def printed(dataset: "xarray.Dataset", tables: Sequence[Table]) -> str:
    """Tables as text, with the number of omitted components."""
    texts = [each.to_terminal(output_width()) for each in tables]
    count = dataset.sizes["component"]
    if (hidden := count - len(tables)) > 0:
        texts.append(f"{hidden} of {count} components are not shown: .dataset has them all.")
    return "".join(texts).rstrip()
