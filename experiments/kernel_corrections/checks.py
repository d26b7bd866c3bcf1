"""Checks of kernel_corrections: slopes in 1/width and covariances against first order."""

import numpy as np

from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.runs.experiment import Check, Results

from .analysis import Slope, covariances, largest_deviation, slope_groups
from .cases import Config


def checks(config: Config, results: Results) -> list[Check]:
    """Slopes of means and variances by kernel and activation; covariances."""
    groups = slope_groups(config, results)
    slopes = [slope_check(*name, own) for name, own in groups.items()]
    return [*slopes, covariance_check(results)]


def slope_check(kind: str, activation: str, statistic: str, slopes: list[Slope]) -> Check:
    """Slopes of one activation at every depth against first order."""
    worst = largest_deviation(slopes)
    depths = ", ".join(str(slope.depth) for slope in slopes)
    ending = "" if worst.held else ": NOT SO"
    return Check(
        f"{kind}, {activation}: slopes of the {statistic} in 1/width at depths {depths} are those "
        f"of first order (z <= {worst.z:.1f} beyond the truncation of the fit; slope 0: "
        f"{worst.zero_z:.0f}){ending}.",
        worst.held,
    )


def covariance_check(results: Results) -> Check:
    """All covariances at one width against first order.

    Besides 5 standard errors: r = depth / width times the natural size of the entry, for second
    order.
    At tanh that is less than half of it, measured at width 48 with 40 000 networks.
    """
    entries = covariances(results)
    spec = results["covariance-kernel"].case.spec
    r = spec.depth / spec.widths[0]
    off, zero = (
        (np.abs(entries.measured - guess) - r * entries.natural) / entries.error
        for guess in (entries.predicted, 0.0)
    )
    held = bool(off.max() < THRESHOLD_SIGMA)  # false for NaN
    largest = np.max(np.abs(entries.measured - entries.predicted) / entries.natural)
    return Check(
        f"Covariances of kernel and tangent kernel, tanh, width {spec.widths[0]}: "
        f"{len(entries.names)} entries within {100 * largest:.1f} % of first order, "
        f"{100 * r:.1f} % and {THRESHOLD_SIGMA:g} standard errors allowed; 0 is rejected for "
        f"{np.sum(zero >= THRESHOLD_SIGMA)} of them" + ("." if held else ": NOT SO."),
        held,
    )
