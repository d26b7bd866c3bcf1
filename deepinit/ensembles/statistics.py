"""Mergeable statistics of an ensemble: float64 on the host, in seed order.

Moments up to the fourth merge by the formulas of Chan and Pebay, in units of a power of two near
the largest value; quantiles, exactly, by counts on a fixed grid.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.levels import QUANTILE_LEVELS
from deepinit.core.results import Estimate

# Quantile grid: uniform in asinh(x / 0.01), from -1e5 to 1e5. Bins are 0.4 % of |x| wide (4e-5
# near 0); quantiles interpolate linearly inside a bin.
_UNIT = 0.01
_BINS_PER_E = 256
_HALF = int(np.arcsinh(1e5 / _UNIT) * _BINS_PER_E) + 1
NUM_BINS = 2 * _HALF
_POWERS = {"moment2": 2, "moment3": 3, "moment4": 4}
_MOST_PENDING = 2**20  # values
_NO_VALUE = -2000  # exponent of zeros: below every exponent of float64


class Statistics(NamedTuple):
    """Arrays of the measurement's shape; `histogram` [NUM_BINS, entries], or None.

    `moment2`, `moment3`, `moment4` are in units of 2^(2, 3, 4 exponent); `size` is the mean scale
    of rounding.
    """

    num_seeds: int
    num_valid: np.ndarray
    exponent: np.ndarray
    size: np.ndarray
    mean: np.ndarray
    moment2: np.ndarray
    moment3: np.ndarray
    moment4: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    histogram: np.ndarray | None
    events: np.ndarray


def statistics(
    values: Any, events: Any, num_events: int, *, sizes: Any = None, histogram: bool = True
) -> Statistics:
    """Statistics of one block [seeds, ...]; finite values with event 0 count.

    Events are 1..num_events, the last for values that are not finite. `sizes`: scale of rounding;
    None for absolute values. Without a histogram there are no quantiles.
    """
    values, events = np.asarray(values, np.float64), np.asarray(events, np.int64)
    events = np.where((events == 0) & ~np.isfinite(values), num_events, events)
    valid = events == 0
    count = valid.sum(axis=0)
    divisor = np.maximum(count, 1)
    used = np.where(valid, values, 0.0)
    sizes = np.abs(used) if sizes is None else np.where(valid, sizes, 0.0)
    largest = np.abs(used).max(axis=0, initial=0.0)
    exponent = np.where(largest > 0, np.frexp(largest)[1], _NO_VALUE).astype(np.int64)
    scaled = np.ldexp(used, -exponent)
    mean = scaled.sum(axis=0) / divisor
    centred = np.where(valid, scaled - mean, 0.0)
    squared = centred * centred
    return Statistics(
        num_seeds=len(values),
        num_valid=count,
        exponent=exponent,
        size=(sizes / divisor).sum(axis=0),
        mean=np.ldexp(mean, exponent),
        moment2=squared.sum(axis=0),
        moment3=(squared * centred).sum(axis=0),
        moment4=(squared * squared).sum(axis=0),
        minimum=np.where(valid, values, np.inf).min(axis=0, initial=np.inf),
        maximum=np.where(valid, values, -np.inf).max(axis=0, initial=-np.inf),
        histogram=_histogram(values, valid) if histogram else None,
        events=np.stack([(events == code).sum(axis=0) for code in range(1, num_events + 1)]),
    )


class Counts:
    """The histogram of many blocks, counted together: one a block may cost as much as its networks.

    Equal to the sum of the blocks' own histograms.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._size = 0
        self._total: np.ndarray | None = None

    def add(self, values: Any, events: Any) -> None:
        """Values of one block [seeds, ...]; finite ones with event 0 count."""
        values = np.asarray(values, np.float64)
        self._pending.append((values, (np.asarray(events) == 0) & np.isfinite(values)))
        self._size += values.size
        if self._size > _MOST_PENDING:
            self._count()

    @property
    def histogram(self) -> np.ndarray | None:
        """[NUM_BINS, entries]; None without values."""
        self._count()
        return self._total

    def _count(self) -> None:
        if self._pending:
            values, valid = (np.concatenate(parts) for parts in zip(*self._pending, strict=True))
            counts = _histogram(values, valid)
            self._total = counts if self._total is None else self._total + counts
            self._pending, self._size = [], 0


