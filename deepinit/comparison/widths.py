"""One quantity at several widths: finite minus infinite against 1/width, the slope that is measured and the one that is predicted.

With d(n) = measured at width n minus infinite width, d(n) = c1/n + c2/n^2 + ... is fitted by least squares, weighted by the standard errors of d. What predictions say is
put through the same fit with the same weights, so that c1 is compared with c1, whatever each theory has beyond first order. The quality of the fit is
its chi-square: where it is poor, more terms (and widths) are needed, or the widths are too small for an expansion.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.comparison.compare import (
    NOT_JUDGED,
    axis_of,
    component_title,
    printed,
    shown_components,
    shown_layers,
    with_error,
)
from deepinit.comparison.width_fit import WidthFit, fit_widths
from deepinit.comparison.width_rows import (
    are_labels,
    check_rows,
    measured_values,
    predicted_values,
    sorted_out,
)
from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.results import Estimate, heavy_tails

if TYPE_CHECKING:
    import xarray

STATISTICS = ("mean", "variance")


@dataclasses.dataclass(frozen=True, eq=False)
class WidthComparison:
    """An xarray Dataset of finite minus infinite width by width, printed as a table per layer.

    Attributes:
        dataset: dims width, route, layer, pair. Variables: difference, standard_error [width, layer, pair]; predicted_difference
    XX
    """

    dataset: "xarray.Dataset"

    def __str__(self) -> str:
        width = max(130, 60 + 18 * self.dataset.sizes["width"] + 24 * self.dataset.sizes["route"])
        tables = [width_table(self.dataset, pair=pair) for pair in shown_components(self.dataset)]
        return printed(self.dataset, tables, width)

    def _repr_html_(self) -> str:
        return self.dataset._repr_html_()


def compare_widths(
    results: Mapping[float, Sequence[Any]],
    *,
    terms: int = 2,
    statistic: str = "mean",
    pairs: tuple[str, ...] | None = None,
) -> WidthComparison:
    """Finite minus infinite width against 1/width: what is measured, and what finite-width theory says.

    Args:
        results: width n -> (Estimate, finite-width Predictions ..., infinite-width Prediction) of one quantity in networks that differ in width
            alone; ensembles with different keys. Unequal widths: any n in proportion to all of them.
        terms: powers of 1/n in the fit; 2 takes what is left out at first order into account.
        statistic: `mean`, or `variance` (over networks; 0 at infinite width).
        pairs: labels of the last axis.

    Returns:
        A `WidthComparison`; printed, a row per layer: n times the difference at every width, the fitted slope, and for every theory its slope
        and z = (measured slope - predicted) / standard error. Infinite width predicts slope 0.

    Raises:
        SpecError: fewer widths than terms, no prediction called infinite_width, quantities or shapes that differ, a statistic that a prediction lacks, results that are no mapping of widths to tuples,
            another number of labels than of entries.

    Valid for: widths at which the powers beyond `terms` are below the noise; see chi_square.
    """
    if statistic not in STATISTICS:
        raise SpecError(f"statistic={statistic!r}", " or ".join(STATISTICS), "mean is the default.")
    validate.integer("terms", terms, 1, "2 is the default.")
    check_rows(results)
    if len(results) < terms:
        raise SpecError(
            f"{len(results)} widths for {terms} powers of 1/width",
            "a width for each",
            "Add widths or lower terms.",
        )
    n = np.array(sorted(results), np.float64)
    estimates, limits, routes = sorted_out([results[width] for width in sorted(results)])
    measured, error = measured_values(estimates, statistic)
    if pairs is not None and not are_labels(pairs, measured.shape[-1]):
        raise SpecError(
            f"pairs={pairs!r}", f"{measured.shape[-1]} words", "Leave it out for their numbers."
        )
    limit = limits if statistic == "mean" else np.zeros_like(limits)
    difference = measured - limit
    fit = fit_widths(n, difference, error, terms)
    slope_error = np.sqrt(fit.covariance[0, 0])
    predicted = {name: predicted_values(parts, statistic) - limit for name, parts in routes.items()}
    slopes = {
        name: fit_widths(n, values, error, terms).coefficients[0]
        for name, values in predicted.items()
    }
    slopes["infinite_width"] = np.zeros_like(slope_error)
    predicted["infinite_width"] = np.zeros_like(difference)
    judged = np.isfinite(slope_error) & ~np.any(
        [_is_heavy(estimate, statistic) for estimate in estimates], axis=0
    )
    return WidthComparison(
        _dataset(
            estimates[-1],
            n,
            difference,
            error,
            fit,
            predicted,
            slopes,
            slope_error,
            judged,
            statistic,
            pairs,
        )
    )


def _is_heavy(estimate: Estimate, statistic: str) -> np.ndarray:
    """Where the error bar of the statistic cannot be trusted, bool [layer, pair]."""
    if estimate.light_tailed is None:
        return np.zeros(estimate.mean.shape, bool)
    mean = (
        np.zeros(estimate.mean.shape, bool)
        if estimate.heavy_tails is None
        else estimate.heavy_tails
    )
    return mean | heavy_tails(estimate, second_moment=True) if statistic == "variance" else mean


def _dataset(
    last: Estimate,
    n: np.ndarray,
    difference: np.ndarray,
    error: np.ndarray,
    fit: WidthFit,
    predicted: dict[str, np.ndarray],
    slopes: dict[str, np.ndarray],
    slope_error: np.ndarray,
    judged: np.ndarray,
    statistic: str,
    pairs: tuple[str, ...] | None,
) -> "xarray.Dataset":
    import xarray

    entry, names = (last.axis, "pair"), list(predicted)
    slope = fit.coefficients[0]
    shape = slope.shape
    labels = last.entries if pairs is None else pairs
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.stack([(slope - slopes[name]) / slope_error for name in names])
    return xarray.Dataset(
        {
            "difference": (("width", *entry), difference),
            "standard_error": (("width", *entry), error),
            "predicted_difference": (
                ("width", "route", *entry),
                np.stack([predicted[name] for name in names], axis=1),
            ),
            "slope": (entry, slope),
            "slope_standard_error": (entry, slope_error),
            "curvature": (
                entry,
                fit.coefficients[1] if len(fit.coefficients) > 1 else np.zeros(shape),
            ),
            "chi_square": (entry, fit.chi_square),
            "judged": (entry, judged),
            "predicted_slope": (("route", *entry), np.stack([slopes[name] for name in names])),
            "slope_z": (("route", *entry), z),
        },
        coords={
            "width": n,
            "route": names,
            last.axis: np.arange(1, shape[0] + 1)
            if last.positions is None
            else np.array(last.positions),
            "pair": np.array(
                labels if labels is not None else [str(index) for index in range(shape[1])]
            ),
        },
        attrs={
            "quantity": last.quantity,
            "symbol": last.symbol,
            "light_tailed": last.light_tailed or "",
            "statistic": statistic,
            "terms": len(fit.coefficients),
            "degrees_of_freedom": fit.degrees_of_freedom,
        },
    )


def width_table(dataset: "xarray.Dataset", *, max_layers: int = 20, pair: int = 0) -> Any:
    """A rich table: a row per layer: n (finite - infinite) at every width, the slope, every theory's slope with its z."""
    from rich.table import Table

    axis, one = axis_of(dataset), dataset.isel(pair=pair)
    of = "" if dataset.attrs["statistic"] == "mean" else "variance of "
    result = Table(
        title=f"{of}{component_title(dataset, pair)}: width x (finite - infinite width), and its limit"
    )
    routes, n = [str(name) for name in dataset["route"].values], dataset["width"].values
    for name in (axis, *(f"n = {width:g}" for width in n), "slope", "chi2"):
        result.add_column(name, justify="right")
    for route in routes:
        result.add_column(route, justify="right")
        result.add_column("z", justify="right")
    for index in shown_layers(dataset.sizes[axis], max_layers):
        layer = one.isel({axis: index})
        cells = [str(int(layer[axis]))]
        cells += [
            with_error(float(width * value), float(width * error))
            for width, value, error in zip(
                n, layer["difference"].values, layer["standard_error"].values, strict=True
            )
        ]
        cells += [
            with_error(float(layer["slope"]), float(layer["slope_standard_error"])),
            f"{float(layer['chi_square']):.1f}/{dataset.attrs['degrees_of_freedom']}",
        ]
        for column in range(len(routes)):
            z = float(layer["slope_z"][column])
            shown = f"{z:+.1f}" if bool(layer["judged"]) or np.isnan(z) else NOT_JUDGED
            cells += [f"{float(layer['predicted_slope'][column]):.4g}", shown]
        result.add_row(*cells)
    return result
