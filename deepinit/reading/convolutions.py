"""Convolutional layers, and windows of positions."""

import math
from typing import Any

from deepinit.core.layers import Conv, Flatten, Pool
from deepinit.reading.constants import uniform_value
from deepinit.reading.dense import array_of
from deepinit.reading.pieces import Match, Matrix, Nothing, Piece, Spot, Whole
from deepinit.reading.programs import layer_name
from deepinit.reading.refusals import parameters_of, refusal
from deepinit.reading.scope import PARAMETER
from deepinit.reading.steps import steps


def conv(spot: Spot) -> Match | None:
    """A convolution of channels on the last axis; its patches and strides are equal on all sides.

    Raises SpecError: groups, dilations, uneven patches or paddings.
    """
    scope, equation = spot.scope, spot.scope.makers[spot.end]
    if equation.primitive.name != "conv_general_dilated" or equation.inputs[0] != spot.start:
        return None
    if scope.marks_of(equation.inputs[1]) != {PARAMETER}:
        return None
    name = layer_name((parameters_of(scope, equation.inputs[1]) or ("",))[0])
    array, params = array_of(scope, equation.inputs[1], name), equation.params
    numbers: Any = params["dimension_numbers"]
    space = tuple(range(1, 1 + spot.positions))
    channels_last = (0, 1 + spot.positions, *space)
    if numbers.lhs_spec != channels_last or numbers.out_spec != channels_last:
        raise refusal(name, "a convolution whose channels are not on the last axis")
    out_axis, in_axis, *patch_axes = numbers.rhs_spec
    patch = {array.view.shape[axis] for axis in patch_axes}
    strides = set(params["window_strides"])
    paddings = {tuple(pair) for pair in params["padding"]}
    plain = params["feature_group_count"] == params["batch_group_count"] == 1
    dilated = {*params["lhs_dilation"], *params["rhs_dilation"]} != {1}
    if not plain or dilated or max(map(len, (patch, strides, paddings))) > 1:
        what = "a convolution with groups, dilations, or uneven patches, strides or paddings"
        raise refusal(name, what)
    (size,), (stride,), (padding,) = patch, strides, paddings
    kind = {((size - 1) // 2,) * 2: "zero", (0, 0): "valid"}.get(padding)
    kind = "valid" if padding == (0, 0) else kind
    if kind is None or (kind == "zero" and size % 2 == 0):
        what = f"a convolution of patches of size {size} with the padding {padding}"
        raise refusal(name, what, f"no padding, or {(size - 1) // 2} at each side of an odd size")
    shape = array.view.shape
    fan_out, fan_in = shape[out_axis], math.prod(shape) // shape[out_axis]
    order = (out_axis, *patch_axes, in_axis)  # as patches of rows: positions, then channels
    make = lambda law, bias: Conv(fan_out, size, stride, kind, law, bias)  # type: ignore[arg-type]
    matrix = Matrix(name, array, order, fan_in, fan_out, make)
    return Match((matrix,), spot.at + 1, spot.positions)


def flatten(spot: Spot) -> Match | None:
    """All axes but the batch as one, or groups of neurons split or joined."""
    equation = spot.scope.makers[spot.end]
    if equation.primitive.name not in ("reshape", "squeeze", "expand_dims"):
        return None
    before, after, positions = spot.shape, spot.scope.shape(spot.end), spot.positions
    name = spot.before or "the input"
    if equation.params.get("dimensions") is not None and equation.primitive.name == "reshape":
        return None
    outer = before[: 1 + positions]
    if after[: 1 + positions] == outer and len(after) >= len(outer):
        return Match((Nothing(name),), spot.at + 1, positions)
    if len(after) == 2 and after[0] == before[0]:
        piece: Piece = Whole(f"flatten after {name}", Flatten(), None)
        return Match((piece,), spot.at + 1, 0)
    return None


def pool(spot: Spot) -> Match | None:
    """Means and maxima over positions or windows of them."""
    if not spot.positions:
        return None
    scope, equation = spot.scope, spot.scope.makers[spot.end]
    name, shape = equation.primitive.name, spot.shape
    if len(scope.between(spot.start, spot.end)) != 1:
        return None
    where = f"pool after {spot.before}"
    space = tuple(range(1, 1 + spot.positions))
    if name in ("reduce_sum", "reduce_max") and tuple(sorted(equation.params["axes"])) == space:
        count = math.prod(shape[axis] for axis in space)
        return _with_mean(spot, where, Pool("mean" if name == "reduce_sum" else "max"), count, 0)
    if name not in ("reduce_window_sum", "reduce_window_max"):
        return None
    params = equation.params
    windows, strides = params["window_dimensions"], params["window_strides"]
    outside = [axis for axis in range(len(shape)) if axis not in space]
    own = {(windows[axis], strides[axis], tuple(params["padding"][axis])) for axis in space}
    others = {(windows[axis], strides[axis], tuple(params["padding"][axis])) for axis in outside}
    dilated = {*params["base_dilation"], *params["window_dilation"]} != {1}
    if len(own) != 1 or others != {(1, 1, (0, 0))} or dilated:
        return None
    ((size, stride, (low, high)),) = own
    if low != high or (name == "reduce_window_sum" and low):
        what = f"pooling with the padding {(low, high)}"
        raise refusal(where, what, "equal paddings of maxima, none of means")
    layer = Pool("mean" if name == "reduce_window_sum" else "max", size, stride, low)
    return _with_mean(spot, where, layer, size**spot.positions, spot.positions)


def _with_mean(spot: Spot, name: str, layer: Pool, count: int, positions: int) -> Match | None:
    """A maximum; or a sum, whose division by the count comes next."""
    at = spot.at + 1
    if layer.kind == "max":
        return Match((Whole(name, layer, None),), at, positions)
    if at + 1 < len(spot.chain):
        own = steps(spot.scope.makers, (spot.chain[at],), spot.chain[at + 1])
        if own is not None and len(own.equations) == 1:
            (equation,) = own.equations
            divisor = uniform_value(equation.inputs[-1])
            if equation.primitive.name == "div" and divisor == count:
                return Match((Whole(name, layer, None),), at + 1, positions)
            if equation.primitive.name == "mul" and divisor and abs(divisor * count - 1) < 1e-6:
                return Match((Whole(name, layer, None),), at + 1, positions)
    return None
