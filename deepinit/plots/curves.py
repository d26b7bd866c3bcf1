"""Curves by layer, from results."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.results import Estimate, Prediction, component_names
from deepinit.plots.style import GROUP_COLOURS, spaced
from deepinit.plots.validate import MAX_PANELS


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Ensemble statistics, each [layers, components]; `group` of curves with one colour."""

    name: str
    mean: np.ndarray
    standard_error: np.ndarray
    variance: np.ndarray
    variance_standard_error: np.ndarray
    group: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Predicted:
    """Values of a route, each [layers, components]; variance may be NaN.

    `z`: distance of a single measurement, as `di.compare` has it; None for none or several.
    """

    name: str
    value: np.ndarray
    variance: np.ndarray
    group: str = ""
    z: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """Measured and predicted values by layer.

    `label`: description of the data, or empty. `num_seeds`: 0 without measurement. `layers`:
    horizontal positions. `axis`: "layer", or "step" in training.
    """

    quantity: str
    symbol: str
    label: str
    num_seeds: int
    layers: np.ndarray
    components: tuple[str, ...]
    measured: tuple[Measured, ...]
    predicted: tuple[Predicted, ...]
    axis: str = "layer"

    @property
    def position_label(self) -> str:
        """Label of the horizontal axis."""
        return r"layer $\ell$" if self.axis == "layer" else self.axis

    @property
    def axis_label(self) -> str:
        """Symbol, else name."""
        return self.symbol or spaced(self.quantity)

    @property
    def route_names(self) -> tuple[str, ...]:
        """Names of predictions."""
        return tuple(route.name for route in self.predicted)

    @property
    def group_colours(self) -> dict[str, str]:
        """Colour by group; empty without named curves."""
        groups = [curve.group for curve in self.measured] + [
            curve.group for curve in self.predicted
        ]
        named = [name for name in dict.fromkeys(groups) if name]
        return dict(zip(named, itertools.cycle(GROUP_COLOURS), strict=False))

    def shown_components(self, component: int | str | None = None) -> list[int]:
        """Indices of one component, or up to six."""
        names, count = self.components, len(self.components)
        if component is None:
            return sorted({round(i) for i in np.linspace(0, count - 1, min(count, MAX_PANELS))})
        if isinstance(component, str):
            known = [name for name in (component, f"component {component}") if name in names]
            if not known:
                raise SpecError(f"component={component!r}", ", ".join(names), "Check the name.")
            return [names.index(known[0])]
        if not -count <= component < count:
            raise SpecError(f"component={component}", f"an index below {count}", "Count from 0.")
        return [component % count]

    def data_note(self, shown: list[int]) -> str:
        """Label, networks, components shown."""
        parts = [self.label] if self.label else []
        if self.num_seeds:
            parts.append(f"{self.num_seeds:,} networks")
        if len(shown) == 1 and self.components[shown[0]]:
            parts.append(self.components[shown[0]])
        elif len(shown) < len(self.components):
            parts.append(f"{len(shown)} of {len(self.components)} components shown")
        return ", ".join(parts)


def read_curves(results: tuple[Any, ...], symbol: str | None = None) -> Curves:
    """Curves of one quantity's results, or of one Dataset."""
    if not results:
        allowed = "Estimates and Predictions, or one comparison Dataset"
        raise SpecError("nothing to plot", allowed, "Pass a result.")
    if len(results) == 1 and is_dataset(as_dataset(results[0])):
        return _from_dataset(as_dataset(results[0]), symbol)
    if len(results) == 1 and isinstance(results[0], Mapping):
        return _from_results(*_named(results[0]), symbol)
    return _from_results(results, ("",) * len(results), symbol)


