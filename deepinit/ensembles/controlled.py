"""Statistics of an ensemble with control variates, mergeable as those without.

Control variates c and w have mean exactly 0 over networks. With a fixed number `centre`, the values
a = f - c and b = (f - centre)^2 - w have the means of f and of (f - centre)^2, and less variance.
A part p of c takes part in the mean with a fitted weight (`fitted`); without fit the weight is 1.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.results import Estimate
from deepinit.ensembles import fitted, statistics
from deepinit.ensembles.statistics import Statistics

_PREFIX = "control."
_CENTRE_ROUNDING = 1e-6  # relative; centres of other machines differ by less


class Controlled(NamedTuple):
    """Statistics of f, a and b of the same networks; a and b have no histograms.

    `centre`: float64 [layers, entries]. `fit`: moments of p and a; None without p, or for blocks of
    older runs.
    """

    plain: Statistics
    mean: Statistics
    square: Statistics
    centre: np.ndarray
    fit: fitted.Moments | None = None


Part = Statistics | Controlled


def controlled(
    plain: Statistics,
    values: Any,
    events: Any,
    mean: Any,
    square: Any,
    centre: Any,
    past: Any = None,
) -> Controlled:
    """Statistics of one block with controls.

    `plain`: of values and events [seeds, ...]. `mean`, `square`, `past`: c, w and p, [seeds, ...].
    """
    values, centre = np.asarray(values, np.float64), np.asarray(centre, np.float64)
    num_events = len(plain.events)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        first = values - np.asarray(mean, np.float64)
        second = (values - centre) ** 2 - np.asarray(square, np.float64)
    return Controlled(
        plain,
        statistics.statistics(first, events, num_events, histogram=False),
        statistics.statistics(second, events, num_events, histogram=False),
        centre,
        None if past is None else fitted.moments(past, first),
    )


def plain_of(part: Part) -> Statistics:
    """Statistics of the values themselves."""
    return part.plain if isinstance(part, Controlled) else part


def with_histogram(part: Part, histogram: Any) -> Part:
    """With the histogram of all values."""
    plain = plain_of(part)._replace(histogram=histogram)
    return part._replace(plain=plain) if isinstance(part, Controlled) else plain


def merge(a: Part, b: Part) -> Part:
    """Statistics of two disjoint sets of seeds; plain unless both have one centre."""
    plain = statistics.merge(plain_of(a), plain_of(b))
    if not (isinstance(a, Controlled) and isinstance(b, Controlled)):
        return plain
    if not np.allclose(a.centre, b.centre, rtol=_CENTRE_ROUNDING, atol=_CENTRE_ROUNDING**2):
        return plain
    mean, square = statistics.merge(a.mean, b.mean), statistics.merge(a.square, b.square)
    fit = None
    if a.fit is not None and b.fit is not None:
        fit = fitted.merge(a.fit, b.fit, a.plain.num_seeds, b.plain.num_seeds)
    return Controlled(plain, mean, square, a.centre, fit)


def estimates(
    quantity: str,
    part: Part,
    event_names: tuple[str, ...],
    *,
    samples: np.ndarray | None = None,
    settings: dict[str, str] | None = None,
) -> tuple[Estimate, ...]:
    """The plain Estimate and, with controls, the controlled one.

    With mu = E f, delta = mu - centre, m = mean(a) and s its standard error,

        variance V = mean(b) - (m - centre)^2 + s^2.

    V is unbiased: E b = Var f + delta^2, and E (m - centre)^2 = delta^2 + E s^2. Its error is at
    most the sum of the errors of its terms (triangle inequality): se(b) + 2 |delta| s, to first
    order in 1/sqrt(N). For the covariance of a and b, which is not kept, this is an upper bound.

    NaN where a network is excluded (a control has mean 0 over all of them) or V is not positive.
    The mean and its error are those of a with the fitted weight of p; V has the weight 1, without
    bias. Moments do not give the skewness of the fitted values: it is the third moment of a over
    the cube of their deviation, up to twice their own for tanh. The plain Estimate is `plain`.
    """
    settings = settings or {}
    if not isinstance(part, Controlled):
        return (
            statistics.estimate(quantity, part, event_names, samples=samples, settings=settings),
        )
    without = {name: text for name, text in settings.items() if name != "control"}
    plain, first, second = (
        statistics.estimate(quantity, each, event_names, samples=kept, settings=without)
        for each, kept in zip(part[:3], (samples, None, None), strict=True)
    )
    whole = [each.num_valid == each.num_seeds for each in part[:3]]
    has_mean, has_square = whole[0] & whole[1], whole[0] & whole[1] & whole[2]
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        shift, error = first.mean - part.centre, first.standard_error
        variance = second.mean - shift**2 + error**2
        variance_error = second.standard_error + 2.0 * np.abs(shift) * error
        has_square = has_square & (variance > 0)
        relative_error = variance_error / variance
        change = fitted.UNCHANGED if part.fit is None else fitted.fit(part.fit, plain.num_seeds)
        skewness = first.skewness / change.ratio**3
    return plain, dataclasses.replace(
        plain,
        mean=np.where(has_mean, first.mean + change.shift, np.nan),
        standard_error=np.where(has_mean, error * change.ratio, np.nan),
        skewness=np.where(has_mean, skewness, np.nan),
        variance=np.where(has_square, variance, np.nan),
        variance_standard_error=np.where(has_square, variance_error, np.nan),
        relative_variance_error=np.where(has_square, relative_error, np.nan),
        settings=settings,
        plain=plain,
    )


def best(plain: Estimate, controlled: Estimate | None = None) -> Estimate:
    """Per entry the controlled mean, and apart from it the variance, if its error is smaller.

    The rest is plain. Heavy tails are those of the mean's own values.
    """
    if controlled is None:
        return plain
    mean = controlled.standard_error < plain.standard_error
    variance = controlled.variance_standard_error < plain.variance_standard_error
    chosen = {
        "mean": mean,
        "standard_error": mean,
        "variance": variance,
        "variance_standard_error": variance,
        "relative_variance_error": variance,
        **({} if plain.heavy_tails is None else {"heavy_tails": mean}),
    }
    arrays: dict[str, Any] = {
        name: np.where(where, getattr(controlled, name), getattr(plain, name))
        for name, where in chosen.items()
    }
    return dataclasses.replace(plain, **arrays, settings=controlled.settings, plain=plain)


def to_arrays(part: Part) -> dict[str, np.ndarray]:
    """Arrays for a file; those of controls begin with `control.`."""
    arrays = statistics.to_arrays(plain_of(part))
    if not isinstance(part, Controlled):
        return arrays
    for name in ("mean", "square"):
        own = statistics.to_arrays(getattr(part, name))
        arrays |= {f"{_PREFIX}{name}.{key}": array for key, array in own.items()}
    if part.fit is not None:
        arrays |= {f"{_PREFIX}fit.{key}": array for key, array in part.fit._asdict().items()}
    return {**arrays, f"{_PREFIX}centre": part.centre}


def from_arrays(arrays: dict[str, np.ndarray]) -> Part:
    """Inverse of `to_arrays`."""
    plain, groups = statistics.from_arrays(arrays), control_arrays(arrays)
    if groups is None:
        return plain
    mean, square = map(statistics.from_arrays, groups.statistics)
    fit = fitted.Moments(**groups.fit) if groups.fit else None
    return Controlled(plain, mean, square, groups.centre, fit)


class Arrays(NamedTuple):
    """Arrays of controls in a file: of a and of b, the centre, and of a fit, if any."""

    statistics: tuple[dict[str, np.ndarray], dict[str, np.ndarray]]
    centre: np.ndarray
    fit: dict[str, np.ndarray]


def control_arrays(arrays: dict[str, np.ndarray]) -> Arrays | None:
    """Arrays of controls in a file; None without controls."""
    if not any(name.startswith(_PREFIX) for name in arrays):
        return None
    group = lambda prefix: {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    mean, square, fit = (group(f"{_PREFIX}{name}.") for name in ("mean", "square", "fit"))
    return Arrays((mean, square), arrays[f"{_PREFIX}centre"], fit)
