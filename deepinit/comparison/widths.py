"""Finite minus infinite width of one quantity, as a series in 1/width.

d(n) = c1/n + c2/n^2 + ... by weighted least squares. Predictions go through the same fit with the
same weights, for comparable c1. A large chi-square calls for more terms or larger widths.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.comparison.compare import axis_of, component_title, printed, shown_components, shown_z
from deepinit.comparison.width_fit import WidthFit, fit_widths
from deepinit.comparison.width_results import Results, sort_results
from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.result_views import axis_coordinates, notebook_html, shown_layers, with_error
from deepinit.core.results import Estimate, heavy_tails
from deepinit.core.tables import Table

if TYPE_CHECKING:
    import xarray

STATISTICS = ("mean", "variance")


@dataclasses.dataclass(frozen=True, eq=False)
class WidthComparison:
    """An xarray Dataset of finite minus infinite width, printed as tables.

    `dataset`: dims width, theory, layer, component. Variables: difference, standard_error
    [width, layer, component]; predicted_difference [width, theory, layer, component]; slope (c1),
    slope_standard_error, curvature (c2), chi_square, judged [layer, component]; predicted_slope,
    slope_z, truncation [theory, layer, component].
    """

    dataset: "xarray.Dataset"

    def __str__(self) -> str:
        return printed(self.dataset, self._tables())

    def __repr__(self) -> str:
        widths = ", ".join(f"{width:g}" for width in self.dataset["width"].values)
        return f"WidthComparison({self.dataset.attrs['quantity']} at widths {widths})"

    def _repr_html_(self) -> str:
        return notebook_html(*self._tables())

    def _tables(self) -> list[Table]:
        return [width_table(self.dataset, component=k) for k in shown_components(self.dataset)]


def compare_widths(
    results: Mapping[float, Sequence[Any]],
    *,
    terms: int = 2,
    statistic: str = "mean",
    components: tuple[str, ...] | None = None,
) -> WidthComparison:
    """Finite minus infinite width against 1/width, measured and predicted.

    Per layer: n times the difference at every width, the fitted slope, and every theory's slope
    with z = (measured - predicted) / standard error. No verdict: |z| = 5 rejects only in large
    ensembles (1000 networks); see `comparison.compare.threshold`.

    `truncation` estimates the powers of 1/n that the fit omits: |change| of slope - predicted slope
    without the narrowest width; NaN where no width can be spared. Small errors (control variates)
    resolve it: `beyond_truncation`.

    Args:
        results: width n -> (Estimate, finite-width Predictions ..., infinite-width Prediction) of
            one quantity; networks differ in width alone, ensembles in keys. For unequal widths: any
            n in proportion to all.
        terms: powers of 1/n in the fit, at most the number of widths.
        statistic: `mean`, or `variance` over networks (0 at infinite width).
        components: labels of the last axis.

    Raises SpecError: too few widths, results of another form, quantity or shape, a prediction
        without the statistic, wrong labels.
    Valid for: powers beyond `terms` below the noise; see chi_square.
    """
    statistic = validate.choice("statistic", statistic, STATISTICS)
    terms = validate.integer("terms", terms, 1, "2 is the default.")
    rows = sort_results(results, statistic)
    if len(rows.widths) < terms:
        given = f"{len(rows.widths)} widths for {terms} powers of 1/width"
        raise SpecError(given, "a width for each", "Add widths or lower terms.")
    count = rows.measured.shape[-1]
    remedy, fits = "Leave it out for their numbers.", _are_labels(components, count)
    validate.require(fits, f"components={components!r}", f"{count} words", remedy)
    difference = rows.measured - rows.limit
    fit = fit_widths(rows.widths, difference, rows.error, terms)
    predicted = {name: values - rows.limit for name, values in rows.predicted.items()}
    predicted["infinite_width"] = np.zeros_like(difference)
    slopes = {name: _slope(rows, values, terms, 0) for name, values in predicted.items()}
    dataset = _dataset(rows, difference, fit, predicted, slopes, components)
    changes = []
    for values in predicted.values():
        whole, wider = (_slope(rows, difference - values, terms, first) for first in (0, 1))
        changes.append(np.abs(wider - whole))
    dataset["truncation"] = (dataset["slope_z"].dims, np.stack(changes))
    heavy = np.any([_is_heavy(estimate, statistic) for estimate in rows.estimates], axis=0)
    judged = np.isfinite(dataset["slope_standard_error"].values) & ~heavy
    dataset["judged"] = (dataset["slope"].dims, judged)
    dataset.attrs["statistic"] = statistic
    return WidthComparison(dataset)


def _slope(rows: Results, differences: np.ndarray, terms: int, first: int) -> np.ndarray:
    """c1 of the widths from `first` on; NaN if fewer than `terms`."""
    if len(rows.widths) - first < terms:
        return np.full(differences.shape[1:], np.nan)
    wide = fit_widths(rows.widths[first:], differences[first:], rows.error[first:], terms)
    return wide.coefficients[0]


def beyond_truncation(dataset: "xarray.Dataset", theory: str) -> np.ndarray:
    """max(|slope - predicted slope| - truncation, 0) / standard error; NaN where not judged.

    Args:
        dataset: of `compare_widths`; a NaN `truncation` counts as 0.
    """
    chosen = dataset.sel(theory=theory)
    allowed = chosen["truncation"].fillna(0.0) / dataset["slope_standard_error"]
    z = np.maximum(np.abs(chosen["slope_z"].values) - allowed.values, 0.0)
    return np.where(dataset["judged"].values, z, np.nan)


def _are_labels(labels: Any, count: int) -> bool:
    several = labels is None or (isinstance(labels, list | tuple) and len(labels) == count)
    return several and all(isinstance(name, str) for name in labels or ())


def _is_heavy(estimate: Estimate, statistic: str) -> np.ndarray:
    """Where the standard error is unreliable, [layer, component]."""
    none = np.zeros(estimate.mean.shape, bool)
    if estimate.light_tailed is None:
        return none
    heavy = none if estimate.heavy_tails is None else estimate.heavy_tails
    return heavy | heavy_tails(estimate, second_moment=True) if statistic == "variance" else heavy


def _dataset(
    rows: Results,
    difference: np.ndarray,
    fit: WidthFit,
    predicted: dict[str, np.ndarray],
    slopes: dict[str, np.ndarray],
    components: tuple[str, ...] | None,
) -> "xarray.Dataset":
    import xarray

    last = rows.estimates[-1]
    entry, names = (last.axis, "component"), list(predicted)
    slope, slope_error = fit.coefficients[0], np.sqrt(fit.covariance[0, 0])
    curvature = fit.coefficients[1] if len(fit.coefficients) > 1 else np.zeros(slope.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.stack([(slope - slopes[name]) / slope_error for name in names])
    differences = np.stack([predicted[name] for name in names], axis=1)
    return xarray.Dataset(
        {
            "difference": (("width", *entry), difference),
            "standard_error": (("width", *entry), rows.error),
            "predicted_difference": (("width", "theory", *entry), differences),
            "slope": (entry, slope),
            "slope_standard_error": (entry, slope_error),
            "curvature": (entry, curvature),
            "chi_square": (entry, fit.chi_square),
            "predicted_slope": (("theory", *entry), np.stack([slopes[name] for name in names])),
            "slope_z": (("theory", *entry), z),
        },
        coords={"width": rows.widths, "theory": names, **axis_coordinates(last, components)},
        attrs={
            "quantity": last.quantity,
            "symbol": last.symbol,
            "light_tailed": last.light_tailed or "",
            "terms": len(fit.coefficients),
            "degrees_of_freedom": fit.degrees_of_freedom,
        },
    )


def width_table(dataset: "xarray.Dataset", *, max_layers: int = 20, component: int = 0) -> Table:
    """One component: n (finite - infinite), slopes, z."""
    axis, chosen = axis_of(dataset), dataset.isel(component=component)
    prefix = "" if dataset.attrs["statistic"] == "mean" else "variance of "
    title = f"{prefix}{component_title(dataset, component)}: width x (finite - infinite width)"
    routes, n = [str(name) for name in dataset["theory"].values], dataset["width"].values
    theories = [column for route in routes for column in (route, "z")]
    columns = [axis, *(f"n = {width:g}" for width in n), "slope", "chi2", *theories]
    rows = []
    for index in shown_layers(dataset.sizes[axis], max_layers):
        layer = chosen.isel({axis: index})
        values, errors = n * layer["difference"].values, n * layer["standard_error"].values
        cells = [str(int(layer[axis]))]
        cells += [with_error(float(v), float(e)) for v, e in zip(values, errors, strict=True)]
        cells.append(with_error(float(layer["slope"]), float(layer["slope_standard_error"])))
        cells.append(f"{float(layer['chi_square']):.1f}/{dataset.attrs['degrees_of_freedom']}")
        for column in range(len(routes)):
            z = shown_z(float(layer["slope_z"][column]), bool(layer["judged"]))
            cells += [f"{float(layer['predicted_slope'][column]):.4g}", z]
        rows.append(cells)
    return Table(f"{title}, and its limit", columns, rows)
