"""Estimate against Prediction, entry by entry."""

import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.results import GATE, QUANTILE_LEVELS, Estimate, Prediction, component_names

if TYPE_CHECKING:
    import xarray

_MOST_PRINTED = 4
NOT_JUDGED = "not judged"
_CHEBYSHEV = 1e3  # standard errors: exceeded with a probability below 1e-6 whatever the tails


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """An xarray Dataset of every comparison, printed as a table for each of the first four components, a row per layer.

    Attributes:
        dataset: dims route, layer, pair (and level for quantiles); of a training run `step` instead of layer. Variables: mean, standard_error, variance,
            variance_standard_error, num_used, num_excluded, effect_resolved [layer, pair]; quantiles
            [level, layer, pair]; predicted, predicted_variance, difference, z, p_value, variance_z
            [route, layer, pair]; judged [route, layer, pair] (may z decide? see `compare`); closest [layer, pair] (name of the route nearest to the measured mean).
    """

    dataset: "xarray.Dataset"

    def __str__(self) -> str:
        width = max(130, 50 + 24 * self.dataset.sizes["route"])
        return printed(
            self.dataset,
            [table(self.dataset, pair=pair) for pair in shown_components(self.dataset)],
            width,
        )

    def _repr_html_(self) -> str:
        return self.dataset._repr_html_()


def compare(
    estimate: Estimate, *predictions: Prediction, pairs: tuple[str, ...] | None = None
) -> Comparison:
    """Compares one measured quantity with any number of predictions of it.

    z = (measured - predicted) / standard error. The standard error is at least four units of rounding of the simulation's dtype, at the scale of
    the values (`Estimate.rounding`: at least 1 for logarithms), which bounds z where a quantity is constant up to rounding. The effect resolved is 5 standard errors, the smallest difference
    that a gate at |z| = 5 sees. z of the variance uses the standard error of the variance. A quantity that is the same in every network has
    z = 0 where it is the predicted one up to rounding and NaN elsewhere (an event that is rare may not have been seen yet); so have entries whose
    standard error is undefined (one seed).

    `judged` is False where z is NaN, and, for quantities that may have heavy tails (`Quantity.light_tailed`), where the sample's skewness shows
    that its standard error cannot be trusted, or where z rejects a prediction by the sample's standard error but the difference is within
    5 standard errors of the variance that the prediction itself states. Beyond 1000 of the latter any tails are judged (Chebyshev's inequality).

    Args:
        estimate: measured.
        predictions: of the same quantity and shape.
        pairs: labels of the last axis.

    Raises:
        SpecError: different quantities or shapes, or no prediction.
    """
    if not predictions:
        raise SpecError(
            "no prediction", "one or more", "Pass di.predict(...) or di.infinite(...) too."
        )
    return comparison(estimate, predictions, pairs=pairs)


