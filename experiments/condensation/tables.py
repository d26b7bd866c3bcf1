"""Tables of condensation: orientations, optimizers, layers, phase diagram, linearization."""

import numpy as np

import deepinit as di
from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import CaseResult, Results
from deepinit.theory import condensation as theory

from .analysis import aligned, amplitudes, chosen, departure, phase_slopes, predicted, weights
from .cases import points, scale_name
from .config import Config


def tables(config: Config, results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        count_table(results),
        optimizer_table(results),
        layer_table(results),
        phase_table(config, results),
        scale_table(config, results),
    ]


def count_table(results: Results) -> Table:
    """Measured and predicted orientations."""
    counted = [
        result
        for result in results.values()
        if result.case.quantity is di.quantities.orientation_count
        and result.case.checked == ("leading_order",)
    ]
    return Table(
        "Orientations of two-layer networks",
        [
            "case",
            "networks",
            "not condensed",
            "orientations",
            "predicted",
            "conjectured most, 2p",
            "visited",
            "median cosine",
            "least exponent",
        ],
        [count_row(result) for result in counted],
        "Orientations: mean over condensed networks. Visited predictions and median cosine with "
        "the nearest one: first network. Least exponent: of condensation, over the predictions.",
    )


def count_row(result: CaseResult) -> list:
    """Counts of one case, and the alignment of its first network."""
    prediction, case = predicted(result), result.case
    final, sizes = weights(result)[-1], amplitudes(result)[-1]
    if case.spec.activation.is_homogeneous:
        final = final[sizes > 0.05 * sizes.max()]
    alignment = aligned(final, prediction)
    exponents = prediction.kappa[np.isfinite(prediction.kappa)]
    p = int(case.name[1]) if case.name[0] == "p" else None
    return [
        case.name,
        case.num_seeds,
        int(result.dataset["num_not_condensed"].values[-1, 0]),
        float(result.estimate.mean[-1, 0]),
        len(prediction.directions),
        None if p is None else theory.conjectured_most_orientations(p),
        int(alignment.visited.sum()),
        float(alignment.median),
        float(exponents.min()) if exponents.size else None,
    ]


def optimizer_table(results: Results) -> Table:
    """Adam's neurons against the predictions for sign descent and for gradient flow."""
    rows = [
        [
            name,
            *(
                float(aligned(weights(result)[-1], predicted(result, geometry)).median)
                for geometry in ("linf", "l2")
            ),
        ]
        for name, result in chosen(results, "adam-").items()
    ]
    return Table(
        "Adam: median cosine with the maxima of |H|",
        ["case", "on the cube (sign descent)", "on the sphere (gradient flow)"],
        rows,
    )


def layer_table(results: Results) -> Table:
    """Orientations by layer, over the networks in which they could be counted."""
    rows = []
    for name, result in {**chosen(results, "deep-"), **chosen(results, "cnn")}.items():
        end, networks = result.dataset.isel(step=-1), result.case.num_seeds
        unsettled = end["num_not_condensed"].values
        for index, layer in enumerate(end["component"].values):
            condensed = networks - int(unsettled[index])
            mean = float(end["mean"].values[index]) if condensed else None
            rows.append([name, str(layer), networks, condensed, mean])
    columns = ["case", "layer", "networks", "condensed", "orientations"]
    return Table("Orientations by layer", columns, rows, "Mean over condensed networks.")


def phase_table(config: Config, results: Results) -> Table:
    """Exponents of the width in the relative distance."""
    rows = [
        [
            gamma,
            gamma_prime,
            with_error(*slope),
            float(theory.initial_regime_exponent(gamma, gamma_prime)),
            theory.initial_regime(gamma, gamma_prime),
        ]
        for (gamma, gamma_prime), slope in zip(
            points(config), phase_slopes(config, results), strict=True
        )
    ]
    return Table(
        "Phase diagram: growth of the distance with the width",
        ["gamma", "gamma'", "exponent", "predicted", "predicted regime"],
        rows,
        f"Relative distance |W - W(0)| / |W(0)| between widths {config.phase_widths[0]} and "
        f"{config.phase_widths[-1]}; predicted for large widths.",
    )


def scale_table(config: Config, results: Results) -> Table:
    """Largest departure of the loss from its linearization."""
    rows = [[gamma, with_error(*departure(results[scale_name(gamma)]))] for gamma in config.scales]
    return Table(
        "Departure from the linearization",
        ["gamma", "largest departure"],
        rows,
        "Weights of variance width^-gamma; |loss - linearized loss| over the initial loss.",
    )
