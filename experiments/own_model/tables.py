"""Every measured layer of every model."""

import numpy as np

from deepinit.core.tables import Table
from deepinit.runs.experiment import Results

from .cases import Config, models


def tables(config: Config, results: Results) -> list[Table]:
    """Layers of every model, and tangent kernels."""
    found = [
        layer_table(config, results, name, model.label) for name, model in models(config).items()
    ]
    return [*found, kernel_table(config, results)] if "ntk" in config.quantities else found


def layer_table(config: Config, results: Results, name: str, label: str) -> Table:
    """Mean and standard deviation over draws, of the first input or pair."""
    shown = [each for each in ("size", "cosine", "gradient") if each in config.quantities]
    by_layer: dict[str, dict[str, str]] = {}
    for quantity in shown:
        estimate = results[f"{name}-{quantity}"].estimate
        for row, layer in enumerate(estimate.paths or ()):
            mean, variance = estimate.mean[row, 0], estimate.variance[row, 0]
            if quantity == "size":  # root mean square, to first order
                mean, variance = np.sqrt(mean), variance / (4 * mean)
            spread = np.sqrt(max(variance, 0.0))
            by_layer.setdefault(layer, {})[quantity] = f"{mean:.4g} +- {spread:.2g}"
    rows = [[layer, *(own.get(q, "") for q in shown)] for layer, own in by_layer.items()]
    headings = {
        "size": "root mean square",
        "cosine": "cosine of the inputs",
        "gradient": "ln |gradient|",
    }
    return Table(
        label,
        ["layer", *(headings[each] for each in shown)],
        rows,
        "Of the first input; mean +- standard deviation over draws. A layer is the product with "
        "its weights, before bias and activation; the gradient is that of the first output by it.",
    )


def kernel_table(config: Config, results: Results) -> Table:
    """Entries of the tangent kernels."""
    rows = []
    for name, model in models(config).items():
        estimate = results[f"{name}-ntk"].estimate
        mean, spread = estimate.mean[-1], np.sqrt(estimate.variance[-1])
        values = [f"{m:.4g} +- {s:.2g}" for m, s in zip(mean, spread, strict=True)]
        rows.append([model.label, *values])
    return Table(
        "Tangent kernels",
        ["model", "1, 1", "1, 2", "2, 2"],
        rows,
        "Of the first output, by all parameters as the model has them; mean +- standard deviation "
        "over draws.",
    )