def merge(a: Statistics, b: Statistics) -> Statistics:
    """Statistics of two disjoint sets of seeds."""
    exponent = np.maximum(a.exponent, b.exponent)
    a, b = _in_units(a, exponent), _in_units(b, exponent)
    count = a.num_valid + b.num_valid
    n = np.maximum(count, 1)
    na, nb = a.num_valid.astype(np.float64), b.num_valid.astype(np.float64)
    delta = np.where(na == 0, b.mean, np.where(nb == 0, 0.0, b.mean - a.mean))
    delta = np.ldexp(delta, -exponent)
    step = delta / n
    product = na * nb
    moment3 = (
        a.moment3
        + b.moment3
        + product * (na - nb) * delta * step**2
        + 3.0 * step * (na * b.moment2 - nb * a.moment2)
    )
    moment4 = (
        a.moment4
        + b.moment4
        + product * (na**2 - product + nb**2) * delta * step**3
        + 6.0 * step**2 * (na**2 * b.moment2 + nb**2 * a.moment2)
        + 4.0 * step * (na * b.moment3 - nb * a.moment3)
    )
    return Statistics(
        num_seeds=a.num_seeds + b.num_seeds,
        num_valid=count,
        exponent=exponent,
        size=a.size * (na / n) + b.size * (nb / n),
        mean=np.where(na == 0, b.mean, a.mean + np.ldexp(nb * step, exponent)),
        moment2=a.moment2 + b.moment2 + product * delta * step,
        moment3=moment3,
        moment4=moment4,
        minimum=np.minimum(a.minimum, b.minimum),
        maximum=np.maximum(a.maximum, b.maximum),
        histogram=_total(a.histogram, b.histogram),
        events=a.events + b.events,
    )


