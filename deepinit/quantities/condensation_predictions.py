"""Predictions of the condensation of input weights: the laws of `theory.condensation` for a network and a training run."""

from typing import Any

import numpy as np
from scipy import special

from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.core.training_config import Training
from deepinit.quantities.condensation_setup import (
    attractors,
    checked_setup,
    hidden_names,
    predicted_directions,
    starts_uniformly,
    two_layer,
)

PAPER = "Zhou, Zhou, Luo, Zhang & Xu 2022, arXiv 2105.11686"
LEVELS = (0.9, 0.99, 0.999)
_FLOW = "gradient flow or descent, Gaussian weights, outputs small against the targets, phi(0) = 0, phi'(0) != 0"


def predict_counts(spec: Any, training: Training, form: str) -> Prediction:
    """How many orientations there are at the end."""
    found = attractors(two_layer(spec, "orientation_count"), training).directions
    return _count("orientation_count", form, len(found), training)


def predict_lines(spec: Any, training: Training, form: str) -> Prediction:
    """How many orientations there are at the end, u and -u as one."""
    from deepinit.theory.condensation import count_lines

    found = attractors(two_layer(spec, "line_count"), training).directions
    return _count("line_count", form, count_lines(found), training)


def _count(quantity: str, form: str, count: int, training: Training) -> Prediction:
    return Prediction(
        quantity,
        form,
        np.array([[np.nan]] * (len(training.record_steps) - 1) + [[float(count)]]),
        None,
        "one orientation, where a basin of attraction is too small for the number of neurons",
        "the end of a run, networks that have condensed, weights still small; for multiplicity above 1: clocks per "
        "neuron, adam or sign descent",
        f"{PAPER}; derived in deepinit.theory.condensation.orientations",
    )


def predict_alignment(spec: Any, training: Training, form: str) -> Prediction:
    """The fraction of neurons within a cosine of the predicted directions, at every step."""
    from deepinit.theory.condensation import alignment_law

    setup = checked_setup(spec, training, "aligned_fraction")
    times = _times(training, "aligned_fraction")
    value = alignment_law(np.array(LEVELS)[None], times[:, None], **setup.law)
    return Prediction(
        "aligned_fraction",
        form,
        np.where((times < setup.end)[:, None], value, np.nan),
        None,
        "O(relative drop of the loss, squared size of the weights)",
        f"{_FLOW}, any width, until the loss has dropped by 0.1 %",
        "derived in deepinit.theory.condensation.alignment",
    )


def predict_drop(spec: Any, training: Training, form: str) -> Prediction:
    """The time of the first drop of the loss."""
    setup = checked_setup(spec, training, "drop_time")
    found = setup.drop(training.stop_drop)
    # a step of size eta multiplies by 1 + eta rate, where the flow would multiply by e^(eta rate)
    slower = setup.slower
    shape = (len(training.record_steps), 1)
    return Prediction(
        "drop_time",
        form,
        np.full(shape, setup.rate * found.mean_time * slower),
        np.full(shape, (setup.rate * found.time_std * slower) ** 2),
        "O(stop_drop, (step size times rate)^2, squared inputs of neurons at the drop, which fall like 1/width)",
        f"{_FLOW}, small stop_drop",
        "derived in deepinit.theory.condensation.linear_regime",
    )


def predict_distance(spec: Any, training: Training, form: str) -> Prediction:
    """The distance of the input weights from where they started, at every step."""
    from deepinit.theory.condensation import relative_displacement

    setup = checked_setup(spec, training, "relative_distance")
    times = _times(training, "relative_distance")
    value = relative_displacement(times, **setup.law)
    return Prediction(
        "relative_distance",
        form,
        np.where(times < setup.end, value, np.nan)[:, None],
        None,
        "O(1/width, relative drop of the loss)",
        f"{_FLOW}, until the loss has dropped by 0.1 %",
        "derived in deepinit.theory.condensation.alignment",
    )


def lazy_alignment(spec: Any, training: Training) -> Prediction:
    """Orientations that stay as they were drawn: caps about the predicted directions, a union of disjoint ones."""
    directions = predicted_directions(spec, training)
    if not starts_uniformly(spec, training):
        raise SpecError(
            "the aligned fraction of initial weights that prefer some directions",
            "Gaussian weights and biases of one variance",
            "Take training.small_mlp, or leave the limit out.",
        )
    count, dimension = directions.shape
    cosines = directions @ directions.T - 2.0 * np.eye(count)
    levels = np.array(LEVELS)
    cap = 0.5 * special.betainc(0.5 * (dimension - 1), 0.5, (1.0 - levels) * (1.0 + levels))
    disjoint = np.arccos(np.clip(cosines.max(), -1.0, 1.0)) > 2.0 * np.arccos(levels)
    return _limit("aligned_fraction", np.where(disjoint, count * cap, np.nan), training)


def lazy_distance(spec: Any, training: Training) -> Prediction:
    """No distance at all."""
    return _limit("relative_distance", np.zeros(len(hidden_names(spec, training))), training)


def _limit(quantity: str, value: np.ndarray, training: Training) -> Prediction:
    entries = np.tile(value, (len(training.record_steps), 1))
    return Prediction(
        quantity=quantity,
        name="infinite_width",
        mean=entries,
        variance=np.zeros_like(entries),
        error_order="o(1)",
        valid_for="width to infinity at the scale of the neural tangent kernel, where input weights do not turn",
        reference="arXiv 2007.07497, linear regime",
    )


def _times(training: Training, quantity: str) -> np.ndarray:
    if training.mode != "gd" or training.rate is None or training.stop_drop is not None:
        raise SpecError(
            f"{quantity} predicted at the steps of {training.name}",
            "gd without stop_drop, whose steps have known times",
            "Take mode='gd' and stop_drop=None, or leave the prediction out.",
        )
    return training.rate * np.array(training.record_steps, dtype=np.float64)
