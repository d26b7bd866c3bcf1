"""Tables of vanishing_angles: theories by width, distances of distributions."""

from collections.abc import Callable

import numpy as np

from deepinit.comparison.compare import judged_z, largest_z
from deepinit.core.tables import Table
from deepinit.runs.experiment import CaseResult, Results
from deepinit.theory.angles import log_sin2_propagation, rho, small_angle_log_sin2_moments

from .cases import Config, histogram_layers, relu_name
from .slopes import slope_table


def tables(config: Config, results: Results) -> list[Table]:
    """Theories by width; slopes; Kolmogorov-Smirnov distances where values are stored."""
    main = results.get(relu_name(config.histogram_width))
    distances = main is not None and main.estimate.samples is not None
    return [
        width_table(config, results),
        *slope_table(config, results),
        *([ks_table(config, main)] if distances else []),
    ]


def width_table(config: Config, results: Results) -> Table:
    """Decrease of ln sin^2 per layer, and the largest |z| of every theory."""
    widths = [width for width in config.widths if width > 1]
    data = {width: results[relu_name(width)].dataset for width in widths}
    theories = dict.fromkeys(str(name) for each in data.values() for name in each["theory"].values)
    rows = []
    for width, each in data.items():
        z = [
            largest_z(judged_z(each, name)) if name in each["theory"] else None for name in theories
        ]
        drift = -float(small_angle_log_sin2_moments(width).mean)
        rows.append([width, drift, float(rho(width)), 2.0 / width, *z])
    return Table(
        "Theories by width",
        ["width", "decrease, exact", "paper: rho(n)", "2/n", *(f"z {name}" for name in theories)],
        rows,
        "Mean decrease of ln sin^2 of a small angle per layer; largest |z| over layers and pairs.",
    )


def ks_table(config: Config, result: CaseResult) -> Table:
    """Distances between the measured and the predicted distributions of the first pair."""
    walks = density_walks(result)
    rows = [
        [layer, len(finite_samples(result, index)), *ks_distances(result, walks, index).values()]
        for index, layer in enumerate(histogram_layers(config))
    ]
    return Table(
        f"Kolmogorov-Smirnov distances at width {config.histogram_width}",
        ["layer", "networks", *walks],
        rows,
        "One-sample distance of ln sin^2 to the predicted density, first pair.",
    )


def density_walks(result: CaseResult) -> dict:
    """theory -> Walk of the first pair, with its densities."""
    theta0, widths = float(result.case.inputs.angles[0]), result.case.spec.widths
    return {
        name: log_sin2_propagation(theta0, widths, theory=name)
        for name in ("second_order", "paper")
    }


def ks_distances(result: CaseResult, walks: dict, index: int) -> dict[str, float]:
    """theory -> one-sample distance at the sampled layer of this index."""
    import scipy.stats

    values, layer = finite_samples(result, index), result.case.sample_layers[index]
    return {
        name: float(scipy.stats.kstest(values, cdf(walk.grid, walk.density[layer - 1])).statistic)
        for name, walk in walks.items()
    }


def finite_samples(result: CaseResult, index: int) -> np.ndarray:
    """Finite values of the first pair."""
    values = result.estimate.samples[:, index, 0]
    return values[np.isfinite(values)]


def cdf(grid: np.ndarray, density: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The distribution function of a density on a grid, by the trapezoidal rule."""
    steps = np.diff(grid) * 0.5 * (density[1:] + density[:-1])
    cumulative = np.concatenate([[0.0], np.cumsum(steps)])
    return lambda x: np.interp(x, grid, cumulative / cumulative[-1])
