"""Slopes in 1/width, relative variances and covariances from the results."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import deepinit as di
from deepinit.comparison.widths import beyond_truncation
from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.runs.experiment import CaseResult, Results
from deepinit.theory.kernel_corrections import kernel_corrections, tangent_covariance

from .cases import Config, kernel_name, tangent_name

# Expansions in 1/width are fitted to widths with at most this predicted relative variance. Powers
# beyond the second are then a few percent of the slope, below the error bars of the presets.
MOST_VARIANCE = 0.35


class Slope(NamedTuple):
    """A fitted slope: the Dataset of `di.compare_widths` at one layer."""

    activation: str
    depth: int
    widths: tuple[int, ...]
    dataset: Any


def parts(result: CaseResult) -> tuple[Any, ...]:
    """Arguments of `di.compare_widths`: the estimate, first order, infinite width."""
    return (
        result.estimate,
        *(each for each in result.predictions if each.name in ("first_order", "infinite_width")),
    )


def relative_variance(result: CaseResult, row: int) -> float:
    """Largest first-order variance over squared limit, over diagonal entries."""
    first, limit = (named(result, name) for name in ("first_order", "infinite_width"))
    own = diagonal(result)
    return float(np.max(np.asarray(first.variance)[row, own] / limit.mean[row, own] ** 2))


def named(result: CaseResult, name: str) -> Any:
    """The prediction of this name."""
    return next(each for each in result.predictions if each.name == name)


def in_range(results: Results, names: Mapping[int, str]) -> dict[int, CaseResult]:
    """width -> result, for widths with a first order (sum of 1/width up to 3)."""
    return {
        width: results[name]
        for width, name in names.items()
        if any(each.name == "first_order" for each in results[name].predictions)
    }


def diagonal(result: CaseResult) -> np.ndarray:
    """Indices of the entries (a, a)."""
    first, second = np.triu_indices(result.case.inputs.num_rows)
    return np.flatnonzero(first == second)


def kernel_slopes(config: Config, results: Results, statistic: str = "mean") -> list[Slope]:
    """Slopes of the NNGP kernel by activation and shown depth, from wide networks."""
    slopes = []
    for activation in config.activations:
        by_width = in_range(
            results, {width: kernel_name(activation, width) for width in config.widths}
        )
        for depth in config.shown_depths:
            slopes += _slope(activation, depth, by_width, depth - 1, statistic)
    return slopes


def tangent_slopes(config: Config, results: Results, statistic: str = "mean") -> list[Slope]:
    """Slopes of the tangent kernel by activation and depth."""
    slopes = []
    for activation in config.activations:
        for depth in config.tangent_depths:
            names = {
                width: tangent_name(activation, width, depth) for width in config.tangent_widths
            }
            by_width = in_range(results, names)
            slopes += _slope(activation, depth, by_width, 0, statistic)
    return slopes


def _slope(
    activation: str, depth: int, by_width: Mapping[int, CaseResult], row: int, statistic: str
) -> list[Slope]:
    wide = {
        width: result
        for width, result in by_width.items()
        if relative_variance(result, row) <= MOST_VARIANCE
    }
    if len(wide) < 3:
        return []
    terms = 2 if len(wide) < 5 else 3
    compared = di.compare_widths(
        {width: parts(result) for width, result in wide.items()}, terms=terms, statistic=statistic
    )
    return [Slope(activation, depth, tuple(wide), compared.dataset.isel(layer=row))]


def slope_groups(config: Config, results: Results) -> dict[tuple[str, str, str], list[Slope]]:
    """(kernel, activation, statistic) -> slopes by depth."""
    groups: dict[tuple[str, str, str], list[Slope]] = {}
    for kind, slopes in (("NNGP kernel", kernel_slopes), ("NTK", tangent_slopes)):
        for statistic in ("mean", "variance"):
            for slope in slopes(config, results, statistic):
                groups.setdefault((kind, slope.activation, statistic), []).append(slope)
    return groups


class Deviation(NamedTuple):
    """The largest deviation z of slopes from first order; infinite if a slope is not judged.

    z = max(|measured - predicted| - truncation, 0) / standard error.

    `slope`, `component`: its place. `zero_z`: the largest z of slope 0, infinite width. `held`: z
    is within the threshold.
    """

    slope: Slope
    component: int
    z: float
    zero_z: float
    held: bool


def largest_deviation(slopes: list[Slope]) -> Deviation:
    """The largest z over depths and components."""
    size, zero = (
        np.array([beyond_truncation(slope.dataset, name) for slope in slopes])
        for name in ("first_order", "infinite_width")
    )
    size = np.where(np.isnan(size), np.inf, size)  # a missing slope is no agreement
    place, component = np.unravel_index(np.argmax(size), size.shape)
    z = float(size[place, component])
    return Deviation(
        slopes[place], int(component), z, float(np.nan_to_num(zero).max()), z < THRESHOLD_SIGMA
    )


class Cloud(NamedTuple):
    """Relative variances Var / mean^2 of one diagonal entry by depth / width, all [points]."""

    ratio: np.ndarray
    width: np.ndarray
    value: np.ndarray
    error: np.ndarray
    first_order: np.ndarray


def kernel_cloud(config: Config, results: Results, activation: str) -> Cloud:
    """All widths and layers, first input."""
    rows = []
    names = {width: kernel_name(activation, width) for width in config.widths}
    for width, result in in_range(results, names).items():
        layers = np.arange(1, config.depth + 1)
        rows.append(_cloud(result, layers / width, width, layers - 1))
    return Cloud(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))


def tangent_cloud(config: Config, results: Results, activation: str) -> Cloud:
    """All widths and depths, first input."""
    rows = []
    for depth in config.tangent_depths:
        names = {width: tangent_name(activation, width, depth) for width in config.tangent_widths}
        for width, result in in_range(results, names).items():
            rows.append(_cloud(result, np.array([depth / width]), width, np.array([0])))
    return Cloud(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))


def _cloud(
    result: CaseResult, ratio: np.ndarray, width: int, rows: np.ndarray
) -> tuple[np.ndarray, ...]:
    estimate, first, limit = (
        result.estimate,
        named(result, "first_order"),
        named(result, "infinite_width"),
    )
    mean = estimate.mean[rows, 0]
    return (
        ratio,
        np.full(len(rows), width),
        estimate.variance[rows, 0] / mean**2,
        estimate.variance_standard_error[rows, 0] / mean**2,
        np.asarray(first.variance)[rows, 0] / limit.mean[rows, 0] ** 2,
    )


CLOUDS = {"NNGP kernel": kernel_cloud, "NTK": tangent_cloud}


class CovarianceEntries(NamedTuple):
    """Covariances of kernel and tangent kernel of tanh networks of three layers, all [entries].

    `natural` is the geometric mean of the two first-order variances.
    """

    names: list[str]
    measured: np.ndarray
    error: np.ndarray
    predicted: np.ndarray
    natural: np.ndarray


def covariances(results: Results) -> CovarianceEntries:
    """Covariances of G and G, T and T, T and G.

    G, the kernel of the output layer, is weight_var times the measured one plus bias_var.
    """
    kernel, tangent = (results[name] for name in ("covariance-kernel", "covariance-tangent"))
    spec, x = kernel.case.spec, kernel.case.inputs.points
    weight_var, bias_var = spec.weight_law.variance, spec.bias_law.variance
    theory = kernel_corrections(
        spec.activation, bias_var + weight_var * x @ x.T / 2.0, spec.widths, weight_var, bias_var
    )
    blocks = {
        "G": (di.covariance(kernel.estimate), weight_var**2, theory.kernel_covariance[-1]),
        "T": (di.covariance(tangent.estimate), 1.0, tangent_covariance(theory)[-1]),
        "TG": (
            di.covariance(tangent.estimate, kernel.estimate),
            weight_var,
            theory.tangent_kernel_covariance[-1],
        ),
    }
    pairs, names, columns = ("11", "12", "22"), [], []
    for name, (measured, scale, predicted) in blocks.items():
        for a, b in np.ndindex(3, 3):
            if name == "TG" or a <= b:
                left, right = name[0], name[-1]
                names.append(f"{left}{pairs[a]} {right}{pairs[b]}")
                columns.append(
                    (
                        scale * measured.value[0, a, b],
                        scale * measured.standard_error[0, a, b],
                        predicted[a, b],
                    )
                )
    value, error, predicted = np.array(columns).T
    variances = {
        name: size
        for name, size in zip(names, predicted, strict=True)
        if len(set(name.split())) == 1
    }
    natural = [
        np.sqrt(variances[f"{left} {left}"] * variances[f"{right} {right}"])
        for left, right in map(str.split, names)
    ]
    return CovarianceEntries(names, value, error, predicted, np.array(natural))
