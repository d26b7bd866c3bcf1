"""Condensation of input weights in early training: orientations, alignment, the first drop of the loss, distance travelled."""

from typing import Any

import numpy as np
from scipy import special

from deepinit.core.errors import SpecError, refusal
from deepinit.core.results import Prediction
from deepinit.core.specs import MLP
from deepinit.core.trainings import Training
from deepinit.quantities.condensation_setup import (
    LinearSetup,
    attractors,
    hidden_names,
    is_kinked,
    is_two_layer,
    linear_setup,
    multiplicity_of,
    starts_uniformly,
)
from deepinit.quantities.quantity import Quantity

_PAPER = "Zhou, Zhou, Luo, Zhang & Xu 2022, arXiv 2105.11686"
_FLOW = "gradient flow or descent, Gaussian weights, outputs small against the targets, phi(0) = 0, phi'(0) != 0"
LEVELS = (0.9, 0.99, 0.999)
_EVENTS = ("not_condensed", "still_training", "not_finite")
_NOT_CONDENSED, _STILL_TRAINING = 1, 2


def _measure_counts(spec: Any, training: Training) -> Any:
    import jax.numpy as jnp

    from deepinit.observables import orientation_counts, orientations
    from deepinit.observables.measurement import Measurement
    from deepinit.training import hidden_layers, layer_vectors

    # Along the true gradient without a linear part, and of units that can be off, most neurons stay where they are.
    along_gradient = training.mode in ("gd", "sgd", "flow")
    masked = is_two_layer(spec) and (is_kinked(spec) or (along_gradient and multiplicity_of(spec) != 1))

    def record(snapshot: Any) -> Measurement:
        vectors = layer_vectors(snapshot.parameters)
        counts = []
        for name in hidden_layers(snapshot.parameters):
            outputs = snapshot.parameters[-1]["weights"] if masked else None
            sizes = orientations.amplitudes(vectors[name], outputs) if masked else None
            counts.append(orientation_counts.count_orientations(vectors[name], amplitudes=sizes))
        value = jnp.stack([count.num_orientations for count in counts]).astype(snapshot.loss.dtype)
        accepted = jnp.stack([count.condensed for count in counts])
        return Measurement(value, jnp.where(accepted, 0, _NOT_CONDENSED).astype(jnp.int8))

    return record


def _measure_alignment(spec: Any, training: Training) -> Any:
    import jax.numpy as jnp

    from deepinit.observables import orientations
    from deepinit.observables.measurement import Measurement
    from deepinit.training import layer_vectors

    directions = _directions(spec, training)

    def record(snapshot: Any) -> Measurement:
        best = orientations.alignment(next(iter(layer_vectors(snapshot.parameters).values())), directions).best
        value = jnp.stack([jnp.mean(best > level) for level in LEVELS]).astype(snapshot.loss.dtype)
        return Measurement(value, jnp.zeros(value.shape, jnp.int8))

    return record


def _measure_drop(spec: Any, training: Training) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement
    from deepinit.training.loop import DROPPED

    setup = _setup(spec, training, "drop_time", "Take training_loss: this time is in the unit of that law.")
    if training.stop_drop is None:
        raise SpecError(
            refusal(
                "drop_time of a training without stop_drop", "stop_drop=0.001 or another fraction", "Give stop_drop."
            )
        )

    def overlap(drop: Any) -> Any:  # in units of the largest: the overlap S = sum_j a_j c_j at a drop of the loss
        part = jnp.minimum(drop / setup.reachable, 1.0)
        return part / (1.0 + jnp.sqrt(1.0 - part))

    wanted = overlap(training.stop_drop)

    def record(snapshot: Any) -> Measurement:
        event = jnp.where(snapshot.status == DROPPED, 0, _STILL_TRAINING).astype(jnp.int8)
        # the step that passed the drop went beyond it: S grows like e^{2 rate t}
        beyond = 0.5 * jnp.log(overlap(1.0 - snapshot.loss / snapshot.initial_loss) / wanted)
        return Measurement((setup.rate * snapshot.time - beyond).astype(snapshot.loss.dtype)[None], event[None])

    return record


