"""Tables of the report, which the command prints too."""

import numpy as np

from deepinit.core.tables import Table
from deepinit.runs.experiment import Results

from .cases import Config


def tables(config: Config, results: Results) -> list[Table]:
    """Standard deviation over networks at the last layer, by width."""
    columns = ["width", "mean ln norm", "standard deviation", "sqrt(5 depth / (4 width))"]
    rows = []
    for width, result in zip(config.widths, results.values(), strict=True):
        estimate = result.estimate  # mean, variance, standard errors: [layers, components]
        spread = float(np.sqrt(estimate.variance[-1, 0]))
        guess = (1.25 * config.depth / width) ** 0.5
        rows.append([width, float(estimate.mean[-1, 0]), spread, guess])
    return [Table("Spread of the last layer", columns, rows, "ReLU, He variance, no biases.")]
