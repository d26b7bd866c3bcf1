"""Condensation of input weights: orientations, alignment, loss drop, distance."""

import functools
from typing import Any

from deepinit.core.errors import SpecError, reason_against
from deepinit.core.specs import MLP
from deepinit.core.training_config import TrainingConfig
from deepinit.quantities.condensation_theory import (
    LEVELS,
    PAPER,
    hidden_names,
    is_kinked,
    is_two_layer,
    lazy_alignment,
    lazy_distance,
    linear_setup,
    multiplicity_of,
    predict_alignment,
    predict_counts,
    predict_distance,
    predict_drop,
    predict_lines,
    predicted_directions,
    starts_uniformly,
)
from deepinit.quantities.kinds import Trained
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import limit, theories

_EVENTS = ("not_condensed", "still_training", "not_finite")
_NOT_CONDENSED, _STILL_TRAINING, _NOT_FINITE = 1, 2, 3
_NAMES = ("leading_order",)


def _unless_diverged(snapshot: Any, event: Any) -> Any:
    """The event, or `not_finite`."""
    import jax
    import jax.numpy as jnp

    leaves = jax.tree.leaves((snapshot.loss, snapshot.parameters))
    finite = jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]).all()
    return jnp.where(finite, event, _NOT_FINITE).astype(jnp.int8)


def _measure_counts(spec: Any, training: TrainingConfig, *, lines: bool = False) -> Any:
    import jax.numpy as jnp

    from deepinit.observables import orientations
    from deepinit.observables.measurement import Measurement
    from deepinit.observables.orientation_counts import count_orientations
    from deepinit.training import hidden_layers, layer_vectors

    # Most neurons stay in place if units can be off, or along a gradient without a linear part.
    along_gradient = training.mode in ("gd", "sgd", "flow")
    stays = is_two_layer(spec) and along_gradient and multiplicity_of(spec) != 1
    masked = is_two_layer(spec) and (is_kinked(spec) or stays)

    def record(snapshot: Any) -> Measurement:
        vectors = layer_vectors(snapshot.parameters)
        counts = []
        for name in hidden_layers(snapshot.parameters):
            outputs = snapshot.parameters[-1]["weights"] if masked else None
            sizes = orientations.amplitudes(vectors[name], outputs) if masked else None
            counts.append(count_orientations(vectors[name], amplitudes=sizes, lines=lines))
        value = jnp.stack([count.num_orientations for count in counts]).astype(snapshot.loss.dtype)
        event = jnp.where(jnp.stack([count.condensed for count in counts]), 0, _NOT_CONDENSED)
        return Measurement(value, _unless_diverged(snapshot, event))

    return record


def _measure_alignment(spec: Any, training: TrainingConfig) -> Any:
    import jax.numpy as jnp

    from deepinit.observables import orientations
    from deepinit.observables.measurement import Measurement
    from deepinit.training import layer_vectors

    directions = predicted_directions(spec, training)

    def record(snapshot: Any) -> Measurement:
        first = next(iter(layer_vectors(snapshot.parameters).values()))
        best = orientations.alignment(first, directions).best
        value = jnp.stack([jnp.mean(best > level) for level in LEVELS]).astype(snapshot.loss.dtype)
        return Measurement(value, _unless_diverged(snapshot, jnp.zeros(value.shape)))

    return record


def _drop_setup(spec: Any, training: TrainingConfig) -> Any:
    """Setup of the first drop; SpecError without its law or stop_drop."""
    remedy = "Take training_loss: this time is in the unit of that law."
    setup = linear_setup(spec, training, "drop_time", remedy)
    if training.stop_drop is None:
        given = "drop_time of a training without stop_drop"
        raise SpecError(given, "stop_drop=0.001 or another fraction", "Give stop_drop.")
    return setup


def _measure_drop(spec: Any, training: TrainingConfig) -> Any:
    import jax.numpy as jnp

    from deepinit.observables.measurement import Measurement
    from deepinit.training.loop import DROPPED

    setup = _drop_setup(spec, training)

    def overlap(drop: Any) -> Any:
        """S = sum_j a_j c_j at a loss drop, over its largest term."""
        part = jnp.minimum(drop / setup.reachable, 1.0)
        return part / (1.0 + jnp.sqrt(1.0 - part))

    wanted = overlap(training.stop_drop)

    def record(snapshot: Any) -> Measurement:
        event = jnp.where(snapshot.status == DROPPED, 0, _STILL_TRAINING)
        # the step that passed the drop went beyond it: S grows like e^{2 rate t}
        beyond = 0.5 * jnp.log(overlap(1.0 - snapshot.loss / snapshot.initial_loss) / wanted)
        value = (setup.rate * snapshot.time - beyond).astype(snapshot.loss.dtype)
        return Measurement(value[None], _unless_diverged(snapshot, event)[None])

    return record


