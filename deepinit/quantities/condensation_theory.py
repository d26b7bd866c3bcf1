"""`theory.condensation` for a network and training run."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.results import Prediction
from deepinit.core.spec_text import format_spec
from deepinit.core.specs import MLP, Spec
from deepinit.core.training_config import TrainingConfig
from deepinit.quantities.theory import limit_prediction

PAPER = "Zhou, Zhou, Luo, Zhang & Xu 2022, arXiv 2105.11686"
LEVELS = (0.9, 0.99, 0.999)
_FLOW = (
    "gradient flow or descent, Gaussian weights, outputs small against the targets, phi(0) = 0, "
    "phi'(0) != 0"
)
_END = 1e-3  # loss drop up to which neurons do not interact


class LinearSetup(NamedTuple):
    """A two-layer network of multiplicity 1 on its data.

    Attributes:
        rate: |phi'(0)| |v|.
        law: arguments of `alignment_law` and `relative_displacement`.
        drop: loss drop -> `LossDrop`.
        slower: time of gradient descent over gradient flow.
        end: time of a loss drop of 0.1 %.
        reachable: largest linear loss drop along v, |v|^2 / (2 q R(0)).
    """

    rate: float
    law: dict[str, Any]
    drop: Any
    slower: float
    end: float
    reachable: float


def is_two_layer(spec: Any) -> bool:
    """Whether one hidden layer and one output."""
    return isinstance(spec, MLP) and spec.depth == 1 and spec.output_width == 1


def multiplicity_of(spec: MLP) -> int | None:
    """Multiplicity p; None for ReLU or phi(0) != 0."""
    from deepinit.theory.condensation import multiplicity

    try:
        result = multiplicity(spec.activation)
    except SpecError:
        return None
    return None if result.value_at_0 else result.p


def is_kinked(spec: MLP) -> bool:
    """Homogeneous, not linear."""
    slopes = spec.activation.slopes
    return slopes is not None and slopes[0] != slopes[1]


def starts_uniformly(spec: MLP, training: TrainingConfig) -> bool:
    """Whether input weights start isotropic: Gaussian, biases of equal variance."""
    weights, biases = spec.weight_law, spec.bias_law
    assert weights is not None
    if biases is None:
        return weights.is_gaussian
    same = biases.entry_variance(1) == weights.entry_variance(training.dimension)
    return weights.is_gaussian and biases.is_gaussian and same


def hidden_names(spec: Any, training: TrainingConfig) -> tuple[str, ...]:
    """Layers that can condense."""
    if isinstance(spec, Spec):
        return tuple(f"layer {layer}" for layer in range(1, spec.depth + 1))
    import jax

    from deepinit.training import hidden_layers

    shapes = jax.eval_shape(lambda key: spec.init(key, training.dimension), jax.random.key(0))
    return hidden_layers(shapes)


def two_layer(spec: Any, quantity: str) -> MLP:
    """The spec; SpecError unless two-layer."""
    if not is_two_layer(spec):
        given = f"{quantity} of {format_spec(spec)}, not of one hidden layer with one output"
        remedy = "Of deeper networks take orientation_count."
        raise SpecError(given, "an MLP of one hidden layer with one output", remedy)
    return spec


def attractors(spec: MLP, training: TrainingConfig) -> Any:
    """Predicted `Orientations`; SpecError for optax transformations of unknown geometry."""
    from deepinit.theory.condensation import homogeneous_orientations, predict_orientations

    x, y = training.examples.inputs, training.examples.targets
    bias = spec.bias_law is not None
    geometry: Any = training.geometry
    if isinstance(training.mode, str):
        geometry = "linf" if training.mode in ("adam", "sign") else "l2"
    if geometry is None:
        given = f"the optax transformation {training.name!r} without a geometry"
        remedy = "'l2': steps along the gradient (momentum too); 'linf': Adam and similar."
        raise SpecError(given, "di.TrainingConfig(..., geometry='l2' or 'linf')", remedy)
    if is_kinked(spec):
        return homogeneous_orientations(x, y, spec.activation, bias=bias)
    return predict_orientations(x, y, spec.activation, geometry=geometry, bias=bias)


def predicted_directions(spec: Any, training: TrainingConfig) -> np.ndarray:
    """Predicted orientations [K, D], K >= 1."""
    directions = attractors(two_layer(spec, "aligned_fraction"), training).directions
    if not len(directions):
        given = "examples without a preferred orientation: |H| has no strict maximum"
        remedy = "Take orientation_count, or other targets."
        raise SpecError(given, "examples with predicted orientations", remedy)
    return directions


def linear_setup(
    spec: Any, training: TrainingConfig, quantity: str, remedy: str = ""
) -> LinearSetup:
    """Setup of the exact laws; SpecError without one."""
    from deepinit.theory.condensation import loss_drop_time, multiplicity

    spec = two_layer(spec, quantity)
    weights, outputs = spec.weight_law, spec.output_law
    assert weights is not None
    assert outputs is not None
    gaussian = starts_uniformly(spec, training) and outputs.is_gaussian
    follows_gradient = training.mode in ("gd", "flow") and training.batch_size is None
    if multiplicity_of(spec) != 1 or not (follows_gradient and gaussian):
        raise SpecError(
            f"a law of {quantity} for {spec.activation} under {training.name}",
            "an activation with phi(0) = 0 and phi'(0) != 0 under gd or flow on all examples, "
            "Gaussian weights of one law with the biases",
            remedy or "Simulate alone: leave the prediction out.",
        )
    x, y = training.examples.inputs, training.examples.targets
    bias = spec.bias_law is not None
    scales = {
        "output_std": outputs.entry_variance(spec.widths[-1]) ** 0.5,
        "weight_std": weights.entry_variance(x.shape[1]) ** 0.5,
    }
    slope = multiplicity(spec.activation).c

    def drop(fraction: float) -> Any:
        options = {"width": spec.widths[0], "slope": slope, "bias": bias, **scales}
        return loss_drop_time(x, y, loss_drop=fraction, **options)

    end = drop(_END)
    step = training.rate if training.mode == "gd" else None
    slower = 1.0 if step is None else step * end.rate / float(np.log1p(step * end.rate))
    law = {"rate": end.rate, "dimension": x.shape[1] + bias, "step_size": step, **scales}
    z = np.column_stack([x, np.ones(len(x))]) if bias else x
    v = np.reshape(y, -1) @ z / len(z)
    reachable = float((v @ v) ** 2 / (np.mean((z @ v) ** 2) * np.mean(y**2)))
    return LinearSetup(end.rate, law, drop, slower, end.time * slower, reachable)


def predict_counts(spec: Any, training: TrainingConfig, theory: str) -> Prediction:
    """Number of orientations at the end."""
    directions = attractors(two_layer(spec, "orientation_count"), training).directions
    return _count("orientation_count", theory, len(directions), training)


def predict_lines(spec: Any, training: TrainingConfig, theory: str) -> Prediction:
    """Number of orientations up to sign."""
    from deepinit.theory.condensation import count_lines

    directions = attractors(two_layer(spec, "line_count"), training).directions
    return _count("line_count", theory, count_lines(directions), training)


def _count(quantity: str, theory: str, count: int, training: TrainingConfig) -> Prediction:
    return Prediction(
        quantity,
        theory,
        np.array([[np.nan]] * (len(training.record_steps) - 1) + [[float(count)]]),
        None,
        "one orientation, where a basin of attraction is too small for the number of neurons",
        "the end of a run, networks that have condensed, weights still small; for multiplicity "
        "above 1: clocks per neuron, adam or sign descent",
        f"{PAPER}; derived in deepinit.theory.condensation.orientations",
    )


def predict_alignment(spec: Any, training: TrainingConfig, theory: str) -> Prediction:
    """Fraction near predictions, by step."""
    from deepinit.theory.condensation import alignment_law

    setup = linear_setup(spec, training, "aligned_fraction")
    times = _times(training, "aligned_fraction")
    value = alignment_law(np.array(LEVELS)[None], times[:, None], **setup.law)
    return Prediction(
        "aligned_fraction",
        theory,
        np.where((times < setup.end)[:, None], value, np.nan),
        None,
        "O(relative drop of the loss, squared size of the weights)",
        f"{_FLOW}, any width, until the loss has dropped by 0.1 %",
        "derived in deepinit.theory.condensation.alignment",
    )


def predict_drop(spec: Any, training: TrainingConfig, theory: str) -> Prediction:
    """First loss drop, in growth times."""
    setup = linear_setup(spec, training, "drop_time")
    drop = setup.drop(training.stop_drop)
    # a step of size eta multiplies by 1 + eta rate, where the flow would multiply by e^(eta rate)
    shape = (len(training.record_steps), 1)
    return Prediction(
        "drop_time",
        theory,
        np.full(shape, setup.rate * drop.mean_time * setup.slower),
        np.full(shape, (setup.rate * drop.time_std * setup.slower) ** 2),
        "O(stop_drop, (step size times rate)^2, squared inputs of neurons at the drop, which fall "
        "like 1/width)",
        f"{_FLOW}, small stop_drop",
        "derived in deepinit.theory.condensation.linear_regime",
    )


def predict_distance(spec: Any, training: TrainingConfig, theory: str) -> Prediction:
    """Distance from initialization, by step."""
    from deepinit.theory.condensation import relative_displacement

    setup = linear_setup(spec, training, "relative_distance")
    times = _times(training, "relative_distance")
    value = relative_displacement(times, **setup.law)
    return Prediction(
        "relative_distance",
        theory,
        np.where(times < setup.end, value, np.nan)[:, None],
        None,
        "O(1/width, relative drop of the loss)",
        f"{_FLOW}, until the loss has dropped by 0.1 %",
        "derived in deepinit.theory.condensation.alignment",
    )


def lazy_alignment(spec: Any, training: TrainingConfig) -> Prediction:
    """Initial orientations: caps about predicted directions, where disjoint."""
    from scipy import special  # half of the import time of the command

    directions = predicted_directions(spec, training)
    if not starts_uniformly(spec, training):
        given = "initial weights that prefer some directions"
        remedy = "Take training.small_mlp, or leave the limit out."
        raise SpecError(given, "Gaussian weights and biases of one variance", remedy)
    count, dimension = directions.shape
    cosines = directions @ directions.T - 2.0 * np.eye(count)
    levels = np.array(LEVELS)
    cap = 0.5 * special.betainc(0.5 * (dimension - 1), 0.5, (1.0 - levels) * (1.0 + levels))
    disjoint = np.arccos(np.clip(cosines.max(), -1.0, 1.0)) > 2.0 * np.arccos(levels)
    return _limit("aligned_fraction", np.where(disjoint, count * cap, np.nan), training)


def lazy_distance(spec: Any, training: TrainingConfig) -> Prediction:
    """Zero."""
    return _limit("relative_distance", np.zeros(len(hidden_names(spec, training))), training)


def _limit(quantity: str, value: np.ndarray, training: TrainingConfig) -> Prediction:
    return limit_prediction(
        quantity,
        np.tile(value, (len(training.record_steps), 1)),
        error_order="o(1)",
        valid_for="width to infinity at the scale of the neural tangent kernel, where input "
        "weights do not turn",
        reference="arXiv 2007.07497, linear regime",
    )


def _times(training: TrainingConfig, quantity: str) -> np.ndarray:
    if training.mode != "gd" or training.rate is None or training.stop_drop is not None:
        given = f"{quantity} predicted at the steps of {training.name}"
        remedy = "Take mode='gd' and stop_drop=None, or leave the prediction out."
        raise SpecError(given, "gd without stop_drop, whose steps have known times", remedy)
    return training.rate * np.array(training.record_steps, dtype=np.float64)
