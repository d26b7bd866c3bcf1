"""The weight of a control variate by least squares, from moments that merge.

Of N networks with values a and a control p of exact mean 0, S the sums of centred products,

    weight = S_pa / S_pp,    mean = mean(a) - weight mean(p),
    error^2 = (S_aa - weight S_pa) / (N - 2) (1 / N + mean(p)^2 / S_pp).

One weight of all networks, however they are cut into blocks. It is not independent of them: the
mean has the bias -E[r p^2] / (N Var p), r the residual. Over the standard error this is of order
1/sqrt(N): 0.6 / sqrt(N) for tanh of width 256, 1.3 / sqrt(N) at width 16. The error is exact for
jointly normal a and p.

Reference: Lavenberg and Welch, Management Science 27 (1981) 322.
"""

from typing import Any, NamedTuple

import numpy as np

LEAST = 100  # networks; of fewer the bias may be a tenth of the standard error


class Moments(NamedTuple):
    """Of a and p, in float64.

    Attributes:
        mean: [2, ...] of p and a.
        products: [3, ...], S_pp, S_pa, S_aa.
    """

    mean: np.ndarray
    products: np.ndarray


class Fit(NamedTuple):
    """What the weight changes: `shift` of mean(a), and the `ratio` of standard errors."""

    shift: np.ndarray
    ratio: np.ndarray


UNCHANGED = Fit(np.array(0.0), np.array(1.0))


def moments(control: Any, values: Any) -> Moments:
    """Of one block [networks, ...]."""
    both = np.stack([np.asarray(each, np.float64) for each in (control, values)])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        mean = both.mean(axis=1)
        p, a = both - mean[:, None]
        return Moments(mean, np.stack([(x * y).sum(axis=0) for x, y in ((p, p), (p, a), (a, a))]))


def merge(a: Moments, b: Moments, num_a: int, num_b: int) -> Moments:
    """Of two disjoint sets of networks, by their numbers."""
    total = num_a + num_b
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        p, v = step = b.mean - a.mean
        apart = np.stack([p * p, p * v, v * v]) * (num_a * num_b / total)
        return Moments(a.mean + step * (num_b / total), a.products + b.products + apart)


def fit(found: Moments, num: int) -> Fit:
    """Of `num` networks; no change below `LEAST`, or where products leave float64.

    Nor where p is constant up to rounding: its mean is then above 10 standard errors.
    """
    (mean, _), (square, crossed, total) = found
    with np.errstate(all="ignore"):
        weight = crossed / square
        left = np.maximum(1.0 - weight * crossed / total, 0.0)
        ratio = np.sqrt(left * ((num - 1) / (num - 2)) * (1.0 + num * mean**2 / square))
        shift = -weight * mean
        sound = np.isfinite(shift) & np.isfinite(ratio) & (num >= LEAST)
        sound = sound & (num * mean**2 <= square)
    return Fit(np.where(sound, shift, 0.0), np.where(sound, ratio, 1.0))