def comparison(
    estimate: Estimate, predictions: Sequence[Prediction], *, pairs: tuple[str, ...] | None = None
) -> Comparison:
    """`compare` of any number of predictions, none included."""
    import scipy.stats
    import xarray

    shape = estimate.mean.shape
    pairs = estimate.entries if pairs is None else pairs
    for prediction in predictions:
        if prediction.quantity != estimate.quantity or prediction.mean.shape != shape:
            raise SpecError(
                f"{prediction.quantity} {prediction.mean.shape} by {prediction.name} "
                f"against measured {estimate.quantity} {shape}",
                "the same quantity for the same spec and inputs",
                "Call simulate, predict and infinite with the same arguments.",
            )
    empty = np.zeros((0, *shape))
    predicted = np.stack([prediction.mean for prediction in predictions]) if predictions else empty
    variances = [
        np.full(shape, np.nan) if p.variance is None else np.broadcast_to(p.variance, shape)
        for p in predictions
    ]
    variance = np.stack(variances) if predictions else empty
    difference = estimate.mean - predicted
    rounding = _rounding(estimate)
    error = np.where(
        estimate.standard_error > 0, np.maximum(estimate.standard_error, rounding), np.nan
    )
    exact = (estimate.standard_error == 0) & (np.abs(difference) <= rounding)
    z = np.where(exact, 0.0, _ratio(difference, error))
    names = np.array([prediction.name for prediction in predictions], dtype=str)
    distance = np.where(np.isnan(difference), np.inf, np.abs(difference))
    nearest = (
        distance <= np.min(distance, axis=0, initial=np.inf) + rounding
    )  # of equal ones the first
    closest = names[np.argmax(nearest, axis=0)] if predictions else np.full(shape, "")
    entry, route = (estimate.axis, "pair"), ("route", estimate.axis, "pair")
    dataset = xarray.Dataset(
        {
            "mean": (entry, estimate.mean),
            "standard_error": (entry, estimate.standard_error),
            "variance": (entry, estimate.variance),
            "variance_standard_error": (entry, estimate.variance_standard_error),
            "skewness": (entry, estimate.skewness),
            "num_used": (entry, estimate.num_seeds - estimate.num_excluded),
            "num_excluded": (entry, estimate.num_excluded),
            **{f"num_{name}": (entry, count) for name, count in estimate.events.items()},
            "effect_resolved": (entry, GATE * error),
            "quantiles": (("level", *entry), estimate.quantiles),
            "predicted": (route, predicted),
            "predicted_variance": (route, variance),
            "difference": (route, difference),
            "z": (route, z),
            "judged": (route, _judged(estimate, z, difference, variance)),
            "p_value": (route, 2.0 * scipy.stats.norm.sf(np.abs(z))),
            "variance_z": (
                route,
                _ratio(estimate.variance - variance, estimate.variance_standard_error),
            ),
            "closest": (entry, closest),
        },
        coords={
            "route": names,
            estimate.axis: np.arange(1, shape[0] + 1)
            if estimate.positions is None
            else np.array(estimate.positions),
            "pair": np.array(
                pairs if pairs is not None else [str(index) for index in range(shape[1])]
            ),
            "level": np.array(QUANTILE_LEVELS),
            "error_order": ("route", [prediction.error_order for prediction in predictions]),
            "valid_for": ("route", [prediction.valid_for for prediction in predictions]),
            "reference": ("route", [prediction.reference for prediction in predictions]),
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


def table(dataset: "xarray.Dataset", *, max_layers: int = 40, pair: int = 0) -> Any:
    """A rich table: a row per layer or step (a spread of them if there are many), measured, then every route with its z."""
    from rich.table import Table

    axis = axis_of(dataset)
    one = dataset.isel(pair=pair)
    rows = shown_layers(dataset.sizes[axis], max_layers)
    routes = [str(route) for route in dataset["route"].values]
    result = Table(title=table_title(dataset, pair))
    for name in (axis, "measured", "sd"):
        result.add_column(name, justify="right")
    for route in routes:
        result.add_column(route, justify="right")
        result.add_column("z", justify="right")
    result.add_column("closest")
    for index in rows:
        layer = one.isel({axis: index})
        cells = [
            str(int(layer[axis])),
            with_error(float(layer["mean"]), float(layer["standard_error"])),
        ]
        cells.append(f"{float(layer['variance']) ** 0.5:.4g}")
        for column in range(len(routes)):
            z, judged = float(layer["z"][column]), bool(layer["judged"][column])
            shown = f"{z:+.1f}" if judged or np.isnan(z) else NOT_JUDGED
            cells += [f"{float(layer['predicted'][column]):.5g}", shown]
        result.add_row(*cells, str(layer["closest"].values))
    return result


def judged_z(dataset: "xarray.Dataset", route: str) -> np.ndarray:
    """z of one route, NaN where it cannot decide: what every verdict is formed from."""
    one = dataset.sel(route=route)
    return np.where(
        one["judged"].values == 1, one["z"].values, np.nan
    )  # padded with NaN where cases differ in size


def largest_z(z: np.ndarray) -> float:
    """The largest |z|; NaN where nothing is judged, which neither agrees nor rejects."""
    return float(np.nanmax(np.abs(z))) if np.isfinite(z).any() else float("nan")


def worst_of(values: Iterable[float]) -> float:
    """Of several largest |z|: a rejection before one that is not judged, that before agreement."""
    z = np.array([*values])
    return (
        largest_z(z) if np.nanmax(z, initial=0.0) >= GATE or not np.isnan(z).any() else float("nan")
    )


def verdict(largest: float) -> str:
    """`agrees`, `rejected`, or `not judged` for NaN."""
    return NOT_JUDGED if np.isnan(largest) else "agrees" if largest < GATE else "rejected"


def axis_of(dataset: "xarray.Dataset") -> str:
    """What the rows of a comparison count: `layer`, `step`, or `row` where a Dataset holds cases of both."""
    return next(name for name in ("layer", "step", "row") if name in dataset.dims)


def table_title(dataset: "xarray.Dataset", pair: int = 0) -> str:
    """What the table shows: quantity, component, number of networks, exclusions."""
    excluded = int(dataset["num_excluded"].isel(pair=pair).max())
    note = f", up to {excluded} excluded" if excluded else ""
    return f"{component_title(dataset, pair)}: {dataset.attrs['num_seeds']} networks{note}"


def component_title(dataset: "xarray.Dataset", pair: int) -> str:
    """The quantity, and the component if there are several or it has a name."""
    name = component_names([str(name) for name in dataset["pair"].values])[pair]
    return ", ".join(filter(None, (dataset.attrs["quantity"], name)))


def shown_components(dataset: "xarray.Dataset") -> range:
    """The components that are printed: the first `_MOST_PRINTED`."""
    return range(min(dataset.sizes["pair"], _MOST_PRINTED))


def printed(dataset: "xarray.Dataset", tables: Sequence[Any], width: int) -> str:
    """Rich tables as text, and how many components of the Dataset are not among them."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(file=buffer, width=width, color_system=None)
    for each in tables:
        console.print(each)
    hidden = dataset.sizes["pair"] - len(tables)
    if hidden:
        buffer.write(
            f"{hidden} of {dataset.sizes['pair']} components are not shown: .dataset has them all."
        )
    return buffer.getvalue().rstrip()


def shown_layers(num_layers: int, at_most: int) -> list[int]:
    """Indices of the layers of a table: all, or a spread that keeps the first and the last."""
    if num_layers <= at_most:
        return list(range(num_layers))
    return sorted({round(index) for index in np.geomspace(1, num_layers, at_most) - 1})


def with_error(value: float, error: float) -> str:
    """`-4.6360(9)`-like: the value to two digits of its error, `value +- error`."""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.5g}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 10))
    return f"{value:.{digits}f} +- {error:.{digits}f}"


def _rounding(estimate: Estimate) -> np.ndarray:
    """Four units of rounding of the simulation's dtype at the size of what was computed, per entry."""
    size = (
        np.abs(estimate.mean)
        if estimate.size is None
        else np.fmax(estimate.size, np.abs(estimate.mean))
    )
    if estimate.rounding == "absolute":
        size = np.maximum(size, 1.0)
    return 4.0 * np.finfo(estimate.settings.get("dtype", "float64")).eps * size


def _judged(
    estimate: Estimate, z: np.ndarray, difference: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """Where z decides, bool [route, layer, pair]: see `compare`."""
    judged = np.isfinite(z)
    if estimate.light_tailed is None:
        return judged
    count = np.maximum(estimate.num_seeds - estimate.num_excluded, 1)
    with np.errstate(invalid="ignore"):
        distance, error = np.abs(difference), np.sqrt(variance / count)
        expected = distance < GATE * error
        excluded = (variance > 0) & (
            distance >= _CHEBYSHEV * error
        )  # a variance of 0 is only a leading order
    heavy = np.False_ if estimate.heavy_tails is None else estimate.heavy_tails
    return judged & ((~heavy & ~((np.abs(z) >= GATE) & expected)) | excluded)


def _ratio(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, difference / error, np.nan)
