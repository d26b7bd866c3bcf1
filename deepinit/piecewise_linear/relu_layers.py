"""ReLU networks as plain float64 arrays, for the exact sweep."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.specs import Spec
from deepinit.core.typing import Float, PyTree

_LAYERS = "a sequence of (weights [fan_out, fan_in], biases [fan_out] or None)"


class Layer(NamedTuple):
    """phi(W x + b); W x + b if `is_linear`; the residual block x + V phi(W x + b).

    `biases`: zeros without biases. `out_weights`: V [fan_in, fan_out], or None.
    """

    weights: Float[np.ndarray, "fan_out fan_in"]
    biases: Float[np.ndarray, "fan_out"]
    out_weights: Float[np.ndarray, "width fan_out"] | None
    is_linear: bool

    @property
    def width(self) -> int:
        """Number of outputs."""
        return len(self.weights if self.out_weights is None else self.out_weights)


def layers_of(spec: Spec, parameters: PyTree) -> list[tuple[np.ndarray | None, ...]]:
    """Float64 layers of one network of `network(spec).init`, for `exact_lengths`.

    With `negative_slope=spec.activation.slopes[0]`, `last_is_linear=spec.output_width is not None`.

    `parameters`: a tuple of segments of equal layers, `{"inner": matrix}` or, of residual blocks,
    `{"inner": matrix, "outer": matrix}`, then the output layer's matrix, if any. A matrix:
    `weights` [layers, fan_out, fan_in] and optional `biases` [layers, fan_out], without the axis of
    layers for the output layer.
    Raises SpecError: an activation that is not piecewise linear with slope 1 above 0; parameters of
        another spec.
    """
    slopes = spec.activation.slopes
    valid, remedy = slopes is not None and slopes[1] == 1.0, "Use relu or leaky_relu."
    allowed = "activations that are linear on each side of 0, with slope 1 above it"
    validate.require(valid, f"the activation {spec.activation!r}", allowed, remedy)
    try:
        runs = list(parameters)
        output = [_matrix(runs.pop())] if spec.output_width is not None else []
        layers: list[Any] = [layer for run in runs for layer in _layers_of_segment(run)]
        layers += output
        widths = tuple(len(layer[-1] if len(layer) == 3 else layer[0]) for layer in layers)
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        widths = None
    expected = (*spec.widths, *(() if spec.output_width is None else (spec.output_width,)))
    given = "parameters of another form" if widths is None else f"parameters of widths {widths}"
    allowed = f"parameters of `network(spec).init`, widths {expected}"
    validate.require(widths == expected, given, allowed, "Use the parameters' own spec.")
    return layers


def _matrix(matrix: dict[str, Any]) -> tuple[np.ndarray | None, ...]:
    biases = matrix.get("biases")
    return validate.array("weights", matrix["weights"]), None if biases is None else validate.array(
        "biases", biases
    )


def _layers_of_segment(run: dict[str, Any]) -> Iterator[tuple[np.ndarray | None, ...]]:
    weights, biases = _matrix(run["inner"])
    outer = validate.array("outer weights", run["outer"]["weights"]) if "outer" in run else None
    for layer in range(len(weights)):  # type: ignore[arg-type]
        pair = weights[layer], None if biases is None else biases[layer]  # type: ignore[index]
        yield pair if outer is None else (*pair, outer[layer])


def checked_layers(
    layers: Sequence[tuple[Any, ...]], input_width: int, last_is_linear: bool = True
) -> list[Layer]:
    """Layers (as for `exact_lengths`) in float64, checked; W [inner, width], V [width, inner].

    `input_width`: fan-in of the first layer. `last_is_linear`: the last layer has no activation (a
    residual block keeps its inner one).
    Raises SpecError: no layers, numbers that are not finite.
    """
    valid = isinstance(layers, Sequence) and len(layers)
    validate.require(valid, f"layers of type {type(layers).__name__}", _LAYERS + ", not empty")
    result: list[Layer] = []
    fan_in = input_width
    for number, given in enumerate(layers, start=1):
        is_linear = last_is_linear and number == len(layers)
        layer = _checked_layer(number, given, fan_in, is_linear=is_linear)
        result.append(layer)
        fan_in = layer.width
    return result


def _checked_layer(number: int, given: Any, fan_in: int, *, is_linear: bool) -> Layer:
    valid = isinstance(given, tuple | list) and len(given) in (2, 3)
    validate.require(valid, f"{type(given).__name__} as layer {number}", _LAYERS)
    name = f"weights of layer {number}"
    weights = validate.array(name, given[0], ("fan_out", fan_in), "Transpose them?")
    fan_out, biases, out_weights = len(weights), np.zeros(len(weights)), None
    if given[1] is not None:
        biases = validate.array(f"biases of layer {number}", given[1], (fan_out,))
    if len(given) == 3:
        out_weights = validate.array(f"V of layer {number}", given[2], (fan_in, fan_out))
    return Layer(weights, biases, out_weights, is_linear and out_weights is None)