def _total(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    return None if a is None or b is None else a + b


def _in_units(stats: Statistics, exponent: np.ndarray) -> Statistics:
    """Moments in units of 2^exponent."""
    shift = stats.exponent - exponent
    moment = lambda name: np.ldexp(getattr(stats, name), _POWERS[name] * shift)
    moments = {name: moment(name) for name in _POWERS}
    return stats._replace(exponent=exponent, **moments)


def estimate(
    quantity: str,
    stats: Statistics,
    event_names: tuple[str, ...],
    *,
    samples: np.ndarray | None = None,
    settings: dict[str, str] | None = None,
) -> Estimate:
    """Estimate; NaN where too few values are defined."""
    count, exponent = stats.num_valid.astype(np.float64), stats.exponent
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.where(count > 1, stats.moment2 / (count - 1), np.nan)
        central4 = stats.moment4 / count
        biased = stats.moment2 / count
        variance_of_variance = (central4 - (count - 3) / (count - 1) * biased**2) / count
        variance_error = np.sqrt(np.maximum(np.where(count > 3, variance_of_variance, np.nan), 0.0))
        relative_error = variance_error / variance
        skewness = (stats.moment3 / count) / biased**1.5
    # the square of 1e200 is no float64, a standard error is
    with np.errstate(over="ignore", under="ignore"):
        variances = [np.ldexp(value, 2 * exponent) for value in (variance, variance_error)]
    return Estimate(
        quantity=quantity,
        mean=np.where(count > 0, stats.mean, np.nan),
        standard_error=np.ldexp(np.sqrt(variance / np.maximum(count, 1)), exponent),
        variance=variances[0],
        variance_standard_error=variances[1],
        skewness=np.where(count > 2, skewness, np.nan),
        minimum=np.where(count > 0, stats.minimum, np.nan),
        maximum=np.where(count > 0, stats.maximum, np.nan),
        quantiles=np.clip(_quantiles_of(stats, samples), stats.minimum, stats.maximum),
        num_seeds=stats.num_seeds,
        events={name: stats.events[index] for index, name in enumerate(event_names)},
        samples=samples,
        settings=settings or {},
        size=np.where(count > 0, stats.size, np.nan),
        relative_variance_error=relative_error,
    )


def to_arrays(stats: Statistics) -> dict[str, np.ndarray]:
    """Arrays for a file; nonzero bins of the histogram, if any."""
    arrays = {name: np.asarray(value) for name, value in stats._asdict().items()}
    del arrays["histogram"]
    if stats.histogram is None:
        return arrays
    occupied = np.flatnonzero(stats.histogram)
    return {**arrays, "occupied": occupied, "counts": stats.histogram.ravel()[occupied]}


def from_arrays(arrays: dict[str, np.ndarray]) -> Statistics:
    """Inverse of `to_arrays`."""
    histogram = None
    if "occupied" in arrays:
        shape = (NUM_BINS, arrays["num_valid"].size)
        counts = np.zeros(shape[0] * shape[1], np.int64)
        counts[arrays["occupied"]] = arrays["counts"]
        histogram = counts.reshape(shape)
    # Old blocks without units of moments: the unit is 1.
    exponent, size = np.zeros(arrays["mean"].shape, np.int64), np.abs(arrays["mean"])
    arrays = {"exponent": exponent, "size": size, **arrays}
    names = set(Statistics._fields) - {"num_seeds", "histogram"}
    fields: dict[str, Any] = {name: arrays[name] for name in names}
    num_seeds = int(arrays["num_seeds"])
    return Statistics(num_seeds=num_seeds, histogram=histogram, **fields)


def _histogram(values: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """[NUM_BINS, entries]: counts of valid values."""
    flat = np.where(valid, values, 0.0).reshape(len(values), int(np.prod(values.shape[1:])))
    position = np.arcsinh(flat / _UNIT) * _BINS_PER_E + _HALF
    index = np.clip(np.floor(position), 0, NUM_BINS - 1).astype(np.int64)
    entries = flat.shape[1]
    linear = index * entries + np.arange(entries)
    chosen = linear[valid.reshape(flat.shape)]
    return np.bincount(chosen, minlength=NUM_BINS * entries).reshape(NUM_BINS, entries)


def _quantiles_of(stats: Statistics, samples: np.ndarray | None) -> np.ndarray:
    """Exact with every sample, else from the histogram."""
    if samples is None or samples.shape != (stats.num_seeds, *stats.num_valid.shape):
        return _quantiles(stats)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # entries without values stay NaN
        return np.nanquantile(np.asarray(samples, np.float64), QUANTILE_LEVELS, axis=0)


def _quantiles(stats: Statistics) -> np.ndarray:
    """[levels, ...] from the histogram; NaN without values."""
    if stats.histogram is None:
        return np.full((len(QUANTILE_LEVELS), *stats.num_valid.shape), np.nan)
    edges = np.sinh((np.arange(NUM_BINS + 1) - _HALF) / _BINS_PER_E) * _UNIT
    result = np.full((len(QUANTILE_LEVELS), stats.num_valid.size), np.nan)
    for entry in range(stats.num_valid.size):
        occupied = np.flatnonzero(stats.histogram[:, entry])
        if occupied.size:
            counts = stats.histogram[occupied, entry]
            cumulative = np.concatenate([[0], np.cumsum(counts)])
            targets = np.asarray(QUANTILE_LEVELS) * cumulative[-1]
            bins = np.searchsorted(cumulative, targets, side="left") - 1
            bins = np.clip(bins, 0, occupied.size - 1)
            fraction = (targets - cumulative[bins]) / counts[bins]
            left, right = edges[occupied[bins]], edges[occupied[bins] + 1]
            result[:, entry] = left + fraction * (right - left)
    return result.reshape(len(QUANTILE_LEVELS), *stats.num_valid.shape)
