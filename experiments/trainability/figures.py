"""Figures of trainability."""

from collections.abc import Mapping
from typing import Any

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, figure_item

from .cases import THEORIES, Config
from .tables import predicted, tested


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Accuracy against the predicted angle; angles; accuracy during training."""
    y, errors = zip(*(tested(results[f"accuracy-{net}"]) for net in config.nets), strict=True)
    angles = [predicted(results[f"angle-{net}"]) for net in config.nets]
    against = connected(
        {label: ([a[name] for a in angles], y, errors) for name, label in THEORIES.items()},
        x_label=r"predicted $\ln \sin^2 \theta^L$ of orthogonal inputs at initialization",
        y_label="test accuracy after training",
        title="Test accuracy against the angle predicted at initialization",
        note=f"MNIST, {config.num_seeds} networks each, {config.steps} steps of Adam; "
        "every network is drawn once per theory",
    )
    last = config.nets[-1]
    width, depth = last.split("x")
    layers = di.plots.layers(
        results[f"angle-{last}"].dataset, title=f"Width {width}, {depth} layers"
    )
    curves = {}
    for net in config.nets:
        data = results[f"accuracy-{net}"].dataset.sel(component="test set")
        curves[net] = (data["step"].values, data["mean"].values, data["standard_error"].values)
    training = connected(
        curves,
        x_label="step",
        y_label="test accuracy",
        title="Test accuracy during training",
        note=f"width x hidden layers; {config.num_seeds} networks each",
    )
    return [
        figure_item(
            "Accuracy against the predicted angle",
            "Each architecture three times: at the angles of the corrected theory, the paper's "
            "theory and the infinite-width limit.",
            against,
        ),
        figure_item(
            "The angle in the narrowest network",
            "Angle between two orthogonal inputs at initialization, layer by layer.",
            layers,
        ),
        figure_item("Accuracy during training", "Mean over networks on the test images.", training),
    ]


def connected(points: Mapping[str, tuple], **options: Any) -> Any:
    """Points of several series, each connected by a line."""
    lines = {
        name: tuple(zip(*sorted(zip(x, y, strict=True)), strict=True))
        for name, (x, y, _) in points.items()
    }
    return di.plots.series(points, lines, lines_are="", **options)
