"""Typed results: what a simulation estimates, what a theory predicts."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

GATE = 5.0  # standard errors; a correct theory exceeds it in one comparison in two million
Rounding = Literal["relative", "absolute"]
QUANTILE_LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclasses.dataclass(frozen=True, eq=False)
class Estimate:
    """Statistics of one quantity over an ensemble of random networks.

    All arrays have the shape of one measurement, usually [layers, pairs], unless said otherwise; they are float64.

    Attributes:
        quantity: the quantity's name.
        mean: over the seeds whose value is defined.
        standard_error: of the mean; NaN with fewer than two such seeds.
        variance: unbiased.
        variance_standard_error: of the variance, from the fourth central moment.
        skewness: third standardized moment.
        minimum, maximum: extremes.
        quantiles: [levels, ...], at QUANTILE_LEVELS. Exact where samples were kept (`keep_samples=True`); else from
            bins, off by at most 0.4 % of |x|, or 4e-5 where |x| < 0.01.
        num_seeds: networks simulated.
        events: name -> count of networks excluded for that reason (a dead network, collinear images, not finite).
        samples: [seeds, ...] in seed order and in the dtype of the simulation (float64 where values carry a log-scale), NaN where excluded, if asked for; else None.
        settings: what the numbers depend on besides spec and inputs (linear map, dtype, precision, ...).
        axis: what the first axis counts: `layer`, or `step` of a training run.
        positions: the numbers along it; None for 1, 2, ...
        entries: what the entries of the last axis are called; None for numbers.
        rounding: scale of rounding errors: `relative` to the values, or `absolute`, at least 1 (see `Quantity.rounding`).
        light_tailed: name of the light-tailed quantity to compare where tails are heavy; None where this one is light-tailed.
        size: mean over networks of the size of what a value was computed from: rounding is relative to it; None for the mean's.
        relative_variance_error: standard error of the variance over the variance, defined where their squares have no place in float64.
        heavy_tails: bool: entries whose standard error cannot be trusted, by the sample's own moments; None for none.
        symbol: of the quantity, mathtext with its normalization; empty where it is not known.
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
    entries: tuple[str, ...] | None = None
    rounding: Rounding = "relative"
    light_tailed: str | None = None
    heavy_tails: np.ndarray | None = None
    symbol: str = ""
    size: np.ndarray | None = None
    relative_variance_error: np.ndarray | None = None

    @property
    def num_excluded(self) -> np.ndarray:
        """Networks without a defined value, per entry."""
        return sum(self.events.values(), np.zeros(np.shape(self.mean), dtype=np.int64))


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """What a theory says of one quantity.

    Attributes:
        quantity: the quantity's name.
        name: the theory or its form, as it appears in tables and legends.
        mean: predicted mean, usually [layers, pairs], float64.
        variance: predicted variance over networks, same shape; None where the theory gives none, NaN at
            single positions where it gives none.
        error_order: order of what is left out, e.g. "O(depth / width^2)".
        valid_for: hypotheses and range.
        reference: source, with equation or section.
        symbol: of the quantity, as in `Estimate`.
    """

    quantity: str
    name: str
    mean: np.ndarray
    variance: np.ndarray | None
    error_order: str
    valid_for: str
    reference: str
    symbol: str = ""


def component_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of the components of a measurement, for titles: a bare number or index gets a noun, a lone one is left out."""
    if len(names) == 1 and not any(map(str.isalpha, names[0])):
        return ("",)
    return tuple(name if any(map(str.isalpha, name)) else f"component {name}" for name in names)