def _named(given: Mapping[str, Any]) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Results and their names; a name may have several."""
    pairs = [
        (str(name), result)
        for name, value in given.items()
        for result in (value if isinstance(value, list | tuple) else (value,))
    ]
    if not pairs:
        raise SpecError("an empty dictionary", "name -> Estimate or Prediction", "Pass a result.")
    names, results = zip(*pairs, strict=True)
    return results, names


def is_dataset(value: Any) -> bool:
    """Whether an xarray Dataset, without importing xarray."""
    return hasattr(value, "data_vars") and hasattr(value, "attrs")


def as_dataset(value: Any) -> Any:
    """Dataset of a comparison or result; others unchanged."""
    return getattr(value, "dataset", value)


def _from_results(results: tuple[Any, ...], labels: tuple[str, ...], symbol: str | None) -> Curves:
    for result in results:
        if not isinstance(result, Estimate | Prediction):
            allowed = "Estimates and Predictions in any order, or one comparison Dataset alone"
            remedy = "Pass results of di.simulate, di.predict, di.infinite, or di.compare."
            raise SpecError(f"a {type(result).__name__} among the results", allowed, remedy)
    quantities = list(dict.fromkeys(result.quantity for result in results))
    if len(quantities) > 1:
        given, remedy = f"the quantities {', '.join(quantities)}", "Draw one figure for each."
        raise SpecError(given, "one quantity", remedy)
    first = [r.mean for r in results]
    shape = max((_matrix(array).shape for array in first), key=lambda shape: shape[0] * shape[1])
    estimates = [result for result in results if isinstance(result, Estimate)]
    measured: list[Measured] = []
    for estimate, label in zip(results, labels, strict=True):
        if not isinstance(estimate, Estimate):
            continue
        name = "measured" if len(estimates) == 1 else f"measured, {estimate.num_seeds} networks"
        name = label or name
        if name in [other.name for other in measured]:
            name += f" ({len(measured) + 1})"
        statistics = (
            estimate.mean,
            estimate.standard_error,
            estimate.variance,
            estimate.variance_standard_error,
        )
        mean, error, second, second_error = (_matrix(array, shape) for array in statistics)
        measured.append(Measured(name, mean, error, second, second_error, label))
    predicted: list[Predicted] = []
    for prediction, label in zip(results, labels, strict=True):
        if isinstance(prediction, Prediction):
            variance = np.nan if prediction.variance is None else prediction.variance
            name = f"{label}, {prediction.name}" if label else prediction.name
            if name in [other.name for other in predicted]:
                name += f" ({len(predicted) + 1})"
            value = _matrix(prediction.mean, shape)
            single = len(estimates) == 1 and _matrix(estimates[0].mean).shape == shape
            z = estimates[0].z(value.reshape(estimates[0].mean.shape)) if single else None
            z = None if z is None else _matrix(z)
            predicted.append(Predicted(name, value, _matrix(variance, shape), label, z))
    names = tuple(str(index) for index in range(shape[1]))
    num_seeds = estimates[0].num_seeds if len(estimates) == 1 else 0
    layers, axis = np.arange(1, shape[0] + 1), "layer"
    if estimates and estimates[0].positions is not None:
        layers, axis = np.array(estimates[0].positions), estimates[0].axis
    names = component_names((estimates[0].entries if estimates else None) or names)
    known = next((result.symbol for result in results if result.symbol), "")
    symbol = known if symbol is None else symbol
    return Curves(
        quantities[0], symbol, "", num_seeds, layers, names, tuple(measured), tuple(predicted), axis
    )


def _from_dataset(dataset: Any, symbol: str | None) -> Curves:
    missing = [name for name in ("mean", "standard_error", "predicted") if name not in dataset]
    if missing:
        allowed = "a comparison Dataset: mean, standard_error [layer, component] and predicted "
        allowed += "[route, layer, component]"
        remedy = "Pass the result of di.compare."
        raise SpecError(f"a Dataset without {', '.join(missing)}", allowed, remedy)
    empty = np.full(dataset["mean"].shape, np.nan)

    def table(name: str, *dims: str) -> np.ndarray:
        if name not in dataset:
            return empty if len(dims) == 2 else np.full(dataset["predicted"].shape, np.nan)
        return np.asarray(dataset[name].transpose(*dims).values, np.float64)

    names = ("mean", "standard_error", "variance", "variance_standard_error")
    axis = str(dataset["mean"].dims[0])
    mean, error, variance, variance_error = (table(name, axis, "component") for name in names)
    measured = Measured("measured", mean, error, variance, variance_error)
    values = table("predicted", "theory", axis, "component")
    variances = table("predicted_variance", "theory", axis, "component")
    routes = [str(name) for name in dataset["theory"].values]
    scores = table("z", "theory", axis, "component") if "z" in dataset else [None] * len(routes)
    rows = zip(routes, values, variances, [""] * len(routes), scores, strict=True)
    predicted = tuple(Predicted(*row) for row in rows)
    attrs = dataset.attrs
    return Curves(
        str(attrs.get("quantity", "")),
        symbol if symbol is not None else str(attrs.get("symbol", "")),
        str(attrs.get("label", "")),
        int(attrs.get("num_seeds", 0)),
        np.asarray(dataset[axis].values),
        component_names([str(name) for name in dataset["component"].values]),
        (measured,),
        predicted,
        axis,
    )


def _matrix(values: Any, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Broadcast to [layers, components]."""
    array = np.asarray(values, np.float64)
    if array.ndim > 2:
        given, allowed = (
            f"a result of shape {array.shape}",
            "shape [layers, components] or [layers]",
        )
        raise SpecError(given, allowed, "Select one entry first.")
    array = array[:, None] if array.ndim == 1 else np.atleast_2d(array)
    if shape is None:
        return array
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        given = f"results of shapes {array.shape} and {shape}"
        allowed = "equal shapes [layers, components], or one value for all components"
        raise SpecError(given, allowed, "Use the same spec and inputs.") from None