def _measure_distance(spec: Any, training: Training) -> Any:
    import jax.numpy as jnp

    from deepinit.observables import orientations
    from deepinit.observables.measurement import Measurement
    from deepinit.training import hidden_layers, layer_vectors

    del spec, training

    def record(snapshot: Any) -> Measurement:
        now, initial = layer_vectors(snapshot.parameters), layer_vectors(snapshot.initial)
        names = hidden_layers(snapshot.parameters)
        value = jnp.stack([orientations.relative_distance(now[name], initial[name]) for name in names])
        return Measurement(value, jnp.zeros(value.shape, jnp.int8))

    return record


def _predict_counts(spec: Any, training: Training, form: str) -> Prediction:
    found = len(attractors(_two_layer(spec, "orientation_count"), training).directions)
    return Prediction(
        "orientation_count",
        form,
        np.array([[np.nan]] * (len(training.record_steps) - 1) + [[float(found)]]),
        None,
        "one orientation, where a basin of attraction is too small for the number of neurons",
        "the end of a run, networks that have condensed, weights still small; for multiplicity above 1: clocks per neuron, adam or sign descent",
        f"{_PAPER}; derived in deepinit.theory.condensation_orientations",
    )


def _predict_alignment(spec: Any, training: Training, form: str) -> Prediction:
    from deepinit.theory.condensation import alignment_law

    setup = _setup(spec, training, "aligned_fraction")
    times = _times(training, "aligned_fraction")
    value = alignment_law(np.array(LEVELS)[None], times[:, None], **setup.law)
    return Prediction(
        "aligned_fraction",
        form,
        np.where((times < setup.end)[:, None], value, np.nan),
        None,
        "O(relative drop of the loss, squared size of the weights)",
        f"{_FLOW}, any width, until the loss has dropped by 0.1 %",
        "derived in deepinit.theory.condensation_alignment",
    )


def _predict_drop(spec: Any, training: Training, form: str) -> Prediction:
    setup = _setup(spec, training, "drop_time")
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
        "derived in deepinit.theory.condensation_linear",
    )


def _predict_distance(spec: Any, training: Training, form: str) -> Prediction:
    from deepinit.theory.condensation import relative_displacement

    setup = _setup(spec, training, "relative_distance")
    times = _times(training, "relative_distance")
    value = relative_displacement(times, **setup.law)
    return Prediction(
        "relative_distance",
        form,
        np.where(times < setup.end, value, np.nan)[:, None],
        None,
        "O(1/width, relative drop of the loss)",
        f"{_FLOW}, until the loss has dropped by 0.1 %",
        "derived in deepinit.theory.condensation_alignment",
    )


def _lazy_alignment(spec: Any, training: Training) -> Prediction:
    """Orientations that stay as they were drawn: caps about the predicted directions, a union of disjoint ones."""
    directions = _directions(spec, training)
    if not starts_uniformly(spec, training):
        raise SpecError(
            refusal(
                "the aligned fraction of initial weights that prefer some directions",
                "Gaussian weights and biases of one variance",
                "Take training.small_mlp, or leave the limit out.",
            )
        )
    count, dimension = directions.shape
    cosines = directions @ directions.T - 2.0 * np.eye(count)
    levels = np.array(LEVELS)
    cap = 0.5 * special.betainc(0.5 * (dimension - 1), 0.5, (1.0 - levels) * (1.0 + levels))
    disjoint = np.arccos(np.clip(cosines.max(), -1.0, 1.0)) > 2.0 * np.arccos(levels)
    return _limit("aligned_fraction", np.where(disjoint, count * cap, np.nan), training)


def _lazy_distance(spec: Any, training: Training) -> Prediction:
    return _limit("relative_distance", np.zeros(len(hidden_names(spec, training))), training)


def _limit(quantity: str, value: np.ndarray, training: Training) -> Prediction:
    entries = np.tile(value, (len(training.record_steps), 1))
    return Prediction(
        quantity=quantity,
        name="infinite_width",
        value=entries,
        variance=np.zeros_like(entries),
        error_order="o(1)",
        valid_for="width to infinity at the scale of the neural tangent kernel, where input weights do not turn",
        reference="arXiv 2007.07497, linear regime",
    )


