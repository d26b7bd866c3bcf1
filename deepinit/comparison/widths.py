"""One quantity at several widths: finite minus infinite against 1/width, the slope that is measured and the one that is predicted.

With d(n) = measured at width n minus infinite width, d(n) = c1/n + c2/n^2 + ... is fitted by least squares, weighted by the standard errors of d. What predictions say is
put through the same fit with the same weights, so that c1 is compared with c1, whatever each theory has beyond first order. The quality of the fit is
its chi-square: where it is poor, more terms (and widths) are needed, or the widths are too small for an expansion.
"""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from deepinit.comparison.compare import axis_of, shown_layers, with_error
from deepinit.core.checks import check_integer
from deepinit.core.errors import SpecError, refusal
from deepinit.core.results import Estimate, Prediction

if TYPE_CHECKING:
    import xarray

STATISTICS = ("mean", "variance")


class WidthFit(NamedTuple):
    """Coefficients of 1/n, 1/n^2, ... [terms, ...], covariance of them [terms, terms, ...], chi-square [...] and its degrees of freedom."""

    coefficients: np.ndarray
    covariance: np.ndarray
    chi_square: np.ndarray
    degrees_of_freedom: int


@dataclasses.dataclass(frozen=True, eq=False)
class WidthComparison:
    """An xarray Dataset of finite minus infinite width by width, printed as a table per layer.

    Attributes:
        dataset: dims width, route, layer, pair. Variables: difference, standard_error [width, layer, pair]; predicted_difference
            [width, route, layer, pair]; slope, slope_standard_error, curvature, chi_square [layer, pair]; predicted_slope, slope_z [route, layer, pair]. The slope is
            the coefficient of 1/width, the curvature that of 1/width^2 (0 if `terms` is 1).
    """

    dataset: "xarray.Dataset"

    def __str__(self) -> str:
        from rich.console import Console

        buffer = io.StringIO()
        width = max(130, 60 + 18 * self.dataset.sizes["width"] + 24 * self.dataset.sizes["route"])
        console = Console(file=buffer, width=width, color_system=None)
        for pair in range(min(self.dataset.sizes["pair"], 3)):
            console.print(width_table(self.dataset, pair=pair))
        return buffer.getvalue().rstrip()

    def _repr_html_(self) -> str:
        return self.dataset._repr_html_()


