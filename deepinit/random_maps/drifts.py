"""Drifts: how fast distances and norms grow with depth, with standard errors over independent networks.

a(t) = d(x_0, x_t) is subadditive and a(t)/t converges to the drift, but keeps a start-up term O(1/t); (a(T) - a(s)) / (T - s) does not once the walk
is stationary after s. Every estimate is one number per network first, so that layers of one network never pass for independent.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.random_maps.iterates import Iterates
from deepinit.random_maps.metrics import Metric
from deepinit.random_maps.scaled import Scaled


class Drift(NamedTuple):
    """A rate per layer.

    Attributes:
        mean: over networks.
        standard_error: of the mean; NaN with fewer than two networks.
        per_network: [networks], float64; NaN where excluded.
        num_networks: all of them.
        num_excluded: whose value is not finite (a dead network, a saturated scale).
    """

    mean: float
    standard_error: float
    per_network: np.ndarray
    num_networks: int
    num_excluded: int


def drift(distances: Any, *, start: int | None = None) -> Drift:
    """(a(T) - a(start)) / (T - start), a(t) a log-norm or the distance of x_t from x_0.

    Args:
        distances: [networks, T + 1], a(0), ..., a(T).
        start: the first layers left out; None for T // 2.

    Raises:
        SpecError: for a shape other than [networks, T + 1] with T >= 1, and start outside [0, T).

    Reference: arXiv:2104.10727, Kingman's theorem; Gouezel & Karlsson 2020 for the finer statement.
    """
    distances = _two_axes(distances, "distances", 2)
    total = distances.shape[1] - 1
    start = total // 2 if start is None else start
    validate.integer("start", start, 0, f"It has to be below the depth {total}.", total - 1)
    with np.errstate(invalid="ignore"):
        return _summary((distances[:, -1] - distances[:, start]) / (total - start))


def drift_of_increments(increments: Any, *, start: int = 0) -> Drift:
    """The mean of increments a(t) - a(t - 1) over t > start, e.g. `Iterates.increments`.

    Args:
        increments: [networks, T].
        start: the first layers left out; 0 where increments are stationary from the first layer (homogeneous activations).

    Raises:
        SpecError: for a shape other than [networks, T], and start outside [0, T).
    """
    increments = _two_axes(increments, "increments", 1)
    validate.integer(
        "start",
        start,
        0,
        f"It has to be below the depth {increments.shape[1]}.",
        increments.shape[1] - 1,
    )
    return _summary(increments[:, start:].mean(axis=1))


def metric_drift(metric: Metric, iterates: Iterates | Scaled, *, start: int | None = None) -> Drift:
    """The drift of d(x_0, x_t) for a metric on points, along iterates with networks on the axis after depth.

    Args:
        metric: Thompson, Hilbert or a norm.
        iterates: `Iterates` or states with mantissa [T + 1, networks, n], e.g. from `jax.vmap(..., out_axes=1)`.
        start: as for `drift`.

    Raises:
        SpecError: where states leave the metric's domain; for shapes as in `drift`.
    """
    states = iterates.states if isinstance(iterates, Iterates) else iterates
    first = Scaled(*(array[:1] for array in states))
    return drift(np.asarray(metric(states, first)).T, start=start)


def _two_axes(values: Any, name: str, least: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < least:
        raise SpecError(
            f"{name} of shape {values.shape}",
            f"[networks, depths] with at least one network and {least} depth{'s' if least > 1 else ''}",
            "Put one network in each row: jax.vmap over keys does.",
        )
    return values


def _summary(rates: np.ndarray) -> Drift:
    rates = np.where(np.isfinite(rates), rates, np.nan)
    kept = rates[~np.isnan(rates)]
    mean = float(kept.mean()) if len(kept) else float("nan")
    error = float(kept.std(ddof=1) / np.sqrt(len(kept))) if len(kept) > 1 else float("nan")
    return Drift(mean, error, rates, len(rates), len(rates) - len(kept))
