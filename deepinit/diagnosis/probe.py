"""What scores need of a network: draw it, run it, and shift its states."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Pass(NamedTuple):
    """One forward pass.

    Attributes:
        outputs: [rows, *positions, classes].
        features: what the readout sees, [rows, *positions, width].
        states: z^l after every layer or block: stacks [layers, rows, ...], in order.
        attention: mean of H(A_t) / ln t over heads and rows t >= 2, for every block; or None.
    """

    outputs: Any
    features: Any
    states: tuple[Any, ...]
    attention: Any = None


class Drawn(NamedTuple):
    """One network.

    Attributes:
        parameters: a tree of real arrays.
        embed: `(parameters, inputs) -> x`, real numbers: the inputs, or embedded tokens.
        forward: `(parameters, x, shifts) -> Pass`; shifts are added to the states, None for none.
    """

    parameters: Any
    embed: Callable[[Any, Any], Any]
    forward: Callable[..., Pass]


class Probe(NamedTuple):
    """Networks of one kind.

    Attributes:
        draw: `key -> Drawn`.
        first_weights: `gradients -> gradient of the first weight matrix`.
        sequences: whether a row is a sequence of tokens, whose angles are measured.
        order: indices that sort the layers of all stacks by depth; None if they are in order.
        given: `parameters -> Drawn`; None where only `draw` makes networks.
        state_shapes: [layers, *positions, width] of every stack of states; None where unknown.
    """

    draw: Callable[[Any], Drawn]
    first_weights: Callable[[Any], Any]
    sequences: bool = False
    order: Any = None
    given: Callable[[Any], Drawn] | None = None
    state_shapes: tuple[tuple[int, ...], ...] | None = None


def explicit_probe(
    init: Callable[[Any], Any],
    forward: Callable[..., Pass],
    first: str,
    embed: Callable[[Any, Any], Any] = lambda parameters, inputs: inputs,
    sequences: bool = False,
) -> Probe:
    """Of `key -> parameters`, a dict with first weight matrix `first`, and functions of them."""
    draw = lambda key: Drawn(init(key), embed, forward)
    return Probe(draw, lambda gradients: gradients[first], sequences)


class Batch(NamedTuple):
    """Inputs of a diagnosis.

    Attributes:
        inputs: rows that scores are measured on.
        step_inputs, step_labels: of the first step.
        other_inputs, other_labels: on which the first step is judged.

    Labels are classes [rows, *positions], or None: then the loss is random and linear.
    """

    inputs: Any
    step_inputs: Any = None
    step_labels: Any = None
    other_inputs: Any = None
    other_labels: Any = None
