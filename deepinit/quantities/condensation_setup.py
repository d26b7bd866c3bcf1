"""What theory needs to know of a network and a training run whose condensation is measured."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP, Spec
from deepinit.core.trainings import Training

_END = 1e-3  # loss drop up to which neurons do not feel each other


class LinearSetup(NamedTuple):
    """A two-layer network of multiplicity 1 on its data, as the laws of `theory.condensation` want it.

    Attributes:
        rate: |phi'(0)| |v|.
        law: keyword arguments of `alignment_law` and `relative_displacement`.
        drop: loss drop -> `LossDrop`.
        slower: by how much gradient descent takes longer than gradient flow; 1 for the latter.
        end: the time at which the loss has dropped by 0.1 %.
    """

    rate: float
    law: dict[str, Any]
    drop: Any
    slower: float
    end: float


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
    """The orientations that the theory predicts for this network under this optimizer: `theory.condensation.Orientations`."""
    from deepinit.theory.condensation import homogeneous_orientations, predict_orientations

    x, y = training.examples.inputs, training.examples.targets
    bias = spec.bias_law is not None
    if spec.activation.is_homogeneous:
        return homogeneous_orientations(x, y, spec.activation, bias=bias)
    return predict_orientations(
        x, y, spec.activation, geometry="linf" if training.mode in ("adam", "sign") else "l2", bias=bias
    )


def linear_setup(spec: MLP, training: Training) -> LinearSetup | None:
    """Of networks to which the exact laws apply; None for others."""
    from deepinit.theory.condensation import loss_drop_time, multiplicity

    weights, biases, outputs = spec.weight_law, spec.bias_law, spec.output_law
    assert weights is not None
    assert outputs is not None
    x, y = training.examples.inputs, training.examples.targets
    bias = biases is not None
    weight_var = weights.entry_variance(x.shape[1])
    gaussian = all(law is None or law.is_gaussian for law in (weights, biases, outputs))
    one_law = biases is None or biases.entry_variance(1) == weight_var
    if multiplicity_of(spec) != 1 or training.mode not in ("gd", "flow") or not (gaussian and one_law):
        return None
    scales = {"output_std": outputs.entry_variance(spec.widths[-1]) ** 0.5, "weight_std": weight_var**0.5}
    slope = multiplicity(spec.activation).c

    def drop(fraction: float) -> Any:
        return loss_drop_time(x, y, width=spec.widths[0], slope=slope, loss_drop=fraction, bias=bias, **scales)

    rate = drop(_END).rate
    step = training.rate if training.mode == "gd" else None
    slower = 1.0 if step is None else step * rate / float(np.log1p(step * rate))
    law = {"rate": rate, "dimension": x.shape[1] + bias, "step_size": step, **scales}
    return LinearSetup(rate, law, drop, slower, drop(_END).time * slower)


def hidden_names(spec: Any, training: Training) -> tuple[str, ...]:
    """The layers that can condense, by name."""
    if isinstance(spec, Spec):
        return tuple(f"layer {layer}" for layer in range(1, spec.depth + 1))
    import jax

    from deepinit.training import hidden_layers

    shapes = jax.eval_shape(lambda key: spec.init(key, training.dimension), jax.random.key(0))
    return hidden_layers(shapes)
