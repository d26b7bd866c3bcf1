"""Estimate against Prediction, entry by entry."""

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError, refusal
from deepinit.core.results import GATE, QUANTILE_LEVELS, Estimate, Prediction

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """An xarray Dataset of every comparison, printed as a table per layer.

    Attributes:
        dataset: dims route, layer, pair (and level for quantiles). Variables: mean, standard_error, variance,
            variance_standard_error, num_used, num_excluded, effect_resolved [layer, pair]; quantiles
            [level, layer, pair]; predicted, predicted_variance, difference, z, p_value, variance_z
            [route, layer, pair]; closest [layer, pair] (name of the route nearest to the measured mean).
    """

    dataset: "xarray.Dataset"

    def __str__(self) -> str:
        from rich.console import Console

        buffer = io.StringIO()
        Console(file=buffer, width=max(130, 50 + 24 * self.dataset.sizes["route"]), color_system=None).print(
            table(self.dataset)
        )
        return buffer.getvalue().rstrip()

    def _repr_html_(self) -> str:
        return self.dataset._repr_html_()


def compare(estimate: Estimate, *predictions: Prediction, pairs: tuple[str, ...] | None = None) -> Comparison:
    """Compares one measured quantity with any number of predictions of it.

    z = (measured - predicted) / standard error, the latter no smaller than four roundings of the simulation's dtype (where
    a quantity is constant but for rounding, as at right angles, there is nothing finer to judge by); the effect resolved is 5 standard errors, the smallest difference
    that a gate at |z| = 5 sees. z of the variance uses the standard error of the variance. Entries whose standard error
    is zero or undefined (one seed, a constant quantity) have z = NaN.

    Args:
        estimate: measured.
        predictions: of the same quantity and shape.
        pairs: labels of the last axis.

    Raises:
        SpecError: different quantities or shapes, or no prediction.
    """
    import scipy.stats
    import xarray

    if not predictions:
        raise SpecError(refusal("no prediction", "one or more", "Pass di.predict(...) or di.infinite(...) too."))
    shape = estimate.mean.shape
    for prediction in predictions:
        if prediction.quantity != estimate.quantity or prediction.value.shape != shape:
            raise SpecError(
                refusal(
                    f"{prediction.quantity} {prediction.value.shape} by {prediction.name} "
                    f"against measured {estimate.quantity} {shape}",
                    "the same quantity for the same spec and inputs",
                    "Call simulate, predict and infinite with the same arguments.",
                )
            )
    predicted = np.stack([prediction.value for prediction in predictions])
    variance = np.stack(
        [np.full(shape, np.nan) if p.variance is None else np.broadcast_to(p.variance, shape) for p in predictions]
    )
    difference = estimate.mean - predicted
    rounding = 4.0 * np.finfo(estimate.settings.get("dtype", "float64")).eps * np.maximum(np.abs(estimate.mean), 1.0)
    error = np.where(estimate.standard_error > 0, np.maximum(estimate.standard_error, rounding), np.nan)
    z = _ratio(difference, error)
    nearest = np.argmin(np.where(np.isnan(difference), np.inf, np.abs(difference)), axis=0)
    names = np.array([prediction.name for prediction in predictions])
    entry, route = ("layer", "pair"), ("route", "layer", "pair")
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
            "p_value": (route, 2.0 * scipy.stats.norm.sf(np.abs(z))),
            "variance_z": (route, _ratio(estimate.variance - variance, estimate.variance_standard_error)),
            "closest": (entry, names[nearest]),
        },
        coords={
            "route": names,
            "layer": np.arange(1, shape[0] + 1),
            "pair": np.array(pairs if pairs is not None else [str(index) for index in range(shape[1])]),
            "level": np.array(QUANTILE_LEVELS),
            "error_order": ("route", [prediction.error_order for prediction in predictions]),
            "valid_for": ("route", [prediction.valid_for for prediction in predictions]),
            "reference": ("route", [prediction.reference for prediction in predictions]),
        },
        attrs={"quantity": estimate.quantity, "num_seeds": estimate.num_seeds, **dict(estimate.settings)},
    )
    return Comparison(dataset)


def table(dataset: "xarray.Dataset", *, max_layers: int = 40, pair: int = 0) -> Any:
    """A rich table: a row per layer (a spread of them if there are many), measured, then every route with its z."""
    from rich.table import Table

    one = dataset.isel(pair=pair)
    rows = shown_layers(dataset.sizes["layer"], max_layers)
    routes = [str(route) for route in dataset["route"].values]
    result = Table(title=table_title(dataset, pair))
    for name in ("layer", "measured", "sd"):
        result.add_column(name, justify="right")
    for route in routes:
        result.add_column(route, justify="right")
        result.add_column("z", justify="right")
    result.add_column("closest")
    for index in rows:
        layer = one.isel(layer=index)
        cells = [str(int(layer["layer"])), with_error(float(layer["mean"]), float(layer["standard_error"]))]
        cells.append(f"{float(layer['variance']) ** 0.5:.4g}")
        for column in range(len(routes)):
            cells += [f"{float(layer['predicted'][column]):.5g}", f"{float(layer['z'][column]):+.1f}"]
        result.add_row(*cells, str(layer["closest"].values))
    return result


def table_title(dataset: "xarray.Dataset", pair: int = 0) -> str:
    """What the table shows: quantity, pair, number of networks, exclusions."""
    excluded = int(dataset["num_excluded"].isel(pair=pair).max())
    note = f", up to {excluded} excluded" if excluded else ""
    return (
        f"{dataset.attrs['quantity']}, pair {dataset['pair'].values[pair]}: {dataset.attrs['num_seeds']} networks{note}"
    )


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


def _ratio(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(error > 0, difference / error, np.nan)
