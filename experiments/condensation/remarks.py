"""What a run of the condensation experiment says, in words."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import CaseResult
from deepinit.theory import condensation as theory

from .analysis import (
    Results,
    aligned,
    amplitudes,
    chosen,
    departure,
    phase_slopes,
    predicted,
    weights,
)
from .cases import Config, points, scale_name


def remarks(config: Config, results: Results) -> list[str]:
    """What the run says, in words."""
    found = []
    for name, result in results.items():
        if (
            result.case.checked == ("leading_order",)
            and result.case.quantity is di.quantities.orientation_count
        ):
            found.append(count_words(name, result))
    if "p3-simplex" in results:
        count = results["p3-simplex"].estimate.mean[-1, 0]
        most = theory.conjectured_most_orientations(3)
        found.append(
            f"On a simplex in dimension 5 networks of p = 3 take {count:g} orientations: the conjecture of at most 2p = {most} is "
            f"{'false' if count > most else 'not contradicted'}."
        )
    found += [geometry_words(results, name) for name in chosen(results, "adam-")]
    for name, result in {**chosen(results, "deep-"), **chosen(results, "cnn")}.items():
        found.append(layer_words(name, result))
    for (gamma, gamma_prime), (measured, error) in zip(
        points(config), phase_slopes(config, results), strict=True
    ):
        found.append(
            f"gamma = {gamma:g}, gamma' = {gamma_prime:g}: the distance grows like width^{measured:.2f} +- {error:.2f} between widths "
            f"{config.phase_widths[0]} and {config.phase_widths[-1]}; predicted for large widths "
            f"{theory.initial_regime_exponent(gamma, gamma_prime):.2f} ({theory.initial_regime(gamma, gamma_prime)})."
        )
    for gamma in config.scales:
        result = results[scale_name(gamma)]
        largest, error = departure(result)
        found.append(
            f"Variance width^-{gamma:g}: the loss departs from that of the linearized (infinitely wide) network by at most "
            f"{largest:.2g} +- {error:.1g} of its initial value."
        )
    return found


def count_words(name: str, result: CaseResult) -> str:
    """How many orientations, and how well they are the predicted ones, in the first network."""
    data, theirs = result.dataset, predicted(result)
    unsettled = int(data["num_not_condensed"].values[-1, 0])
    final, live = weights(result)[-1], amplitudes(result)[-1]
    if result.case.spec.activation.is_homogeneous:
        final = final[live > 0.05 * live.max()]
    found = aligned(final, theirs)
    exponents = theirs.kappa[np.isfinite(theirs.kappa)]
    smallest = f", least condensation exponent {exponents.min():.2f}" if exponents.size else ""
    return (
        f"{name}: {result.estimate.mean[-1, 0]:g} orientations (predicted {len(theirs.directions)}), {unsettled} of "
        f"{result.case.num_seeds} networks not condensed; in the first one {int(found.visited.sum())} of the predicted are visited, median "
        f"cosine {float(found.median):.5f}{smallest}."
    )


def geometry_words(results: Results, name: str) -> str:
    """Adam's neurons against the directions of gradient flow and of sign descent."""
    final = weights(results[name])[-1]
    sphere, cube = (
        float(aligned(final, predicted(results[name], geometry)).median)
        for geometry in ("l2", "linf")
    )
    return (
        f"{name}: median cosine {cube:.4f} with the maxima of |H| on the cube (sign descent), {sphere:.4f} with those on "
        "the sphere (gradient flow)."
    )


def layer_words(name: str, result: CaseResult) -> str:
    """Orientations layer by layer, of the networks in which they could be counted."""
    data = result.dataset.isel(step=-1)
    parts = []
    for index, layer in enumerate(data["pair"].values):
        left = result.case.num_seeds - int(data["num_not_condensed"].values[index])
        mean = float(data["mean"].values[index])
        parts.append(
            f"{layer}: {mean:.3g} ({left} of {result.case.num_seeds} networks condensed)"
            if left
            else f"{layer}: not condensed"
        )
    return f"{name}, orientations at the end: {', '.join(parts)}."
