"""Figures of the committed study."""

from typing import Any

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, figure_item

from .cases import Config
from .tables import study


def figures(config: Config, results: Results) -> list[FigureItem]:
    """P against the predicted share; calibration; critical variances by depth/width."""
    del config, results
    given, repaired = study()
    found = [
        figure_item(
            "Outcome against prediction",
            "Each network by the share predicted by the model fitted without its family. P is 1 "
            "for a linear model, and below 0.75 the network fails.",
            outcome_figure(given),
        ),
        figure_item(
            "Calibration",
            "Observed against predicted shares of failure, families left out.",
            calibration_figure(given),
        ),
    ]
    critical = [r for r in repaired if r.repair == "critical" and r.network["family"] == "mlp"]
    if critical:
        found.append(
            figure_item(
                "Critical variances alone",
                "Failing MLPs after their variances were set to critical ones.",
                critical_figure(critical),
            )
        )
    return found


def outcome_figure(given: Any) -> Any:
    """P against the predicted share of failure, by family."""
    from deepinit.diagnosis.study import analysis

    share, points = analysis.leave_family_out("label-free", given), {}
    for family in analysis.FAMILIES:
        own = np.array([row.network["family"] == family for row in given])
        if own.any():
            values = np.array([row.performance for row in given])
            points[family] = (share[own], values[own])
    return di.plots.series(
        points,
        x_label="predicted share of networks that fail",
        y_label="P after training",
        title="Outcome against prediction",
        note=f"{len(given)} networks",
    )


def calibration_figure(given: Any) -> Any:
    """Observed shares with their binomial standard error."""
    from deepinit.diagnosis.study import analysis

    bins = analysis.calibration(analysis.leave_family_out("label-free", given), given)
    bins = [each for each in bins if each.networks]
    observed = np.array([each.observed for each in bins])
    sizes = np.array([each.networks for each in bins])
    error = np.sqrt(np.maximum(observed * (1 - observed), 0.25 / sizes) / sizes)
    points = {"observed": ([each.predicted for each in bins], observed, error)}
    return di.plots.series(
        points,
        {"equal": ([0.0, 1.0], [0.0, 1.0])},
        x_label="predicted share of networks that fail",
        y_label="observed share",
        title="Calibration on families left out",
        note=", ".join(f"{each.networks} networks" for each in bins),
    )


def critical_figure(critical: Any) -> Any:
    """P after the repair against depth/width."""
    x, y = ([row.ratio for row in critical], [row.performance for row in critical])
    return di.plots.series(
        {"critical variances": (x, y)},
        {"threshold": ([min(x), max(x)], [0.75, 0.75])},
        x_label="depth / width",
        y_label="P after training",
        log_x=True,
        title="Critical variances rescue up to a depth/width",
        note=f"{len(critical)} MLPs that failed before",
    )
