"""What theory needs to know of a network and a training run whose condensation is measured."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.spec_text import in_words
from deepinit.core.specs import MLP, Spec
from deepinit.core.training_config import Training

_END = 1e-3  # loss drop up to which neurons do not feel each other


class LinearSetup(NamedTuple):
    """A two-layer network of multiplicity 1 on its data, as the laws of `theory.condensation` want it.

    Attributes:
        rate: |phi'(0)| |v|.
        law: keyword arguments of `alignment_law` and `relative_displacement`.
        drop: loss drop -> `LossDrop`.
        slower: by how much gradient descent takes longer than gradient flow; 1 for the latter.
        end: the time at which the loss has dropped by 0.1 %.
        reachable: loss drop |v|^2 / (2 q R(0)) that a linear output along v can reach at most.
    """

    rate: float
    law: dict[str, Any]
    drop: Any
    slower: float
    end: float
    reachable: float


def is_two_layer(spec: Any) -> bool:
    """One hidden layer and one output: the network of the theory."""
    return isinstance(spec, MLP) and spec.depth == 1 and spec.output_width == 1


def multiplicity_of(spec: MLP) -> int | None:
    """The multiplicity p of the activation; None where it has none (ReLU) or phi(0) is not 0."""
    from deepinit.theory.condensation import multiplicity

    try:
        found = multiplicity(spec.activation)
    except SpecError:
        return None
    return None if found.value_at_0 else found.p


def attractors(spec: MLP, training: Training) -> Any:
    """The orientations that the theory predicts for this network under this optimizer: `theory.condensation.Orientations`.

    Raises:
        SpecError: an optax transformation of unknown geometry; what `predict_orientations` refuses.
    """
    from deepinit.theory.condensation import homogeneous_orientations, predict_orientations

    x, y = training.examples.inputs, training.examples.targets
    bias = spec.bias_law is not None
    geometry = _geometry(training)
    if is_kinked(spec):
        return homogeneous_orientations(x, y, spec.activation, bias=bias)
    return predict_orientations(x, y, spec.activation, geometry=geometry, bias=bias)


def is_kinked(spec: MLP) -> bool:
    """ReLU and its like: homogeneous, but not linear."""
    slopes = spec.activation.slopes
    return slopes is not None and slopes[0] != slopes[1]


def starts_uniformly(spec: MLP, training: Training) -> bool:
    """Initial input weights point in all directions alike: Gaussian, biases of the same variance."""
    weights, biases = spec.weight_law, spec.bias_law
    assert weights is not None
    one_law = biases is None or biases.entry_variance(1) == weights.entry_variance(
        training.dimension
    )
    return weights.is_gaussian and (biases is None or biases.is_gaussian) and one_law


def _geometry(training: Training) -> Any:
    if isinstance(training.mode, str):
        return "linf" if training.mode in ("adam", "sign") else "l2"
    if training.geometry is None:
        raise SpecError(
            f"orientations predicted for the optax transformation {training.name!r} without a geometry",
            "geometry='l2' or 'linf'",
            "Give di.Training geometry='l2' for steps along the gradient (momentum too), 'linf' for Adam and its like.",
        )
    return training.geometry


def linear_setup(spec: MLP, training: Training) -> LinearSetup | None:
    """Of networks to which the exact laws apply; None for others."""
    from deepinit.theory.condensation import loss_drop_time, multiplicity

    weights, outputs = spec.weight_law, spec.output_law
    assert weights is not None
    assert outputs is not None
    x, y = training.examples.inputs, training.examples.targets
    bias = spec.bias_law is not None
    weight_var = weights.entry_variance(x.shape[1])
    gaussian = starts_uniformly(spec, training) and outputs.is_gaussian
    follows_gradient = training.mode in ("gd", "flow") and training.batch_size is None
    if multiplicity_of(spec) != 1 or not (follows_gradient and gaussian):
        return None
    scales = {
        "output_std": outputs.entry_variance(spec.widths[-1]) ** 0.5,
        "weight_std": weight_var**0.5,
    }
    slope = multiplicity(spec.activation).c

    def drop(fraction: float) -> Any:
        return loss_drop_time(
            x, y, width=spec.widths[0], slope=slope, loss_drop=fraction, bias=bias, **scales
        )

    rate = drop(_END).rate
    step = training.rate if training.mode == "gd" else None
    slower = 1.0 if step is None else step * rate / float(np.log1p(step * rate))
    law = {"rate": rate, "dimension": x.shape[1] + bias, "step_size": step, **scales}
    z = np.column_stack([x, np.ones(len(x))]) if bias else x
    v = np.reshape(y, -1) @ z / len(z)
    reachable = float((v @ v) ** 2 / (np.mean((z @ v) ** 2) * np.mean(y**2)))
    return LinearSetup(rate, law, drop, slower, drop(_END).time * slower, reachable)


def hidden_names(spec: Any, training: Training) -> tuple[str, ...]:
    """The layers that can condense, by name."""
    if isinstance(spec, Spec):
        return tuple(f"layer {layer}" for layer in range(1, spec.depth + 1))
    import jax

    from deepinit.training import hidden_layers

    shapes = jax.eval_shape(lambda key: spec.init(key, training.dimension), jax.random.key(0))
    return hidden_layers(shapes)


def two_layer(spec: Any, quantity: str) -> MLP:
    """The spec, if it is of the network of the theory; refuses others."""
    if not is_two_layer(spec):
        raise SpecError(
            f"{quantity} of {in_words(spec)}, not of one hidden layer with one output",
            "an MLP of one hidden layer with one output",
            "Of deeper MLPs take orientation_count; residual networks are trained as flax modules only (di.from_linen).",
        )
    return spec


def predicted_directions(spec: Any, training: Training) -> np.ndarray:
    """[K, D], K >= 1: where neurons are predicted to turn."""
    directions = attractors(two_layer(spec, "aligned_fraction"), training).directions
    if not len(directions):
        raise SpecError(
            "examples under which |H| has no strict maximum, so that no orientation is preferred",
            "examples with predicted orientations",
            "Take orientation_count, or other targets.",
        )
    return directions


def checked_setup(
    spec: Any,
    training: Training,
    quantity: str,
    remedy: str = "Simulate alone: leave the prediction out.",
) -> LinearSetup:
    """`linear_setup`; refuses what it does not apply to."""
    setup = linear_setup(two_layer(spec, quantity), training)
    if setup is None:
        raise SpecError(
            f"a law of {quantity} for {spec.activation} under {training.name}",
            "an activation with phi(0) = 0 and phi'(0) != 0 under gd or flow on all examples, Gaussian weights of one law with the biases",
            remedy,
        )
    return setup
