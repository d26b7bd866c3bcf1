"""Results: `Estimate` of a simulation, `Prediction` of a theory."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepinit.core import result_views

if TYPE_CHECKING:
    import pandas
    import xarray

Rounding = Literal["relative", "absolute"]

# Calibrated on exact means and kurtoses of ReLU and linear networks of widths 4 to 32 at
# depth / width 1/16 to 2: by the sample's error bar the exact mean is rejected in 3 of 239 000
# ensembles of 100 to 4000 networks, the exact kurtosis in 2 of 66 000 of 1000 to 4000. With 100
# networks 1 exact kurtosis in 1000 is rejected under any limit.
_LARGEST_SKEWNESS = 0.12  # of the mean, skewness / sqrt(n); one dominant value gives 1
_LARGEST_KURTOSIS = 0.002  # excess kurtosis / n: squared relative error of the variance, less 2 / n
_LEAST_NETWORKS = 1000  # for statistics of second moments


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """Statistics of one quantity over random networks.

    Arrays are float64, usually [layers, pairs].

    Attributes:
        mean: over seeds with a defined value.
        standard_error: of the mean; NaN below two such seeds.
        variance: unbiased.
        variance_standard_error: from the fourth central moment.
        skewness: third standardized moment.
        minimum, maximum: extremes.
        quantiles: [levels, ...] at QUANTILE_LEVELS; exact with `keep_samples=True`, else within
            0.4 % of |x|, or 4e-5 for |x| < 0.01.
        num_seeds: networks simulated.
        events: name -> networks excluded (dead, collinear, not finite).
        samples: [seeds, ...] on request, NaN where excluded; dtype of the simulation, float64 with
            a log-scale.
        settings: linear map, dtype, precision, ...
        axis: first axis, `layer` or training `step`.
        positions: along it; None for 1, 2, ...
        paths: of a composed network's sites along it; None for numbers.
        entries: names along the last axis; None for numbers.
        rounding: of values, `relative`, or `absolute` to a scale >= 1; see `Quantity.rounding`.
        light_tailed: light-tailed quantity to compare instead; None if this one is.
        size: mean size of the terms, reference of relative rounding; None for the mean.
        relative_variance_error: variance_standard_error / variance, also beyond float64.
        heavy_tails: bool, unreliable standard errors by sample moments; None for none.
        symbol: mathtext with normalization, or empty.
        plain: with control variates, the Estimate without them; else None. Only `mean`, `variance`
            and their errors are controlled; `settings["control"]` names the control.
    """

    quantity: str
    mean: np.ndarray
    standard_error: np.ndarray
    variance: np.ndarray
    variance_standard_error: np.ndarray
    skewness: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    quantiles: np.ndarray
    num_seeds: int
    events: Mapping[str, np.ndarray]
    samples: np.ndarray | None = None
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    axis: str = "layer"
    positions: tuple[int, ...] | None = None
    paths: tuple[str, ...] | None = None
    entries: tuple[str, ...] | None = None
    rounding: Rounding = "relative"
    light_tailed: str | None = None
    heavy_tails: np.ndarray | None = None
    symbol: str = ""
    size: np.ndarray | None = None
    relative_variance_error: np.ndarray | None = None
    plain: "Estimate | None" = None

    def __repr__(self) -> str:
        return result_views.estimate_line(self)

    def _repr_html_(self) -> str:
        return result_views.notebook_html(result_views.estimate_table(self))

    @property
    def rounding_error(self) -> np.ndarray:
        """Four rounding units of the simulation's dtype, at the scale of the values."""
        size = np.fmax(np.abs(self.mean), 0.0 if self.size is None else self.size)
        if self.rounding == "absolute":
            size = np.maximum(size, 1.0)
        return 4.0 * np.finfo(self.settings.get("dtype", "float64")).eps * size

    @property
    def mean_error(self) -> np.ndarray:
        """Standard error of the mean, at least rounding; NaN where it is 0 or unknown."""
        error = np.maximum(self.standard_error, self.rounding_error)
        return np.where(self.standard_error > 0, error, np.nan)

    def z(self, predicted: np.ndarray) -> np.ndarray:
        """(mean - predicted) / `mean_error`, for predictions [..., *shape].

        0 where all networks are equal and agree to rounding; NaN where there is no error.
        """
        difference = self.mean - predicted
        exact = (self.standard_error == 0) & (np.abs(difference) <= self.rounding_error)
        return np.where(exact, 0.0, difference / self.mean_error)

    def to_xarray(self) -> "xarray.Dataset":
        """Statistics with dims layer (or step), component; samples with dim seed."""
        return result_views.estimate_dataset(self)

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for every layer and component, a column for every statistic."""
        return result_views.data_frame(self.to_xarray())

    def to_arviz(self) -> Any:
        """Samples as arviz data, one draw a network; SpecError without `keep_samples=True`."""
        return result_views.arviz_data(self)

    @property
    def num_excluded(self) -> np.ndarray:
        """Networks without a defined value, per entry."""
        return sum(self.events.values(), np.zeros(np.shape(self.mean), dtype=np.int64))

    @property
    def variance_saved(self) -> np.ndarray:
        """[layers, entries]: squared plain standard error over the controlled one.

        The factor by which control variates save networks; 1 where the plain mean is kept.
        """
        if self.plain is None:
            return np.ones(np.shape(self.mean))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.square(self.plain.standard_error / self.standard_error)
        return np.where(self.standard_error < self.plain.standard_error, ratio, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction of one quantity by a theory.

    Attributes:
        quantity, name: of the quantity and the theory.
        mean: float64, usually [layers, pairs].
        variance: over networks; None or NaN where not predicted.
        error_order: first omitted term, e.g. "O(depth / width^2)".
        valid_for: hypotheses and range.
        reference: source, equation or section.
        symbol: as in `Estimate`.
    """

    quantity: str
    name: str
    mean: np.ndarray
    variance: np.ndarray | None
    error_order: str
    valid_for: str
    reference: str
    symbol: str = ""

    def __repr__(self) -> str:
        return result_views.prediction_line(self)

    def _repr_html_(self) -> str:
        return result_views.notebook_html(result_views.prediction_table(self))

    def to_xarray(self) -> "xarray.Dataset":
        """Mean and variance with dims layer, component."""
        return result_views.prediction_dataset(self)

    def to_dataframe(self) -> "pandas.DataFrame":
        """A row for every layer and component."""
        return result_views.data_frame(self.to_xarray())


def component_names(names: Sequence[str]) -> tuple[str, ...]:
    """Titles: `component <number>` for numbers, empty for a single one."""
    if len(names) == 1 and not any(map(str.isalpha, names[0])):
        return ("",)
    return tuple(name if any(map(str.isalpha, name)) else f"component {name}" for name in names)


def heavy_tails(measured: Estimate, *, second_moment: bool = False) -> np.ndarray:
    """Entries, over single networks, whose tails are too heavy for reliable error bars.

    `second_moment`: of the variance's error bar, not the mean's; with control variates of the plain
    variance.
    """
    measured = (measured.plain or measured) if second_moment else measured
    count = (measured.num_seeds - measured.num_excluded).astype(np.float64)
    spread = measured.standard_error > 0  # the variance may have underflowed
    with np.errstate(divide="ignore", invalid="ignore"):
        if not second_moment:
            return spread & ~(np.abs(measured.skewness) / np.sqrt(count) <= _LARGEST_SKEWNESS)
        assert measured.relative_variance_error is not None
        kurtosis = count * measured.relative_variance_error**2 - 2.0
        return spread & ~((kurtosis / count <= _LARGEST_KURTOSIS) & (count >= _LEAST_NETWORKS))
