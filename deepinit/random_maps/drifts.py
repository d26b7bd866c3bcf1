"""Drifts: growth rates of distances and norms with depth, with errors over independent networks.

For a(t) = d(x_0, x_t), a(t)/t has a start-up term O(1/t), (a(T) - a(s)) / (T - s) none once the
walk is stationary after s. Layers of one network are dependent: its rates are averaged first.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from deepinit.core import validate
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.random_maps.iterates import Iterates
from deepinit.random_maps.metrics import Metric
from deepinit.random_maps.scaled import Scaled


class Drift(NamedTuple):
    """A rate per layer, over networks.

    `standard_error`: of the mean; NaN with fewer than two networks. `per_network`: NaN where
    excluded. `num_excluded` of `num_networks`: without a finite value (dead, or a saturated scale).
    """

    mean: float
    standard_error: float
    per_network: Float[np.ndarray, "networks"]
    num_networks: int
    num_excluded: int


def drift(distances: Real[Array, "networks layers"] | Plain, *, start: int | None = None) -> Drift:
    """Rate (a(T) - a(start)) / (T - start) of a log-norm or distance from x_0.

    `distances`: [networks, T + 1], a(0), ..., a(T), T >= 1. `start`: first layers to skip, below T;
    None for T // 2.
    Raises SpecError: start out of range.
    Reference: arXiv:2104.10727; Gouezel & Karlsson 2020.
    """
    distances = _per_network(distances, "distances", 2)
    total = distances.shape[1] - 1
    start = total // 2 if start is None else start
    validate.integer("start", start, 0, f"Stay below the depth {total}.", total - 1)
    with np.errstate(invalid="ignore"):
        return _summary((distances[:, -1] - distances[:, start]) / (total - start))


def drift_of_increments(
    increments: Real[Array, "networks layers"] | Plain, *, start: int = 0
) -> Drift:
    """Mean of increments a(t) - a(t - 1) over t > start, e.g. `Iterates.increments`.

    `start`: first layers to skip, below T; 0 for homogeneous activations.
    Raises SpecError: start out of range.
    """
    increments = _per_network(increments, "increments", 1)
    total = increments.shape[1]
    validate.integer("start", start, 0, f"Stay below the depth {total}.", total - 1)
    return _summary(increments[:, start:].mean(axis=1))


def metric_drift(metric: Metric, iterates: Iterates | Scaled, *, start: int | None = None) -> Drift:
    """Drift of d(x_0, x_t) along iterates.

    `metric`: Thompson, Hilbert or a norm. `iterates`: `Iterates`, or states of mantissa
    [T + 1, networks, n]. `start`: as for `drift`.
    Raises SpecError: states outside the metric's domain.
    """
    states = iterates.states if isinstance(iterates, Iterates) else iterates
    first = Scaled(*(array[:1] for array in states))
    return drift(np.asarray(metric(states, first)).T, start=start)


def _per_network(values: ArrayLike, name: str, least: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    valid = values.ndim == 2 and len(values) >= 1 and values.shape[1] >= least
    allowed = f"[networks, depths] with at least one network and {least} depth(s)"
    validate.require(valid, f"{name} of shape {values.shape}", allowed, "One network per row.")
    return values


def _summary(rates: np.ndarray) -> Drift:
    rates = np.where(np.isfinite(rates), rates, np.nan)
    finite = rates[~np.isnan(rates)]
    count = len(finite)
    mean = float(finite.mean()) if count else float("nan")
    error = float(finite.std(ddof=1) / np.sqrt(count)) if count > 1 else float("nan")
    return Drift(mean, error, rates, len(rates), len(rates) - count)