def _measure_distance(spec: Any, training: TrainingConfig) -> Any:
    import jax.numpy as jnp

    from deepinit.observables import orientations
    from deepinit.observables.measurement import Measurement
    from deepinit.training import hidden_layers, layer_vectors

    del spec, training

    def record(snapshot: Any) -> Measurement:
        now, initial = layer_vectors(snapshot.parameters), layer_vectors(snapshot.initial)
        distance, names = orientations.relative_distance, hidden_layers(snapshot.parameters)
        value = jnp.stack([distance(now[name], initial[name]) for name in names])
        return Measurement(value, _unless_diverged(snapshot, jnp.zeros(value.shape)))

    return record


def _why_not(spec: MLP, training: TrainingConfig, theory: str) -> str | None:
    del training, theory
    if is_two_layer(spec):
        return None
    return "the theory is that of one hidden layer with one output"


def _why_not_linear(spec: Any, training: TrainingConfig, theory: str) -> str | None:
    reason = _why_not(spec, training, theory)
    if reason is None and multiplicity_of(spec) != 1:
        worked_out = "phi(0) = 0 and phi'(0) != 0 (multiplicity 1)"
        return f"it is worked out for {worked_out}, not for {spec.activation}"
    return reason


def _why_not_in_time(spec: Any, training: TrainingConfig, theory: str) -> str | None:
    reason = _why_not_linear(spec, training, theory)
    timed = training.mode == "gd" and training.rate is not None and training.stop_drop is None
    if reason is None and not timed:
        return f"steps of known times are needed: gd without stop_drop, not {training.name}"
    return reason


def _why_no_limit(spec: Any, training: TrainingConfig) -> str | None:
    reason = _why_not(spec, training, "")
    if reason is None and not starts_uniformly(spec, training):
        needed = "Gaussian weights and biases of one variance are needed"
        return f"initial input weights prefer some directions: {needed}"
    return reason


orientation_count = Quantity(
    name="orientation_count",
    symbol="number of orientations",
    label="orientations of the input weights of a layer that has condensed",
    measurement=Trained(_measure_counts, hidden_names),
    theories=theories(_NAMES, _why_not, predict_counts, (MLP,)),
    transform="none: a count",
    reference=PAPER,
    events=_EVENTS,
)

line_count = orientation_count._replace(
    name="line_count",
    symbol="number of lines",
    label="orientations up to sign of the input weights of a layer that has condensed",
    measurement=Trained(functools.partial(_measure_counts, lines=True), hidden_names),
    theories=theories(_NAMES, _why_not, predict_lines, (MLP,)),
)

aligned_fraction = Quantity(
    name="aligned_fraction",
    symbol="fraction of neurons",
    label="fraction of neurons within a cosine of a predicted orientation",
    measurement=Trained(
        _measure_alignment,
        lambda *_: tuple(f"cos > {level:g}" for level in LEVELS),
        lambda spec, training: reason_against(lambda: predicted_directions(spec, training)),
    ),
    theories=(
        *theories(_NAMES, _why_not_in_time, predict_alignment, (MLP,)),
        limit(lazy_alignment, _why_no_limit, covers=(MLP,)),
    ),
    transform="none: a fraction",
    reference="derived in deepinit.theory.condensation.alignment",
    events=_EVENTS,
)

drop_time = Quantity(
    name="drop_time",
    symbol=r"$\sigma'(0)\,|v|\,t$",
    label="time of the first drop of the loss, in units of the growth time of aligned weights",
    measurement=Trained(
        _measure_drop,
        lambda spec, training: (f"loss drop {training.stop_drop:g}",),
        lambda spec, training: reason_against(lambda: _drop_setup(spec, training)),
    ),
    theories=theories(_NAMES, _why_not_linear, predict_drop, (MLP,)),
    transform="none: a logarithm of the overlap",
    reference="derived in deepinit.theory.condensation.linear_regime",
    events=_EVENTS,
    rounding="absolute",
)

relative_distance = Quantity(
    name="relative_distance",
    symbol=r"$|W - W(0)| / |W(0)|$",
    label="distance of input weights from where they started, relative to their size there",
    measurement=Trained(_measure_distance, hidden_names),
    theories=(*theories(_NAMES, _why_not_in_time, predict_distance, (MLP,)), limit(lazy_distance)),
    transform="none: a ratio of norms",
    reference="Luo, Xu, Ma & Zhang 2021, arXiv 2007.07497",
    events=_EVENTS,
)