def _two_layer(spec: Any, quantity: str) -> MLP:
    if not is_two_layer(spec):
        raise SpecError(
            refusal(
                f"{quantity} of another network",
                "an MLP of one hidden layer with one output",
                "Take orientation_count.",
            )
        )
    return spec


def _directions(spec: Any, training: Training) -> np.ndarray:
    """[K, D], K >= 1: where neurons are predicted to turn."""
    directions = attractors(_two_layer(spec, "aligned_fraction"), training).directions
    if not len(directions):
        raise SpecError(
            refusal(
                "examples under which |H| has no strict maximum, so that no orientation is preferred",
                "examples with predicted orientations",
                "Take orientation_count, or other targets.",
            )
        )
    return directions


def _setup(
    spec: Any, training: Training, quantity: str, remedy: str = "Simulate alone: leave the prediction out."
) -> LinearSetup:
    setup = linear_setup(_two_layer(spec, quantity), training)
    if setup is None:
        raise SpecError(
            refusal(
                f"a law of {quantity} for {spec.activation} under {training.name}",
                "an activation with phi(0) = 0 and phi'(0) != 0 under gd or flow on all examples, Gaussian weights of one law with the biases",
                remedy,
            )
        )
    return setup


def _times(training: Training, quantity: str) -> np.ndarray:
    if training.mode != "gd" or training.rate is None or training.stop_drop is not None:
        raise SpecError(
            refusal(
                f"{quantity} predicted at the steps of {training.name}",
                "gd without stop_drop, whose steps have known times",
                "Take mode='gd' and stop_drop=None, or leave the prediction out.",
            )
        )
    return training.rate * np.array(training.record_steps, dtype=np.float64)


def _forms(spec: Any) -> tuple[str, ...]:
    return ("leading_order",) if is_two_layer(spec) else ()


def _linear_forms(spec: Any) -> tuple[str, ...]:
    return ("leading_order",) if is_two_layer(spec) and multiplicity_of(spec) == 1 else ()


orientation_count = Quantity(
    name="orientation_count",
    symbol="orientations",
    label="orientations of the input weights of a layer that has condensed",
    measure=_measure_counts,
    predict=_predict_counts,
    forms=_forms,
    infinite=None,
    accepts=Training,
    transform="none: a count",
    reference=_PAPER,
    entries=lambda spec, training: hidden_names(spec, training),
    events=_EVENTS,
)

aligned_fraction = Quantity(
    name="aligned_fraction",
    symbol="fraction of neurons",
    label="fraction of neurons within a cosine of a predicted orientation",
    measure=_measure_alignment,
    predict=_predict_alignment,
    forms=_linear_forms,
    infinite=_lazy_alignment,
    accepts=Training,
    transform="none: a fraction",
    reference="derived in deepinit.theory.condensation_alignment",
    entries=lambda spec, training: tuple(f"cos > {level:g}" for level in LEVELS),
    has_limit=lambda spec, training: is_two_layer(spec) and starts_uniformly(spec, training),
    events=_EVENTS,
)

drop_time = Quantity(
    name="drop_time",
    symbol=r"$\sigma'(0)\,|v|\,t$",
    label="time of the first drop of the loss, in units of the growth time of aligned weights",
    measure=_measure_drop,
    predict=_predict_drop,
    forms=_linear_forms,
    infinite=None,
    accepts=Training,
    transform="none: a logarithm of the overlap",
    reference="derived in deepinit.theory.condensation_linear",
    entries=lambda spec, training: (f"loss drop {training.stop_drop:g}",),
    events=_EVENTS,
)

relative_distance = Quantity(
    name="relative_distance",
    symbol=r"$|W - W(0)| / |W(0)|$",
    label="distance of input weights from where they started, relative to their size there",
    measure=_measure_distance,
    predict=_predict_distance,
    forms=_linear_forms,
    infinite=_lazy_distance,
    accepts=Training,
    transform="none: a ratio of norms",
    reference="Luo, Xu, Ma & Zhang 2021, arXiv 2007.07497",
    entries=lambda spec, training: hidden_names(spec, training),
    events=_EVENTS,
)