def fit_widths(widths: Any, differences: Any, standard_errors: Any, terms: int) -> WidthFit:
    """Least squares of d(n) = c1/n + ... + c_terms/n^terms, every entry by itself.

    Args:
        widths: [widths], positive; any unit (width, or the inverse of a sum of 1/width).
        differences: [widths, ...].
        standard_errors: [widths, ...], positive, of independent differences.
        terms: >= 1, at most the number of widths.
    """
    inverse = 1.0 / np.asarray(widths, np.float64)
    values, errors = np.asarray(differences, np.float64), np.asarray(standard_errors, np.float64)
    powers = inverse[:, None] ** np.arange(1, terms + 1)
    shape = values.shape[1:]
    coefficients, covariance = np.full((terms, *shape), np.nan), np.full((terms, terms, *shape), np.nan)
    chi_square = np.full(shape, np.nan)
    for place in np.ndindex(shape):
        value, error = values[(slice(None), *place)], errors[(slice(None), *place)]
        if not (np.isfinite(value).all() and np.isfinite(error).all() and (error > 0).all()):
            continue
        scaled = powers / error[:, None]
        inner = np.linalg.pinv(scaled)  # [terms, widths]
        found = inner @ (value / error)
        coefficients[(slice(None), *place)] = found
        covariance[(slice(None), slice(None), *place)] = inner @ inner.T
        chi_square[place] = np.sum((value / error - scaled @ found) ** 2)
    return WidthFit(coefficients, covariance, chi_square, len(inverse) - terms)


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
        SpecError: fewer widths than terms, no prediction called infinite_width, quantities or shapes that differ, a statistic that a prediction lacks.

    Valid for: widths at which the powers beyond `terms` are below the noise; see chi_square.
    """
    if statistic not in STATISTICS:
        raise SpecError(refusal(f"statistic={statistic!r}", " or ".join(STATISTICS), "mean is the default."))
    check_integer("terms", terms, 1, "2 is the default.")
    if len(results) < terms:
        raise SpecError(
            refusal(
                f"{len(results)} widths for {terms} powers of 1/width", "a width for each", "Add widths or lower terms."
            )
        )
    n = np.array(sorted(results), np.float64)
    if not (np.isfinite(n).all() and (n > 0).all()):
        raise SpecError(refusal(f"widths {[*results]!r}", "positive numbers", "Write {64: (sim, fin, inf), ...}."))
    estimates, limits, routes = _sorted_out([results[width] for width in sorted(results)])
    measured, error = _measured(estimates, statistic)
    limit = limits if statistic == "mean" else np.zeros_like(limits)
    difference = measured - limit
    fit = fit_widths(n, difference, error, terms)
    slope_error = np.sqrt(fit.covariance[0, 0])
    predicted = {name: _predicted(parts, statistic) - limit for name, parts in routes.items()}
    slopes = {name: fit_widths(n, values, error, terms).coefficients[0] for name, values in predicted.items()}
    slopes["infinite_width"] = np.zeros_like(slope_error)
    predicted["infinite_width"] = np.zeros_like(difference)
    return WidthComparison(
        _dataset(estimates[-1], n, difference, error, fit, predicted, slopes, slope_error, statistic, pairs)
    )


def _sorted_out(rows: list[Sequence[Any]]) -> tuple[list[Estimate], np.ndarray, dict[str, list[Prediction]]]:
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
                refusal(
                    f"results of a width with {', '.join(getattr(part, 'name', type(part).__name__) for part in row) or 'nothing'}",
                    "one Estimate, any finite-width Predictions, and the one of infinite width",
                    "Write {64: (di.simulate(...), di.predict(...), di.infinite(...)), ...}.",
                )
            )
        estimate = measured[0]
        estimates.append(estimate)
        limits.append(infinite[0].value)
        for prediction in predictions:
            if prediction is not infinite[0]:
                routes.setdefault(prediction.name, []).append(prediction)
        others: list[tuple[Any, tuple[int, ...]]] = [(part, part.value.shape) for part in predictions]
        for part, shape in (*others, (estimates[0], estimates[0].mean.shape)):
            if part.quantity != estimate.quantity or shape != estimate.mean.shape:
                raise SpecError(
                    refusal(
                        f"{part.quantity} {shape} beside {estimate.quantity} {estimate.mean.shape}",
                        "one quantity of networks that differ in width alone",
                        "Keep depth and inputs the same at every width.",
                    )
                )
    partial = [name for name, parts in routes.items() if len(parts) != len(rows)]
    if partial:
        raise SpecError(
            refusal(f"{', '.join(partial)} at some widths only", "every prediction at every width", "Add or drop it.")
        )
    return estimates, np.stack(limits), routes


def _measured(estimates: list[Estimate], statistic: str) -> tuple[np.ndarray, np.ndarray]:
    errors = {"mean": "standard_error", "variance": "variance_standard_error"}
    values = np.stack([getattr(estimate, statistic) for estimate in estimates])
    return values, np.stack([getattr(estimate, errors[statistic]) for estimate in estimates])


def _predicted(parts: list[Prediction], statistic: str) -> np.ndarray:
    if statistic == "mean":
        return np.stack([part.value for part in parts])
    lacking = [part.name for part in parts if part.variance is None]
    if lacking:
        raise SpecError(
            refusal(
                f"{lacking[0]} without a variance", "predictions of the variance", "Leave it out, or compare means."
            )
        )
    return np.stack([np.broadcast_to(np.asarray(part.variance), part.value.shape) for part in parts])


def _dataset(
    last: Estimate,
    n: np.ndarray,
    difference: np.ndarray,
    error: np.ndarray,
    fit: WidthFit,
    predicted: dict[str, np.ndarray],
    slopes: dict[str, np.ndarray],
    slope_error: np.ndarray,
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
            "predicted_difference": (("width", "route", *entry), np.stack([predicted[name] for name in names], axis=1)),
            "slope": (entry, slope),
            "slope_standard_error": (entry, slope_error),
            "curvature": (entry, fit.coefficients[1] if len(fit.coefficients) > 1 else np.zeros(shape)),
            "chi_square": (entry, fit.chi_square),
            "predicted_slope": (("route", *entry), np.stack([slopes[name] for name in names])),
            "slope_z": (("route", *entry), z),
        },
        coords={
            "width": n,
            "route": names,
            last.axis: np.arange(1, shape[0] + 1) if last.positions is None else np.array(last.positions),
            "pair": np.array(labels if labels is not None else [str(index) for index in range(shape[1])]),
        },
        attrs={
            "quantity": last.quantity,
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
        title=f"{of}{dataset.attrs['quantity']}, pair {dataset['pair'].values[pair]}: width x (finite - infinite width), and its limit"
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
            for width, value, error in zip(n, layer["difference"].values, layer["standard_error"].values, strict=True)
        ]
        cells += [
            with_error(float(layer["slope"]), float(layer["slope_standard_error"])),
            f"{float(layer['chi_square']):.1f}/{dataset.attrs['degrees_of_freedom']}",
        ]
        for column in range(len(routes)):
            cells += [f"{float(layer['predicted_slope'][column]):.4g}", f"{float(layer['slope_z'][column]):+.1f}"]
        result.add_row(*cells)
    return result
