"""Means, spreads, moments and distributions from the results of expected_length."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from deepinit.comparison.compare import judged_z
from deepinit.comparison.compare import largest_z as largest
from deepinit.runs.experiment import Case, CaseResult
from deepinit.theory.lengths import HomogeneousNetwork, length_cdf, length_moment

from .cases import LENGTH, Config, moment_layer

Results = Mapping[str, CaseResult]


def all_widths(case: Case) -> tuple[int, ...]:
    """(n_0, ..., n_L) of a case."""
    output = () if case.spec.output_width is None else (case.spec.output_width,)
    return (case.inputs.dimension, *case.spec.widths, *output)


@dataclasses.dataclass(frozen=True, eq=False)
class Layers:
    """A measurement by layer, hidden layers, then the output: mean over networks,
    spread = variance / mean^2, and their standard errors.
    """

    mean: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    spread_error: np.ndarray


def measured(result: CaseResult) -> Layers:
    """The first component of a case."""
    data = result.dataset.isel(component=0)
    mean, error, variance, variance_error = (
        data[name].values
        for name in ("mean", "standard_error", "variance", "variance_standard_error")
    )
    return Layers(mean, error, variance / mean**2, variance_error / mean**2)


def predicted(result: CaseResult, theory: str = "exact") -> np.ndarray:
    """Predicted means [layers] of the first component."""
    return result.dataset["predicted"].sel(theory=theory).isel(component=0).values


def largest_z(result: CaseResult, theory: str) -> float:
    """The largest judged |z| of a theory; NaN if none is judged."""
    return largest(judged_z(result.dataset, theory))


def he_curves(results: Results) -> dict[str, CaseResult]:
    """Cases of curves with He's variance in all hidden layers, measured by tangents."""
    return {
        name: result
        for name, result in results.items()
        if result.case.quantity is LENGTH
        and not name.startswith(("polygon", "variance", "narrow", "ray"))
    }


def moment_table(config: Config, results: Results) -> dict:
    """Moments m = 1 to 4.

    `ray`, `circle`: measured (values, errors); `bound`: exact at a point; `least`: by Jensen.
    """
    n, orders = max(config.widths), (1, 2, 3, 4)
    widths = (n,) * (moment_layer(config) + 1)
    bound = np.array([length_moment(HomogeneousNetwork(widths, output=None), m) for m in orders])
    table = {"m": np.array(orders), "bound": bound, "least": bound[0] ** np.array(orders)}
    for name in ("ray", "circle"):
        lengths = np.asarray(results[f"{name}-w{n}"].estimate.samples[:, 0, 0], np.float64)
        powers = np.array([lengths**m for m in orders])
        table[name] = powers.mean(axis=1), powers.std(axis=1, ddof=1) / math.sqrt(powers.shape[1])
    return table


def limit_spread(result: CaseResult) -> float:
    """Var/mean^2 of the output's length at infinite width."""
    limit = result.dataset.sel(theory="infinite_width").isel(component=0, layer=-1)
    return float(limit["predicted_variance"] / limit["predicted"] ** 2)


def deep_distribution(result: CaseResult):
    """(sorted samples of ln |Ju|, its exact distribution function given that it is finite)."""
    values = result.estimate.samples[:, 0, 0]
    widths = all_widths(result.case)
    dead = float(length_cdf(0.0, HomogeneousNetwork(widths, output=None)))
    cdf = lambda y: (
        (length_cdf(np.exp(y), HomogeneousNetwork(widths, output=None)) - dead) / (1.0 - dead)
    )
    return np.sort(np.asarray(values[np.isfinite(values)], np.float64)), cdf


def deep_distance(result: CaseResult) -> float:
    """Kolmogorov-Smirnov distance of the samples to the exact distribution."""
    values, cdf = deep_distribution(result)
    grid = np.linspace(values[0], values[-1], 400)
    exact = np.interp(values, grid, cdf(grid))
    steps = np.arange(len(values) + 1) / len(values)
    return float(np.max(np.maximum(np.abs(exact - steps[1:]), np.abs(exact - steps[:-1]))))
