"""ReLU networks as plain arrays in float64: what the exact sweep and the polygon walk through."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.specs import Spec

_LAYERS = "a sequence of (weights [fan_out, fan_in], biases [fan_out] or None)"


class Layer(NamedTuple):
    """phi(W x + b); W x + b where `is_linear`; the residual block x + V phi(W x + b) with `out_weights` V.

    Attributes:
        weights: W [fan_out, fan_in].
        biases: b [fan_out]; zeros where the network has none.
        out_weights: V [fan_in, fan_out], or None.
        is_linear: no activation.
    """

    weights: np.ndarray
    biases: np.ndarray
    out_weights: np.ndarray | None
    is_linear: bool

    @property
    def width(self) -> int:
        """Number of coordinates after the layer."""
        return len(self.weights if self.out_weights is None else self.out_weights)


def layers_of(spec: Spec, parameters: Any) -> list[tuple[np.ndarray | None, ...]]:
    """The layers of one network that `network(spec).init` drew, first to last.

    Walk through them with `negative_slope=spec.activation.slopes[0]` and `last_is_linear=spec.output_width is not None`.

    Args:
        spec: the network's description.
        parameters: a tuple over runs of equal layers, each `{"inner": matrix}` or of residual blocks
            `{"inner": matrix, "outer": matrix}`, then the output layer's matrix where the spec has one; a matrix is a dict
            of `weights` [layers, fan_out, fan_in] and perhaps `biases` [layers, fan_out], of the output layer without
            the axis of layers.

    Returns:
        Pairs (weights [fan_out, fan_in], biases [fan_out] or None), and of residual blocks triples (W, b or None, V), in
        float64.

    Raises:
        SpecError: an activation that is not piecewise linear with slope 1 above 0; parameters of another spec.
    """
    slopes = spec.activation.slopes
    if slopes is None or slopes[1] != 1.0:
        raise SpecError(
            f"the activation {spec.activation!r}",
            "activations that are linear on each side of 0, with slope 1 above it",
            "Take relu or leaky_relu, or measure the length by polygons.",
        )
    try:
        runs = list(parameters)
        output = [_matrix(runs.pop())] if spec.output_width is not None else []
        layers = [layer for run in runs for layer in _layers_of_run(run)] + output
        widths = tuple(len(layer[-1] if len(layer) == 3 else layer[0]) for layer in layers)  # type: ignore[arg-type]
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        widths = None
    expected = (*spec.widths, *(() if spec.output_width is None else (spec.output_width,)))
    if widths != expected:
        raise SpecError(
            "parameters of no layers"
            if widths is None
            else f"parameters of layers of widths {widths}",
            f"what `network(spec).init` returns, of widths {expected}",
            "Draw the parameters from the same spec.",
        )
    return layers


def _matrix(matrix: dict[str, Any]) -> tuple[np.ndarray | None, ...]:
    biases = matrix.get("biases")
    return _array(matrix["weights"]), None if biases is None else _array(biases)


def _layers_of_run(run: dict[str, Any]) -> Iterator[tuple[np.ndarray | None, ...]]:
    weights, biases = _matrix(run["inner"])
    outer = _array(run["outer"]["weights"]) if "outer" in run else None
    for layer in range(len(weights)):  # type: ignore[arg-type]
        pair = weights[layer], None if biases is None else biases[layer]  # type: ignore[index]
        yield pair if outer is None else (*pair, outer[layer])


def checked_layers(layers: Any, input_width: int, last_is_linear: bool = True) -> list[Layer]:
    """The layers in float64, after every check that their shapes and numbers allow.

    Args:
        layers: per layer (weights [fan_out, fan_in], biases [fan_out] or None), or for a residual block
            x + V phi(W x + b) the triple (W [inner, width], b [inner] or None, V [width, inner]).
        input_width: the fan-in of the first layer.
        last_is_linear: the last layer has no activation (a residual block keeps its inner one).

    Raises:
        SpecError: no layers, shapes that do not fit each other or the input, numbers that are not finite.
    """
    if not isinstance(layers, Sequence) or not layers:
        raise SpecError(
            f"layers of type {type(layers).__name__}", _LAYERS + ", not empty", "Give a list."
        )
    result: list[Layer] = []
    fan_in = input_width
    for number, given in enumerate(layers, start=1):
        layer = _checked_layer(
            number, given, fan_in, is_linear=last_is_linear and number == len(layers)
        )
        result.append(layer)
        fan_in = layer.width
    return result


def _checked_layer(number: int, given: Any, fan_in: int, *, is_linear: bool) -> Layer:
    if not isinstance(given, tuple | list) or len(given) not in (2, 3):
        raise SpecError(
            f"{type(given).__name__} as layer {number}", _LAYERS, "Write (weights, None)."
        )
    weights = _array(given[0])
    biases = np.zeros(len(weights) if weights.ndim else 0) if given[1] is None else _array(given[1])
    out_weights = _array(given[2]) if len(given) == 3 else None
    fits = weights.ndim == 2 and weights.shape[0] >= 1 and weights.shape[1] == fan_in
    if not fits or biases.shape != weights.shape[:1]:
        raise SpecError(
            f"layer {number} with weights of shape {weights.shape} and biases of shape {biases.shape}",
            f"weights [fan_out, {fan_in}] and biases [fan_out], as {fan_in} coordinates come in",
            "Transpose the weights, or take a curve of the network's input width.",
        )
    if out_weights is not None and out_weights.shape != weights.shape[::-1]:
        raise SpecError(
            f"a residual block (layer {number}) with V of shape {out_weights.shape}",
            f"V of shape {weights.shape[::-1]}, which leads back to the block's input",
            "Transpose V.",
        )
    numbers = [weights, biases, *([] if out_weights is None else [out_weights])]
    if not all(np.isfinite(array).all() for array in numbers):
        raise SpecError(
            f"layer {number} with weights or biases that are not finite",
            "finite numbers",
            "Look for nan.",
        )
    return Layer(weights, biases, out_weights, is_linear and out_weights is None)


def checked_slope(negative_slope: Any) -> float:
    """The slope below 0 as a float."""
    if isinstance(negative_slope, int | float | np.number) and math.isfinite(negative_slope):
        return float(negative_slope)
    raise SpecError(
        f"negative_slope={negative_slope!r}",
        "a finite number: phi(z) = z above 0 and negative_slope * z below",
        "0 is ReLU; other activations are not piecewise linear.",
    )


def _array(values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "USOc":
            return array.astype(np.float64)
    except (TypeError, ValueError):  # rows of unequal length, tracers
        pass
    raise SpecError(
        "weights or biases that are no numbers", "arrays of real numbers", "Convert them."
    )
