"""Tables of transformers: tokens and gradients by block, laws, variances by heads."""

import numpy as np

from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results

from .analysis import depth_curve, heads_fit, verdicts
from .cases import Config, variants


def tables(config: Config, results: Results) -> list[Table]:
    """Blocks; laws; heads."""
    found = [blocks_table(config, results)] if variants(config) else []
    found += [laws_table(config, results)] if config.collapse or config.law_heads else []
    return [*found, heads_table(config, results)] if config.law_heads else found


def blocks_table(config: Config, results: Results) -> Table:
    """Token cosine after all blocks, gradient at the embedding over that after all blocks."""
    rows = []
    for variant in variants(config):
        _, cosine, error = depth_curve(results[f"cosine-{variant.name}"], config.depth)
        _, gradient, spread = depth_curve(results[f"gradient-{variant.name}"], config.depth)
        change = with_error(gradient[0] - gradient[-1], float(np.hypot(spread[0], spread[-1])))
        rows.append([variant.norm, variant.label, with_error(cosine[-1], error[-1]), change])
    return Table(
        f"Tokens and gradients across {config.depth} blocks",
        ["norm", "block", "token cosine", "ln gradient, first - last"],
        rows,
        "Mean cosine of two tokens after the last block; ln |df/dx| at the embedding minus the "
        "same after the last block.",
    )


def laws_table(config: Config, results: Results) -> Table:
    """Measured rates and slopes beside their laws and wrong rules."""
    rows = []
    for each in verdicts(config, results):
        rivals = "; ".join(f"{name}: z {each.z(value):.0f}" for name, value in each.rivals.items())
        measured = with_error(each.measured, each.error)
        row = [each.name, each.law, measured, each.predicted, each.z(each.predicted), rivals]
        rows.append(row)
    return Table(
        "Laws of rank collapse and heads",
        ["case", "law", "measured", "predicted", "z", "wrong rules"],
        rows,
        "z beyond the law's next order: 1/heads of the ratio without a mask, 0 elsewhere. Wrong "
        "rules must be rejected.",
    )


def heads_table(config: Config, results: Results) -> Table:
    """Variance of the mean token cosine by heads, and the fit."""
    (constant, slope, curvature), _ = heads_fit(config, results)
    rows = []
    for heads in config.law_heads:
        estimate = results[f"heads-{heads}"].estimate
        variance, error = estimate.variance[0, 0], estimate.variance_standard_error[0, 0]
        fit = constant + slope / heads + curvature / heads**2
        rows.append([heads, with_error(1e4 * variance, 1e4 * error), 1e4 * fit])
    return Table(
        "Variance of the mean token cosine, times 10 000",
        ["heads", "measured", "a + b / H + c / H^2"],
        rows,
        f"One attention layer, {config.length} tokens of cosine {config.law_cosine:g}, width "
        f"{config.law_width}.",
    )
