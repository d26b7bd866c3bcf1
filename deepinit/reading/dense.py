"""Dense layers: products of all neurons with a drawn kernel, and biases."""

import math
from typing import Any

from deepinit.core.layers import Dense
from deepinit.deferral.program import Equation
from deepinit.reading.pieces import Array, Match, Matrix, Shift, Spot
from deepinit.reading.programs import layer_name
from deepinit.reading.refusals import parameters_of, refusal
from deepinit.reading.scope import PARAMETER, Scope
from deepinit.reading.steps import steps
from deepinit.reading.views import View, view_of


def dense(spot: Spot) -> Match | None:
    """A `dot_general` of the neurons with a kernel, and the transposes after it."""
    scope = spot.scope
    equation = scope.makers[spot.end]
    kernel = _kernel_place(scope, equation, spot.start)
    if equation.primitive.name != "dot_general" or kernel is None:
        return None
    name = layer_name((parameters_of(scope, equation.inputs[kernel]) or ("",))[0])
    contracted, batch = (
        (tuple(pair[1 - kernel]), tuple(pair[kernel]))
        for pair in equation.params["dimension_numbers"]
    )
    array = array_of(scope, equation.inputs[kernel], name)
    own, mine = contracted
    if batch[0] or sorted(own) != list(spot.neurons):
        what = "a product that mixes positions, or acts on a part of the neurons"
        raise refusal(name, what, remedy="MLP-Mixer layers and block-diagonal maps have no layer.")
    if any(size > 1 and not wide for size, wide in zip(array.view.shape, array.view.axes)):  # noqa: B905
        raise refusal(name, "a kernel whose entries are repeated")
    order = tuple(place for _, place in sorted(zip(own, mine, strict=True)))
    free = tuple(axis for axis in range(len(array.view.shape)) if axis not in order)
    axes = (free, order)
    end = _after_transposes(spot, kernel, len(free))
    if end is None:
        raise refusal(name, "a product whose axes are in another order than (batch, ..., neurons)")
    fan_out, fan_in = (math.prod(array.view.shape[axis] for axis in group) for group in axes)
    matrix = Matrix(
        name, array, (*free, *order), fan_in, fan_out, lambda law, bias: Dense(fan_out, law, bias)
    )
    return Match((matrix,), end, spot.positions)


def shift(spot: Spot) -> Match | None:
    """A vector of biases, added to all neurons."""
    scope, (number, sign) = spot.scope, _added(spot)
    if number is None:
        return None
    view = view_of(scope, number)
    name = layer_name((parameters_of(scope, number) or ("",))[0])
    if view is None or not covers(view, spot.shape, spot.neurons):
        return None
    array = array_of(scope, number, name)
    return Match((Shift(name, array, sign),), spot.at + 1, spot.positions)


def covers(view: View, shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether entries differ along these axes of an array, all of them, and along no others."""
    offset = len(shape) - len(view.shape)
    own = {axis + offset for axis in view.own_axes}
    wide = {axis for axis in axes if shape[axis] > 1}
    same = all(view.shape[axis - offset] == shape[axis] for axis in wide & own)
    return offset >= 0 and own == wide and same


def array_of(scope: Scope, operand: Any, name: str) -> Array:
    """A view of one parameter.

    Raises SpecError: other functions of parameters.
    """
    view = view_of(scope, operand)
    if view is None:
        names = ", ".join(parameters_of(scope, operand))
        what = f"an array that is computed from the parameters {names}"
        raise refusal(name, what, remedy="Parameters must act as they are drawn, times a number.")
    if not math.isfinite(view.factor):
        raise refusal(name, "a parameter divided by 0")
    number = next(own for own, item in scope.parameters.items() if item is view.parameter)
    own_steps = steps(scope.makers, (number,), operand)
    assert own_steps is not None
    return Array(number, own_steps, view)


def _kernel_place(scope: Scope, equation: Equation, start: int) -> int | None:
    """The operand that is a function of parameters, beside the input itself."""
    if len(equation.inputs) != 2:
        return None
    for place in (0, 1):
        is_kernel = scope.marks_of(equation.inputs[place]) == {PARAMETER}
        if is_kernel and equation.inputs[1 - place] == start:
            return place
    return None


def _added(spot: Spot) -> tuple[int | None, float]:
    """The operand beside the input in a sum, and its sign."""
    equation = spot.scope.makers[spot.end]
    name, inputs = equation.primitive.name, equation.inputs
    if name not in ("add", "add_any", "sub") or len(inputs) != 2:
        return None, 1.0
    place = _kernel_place(spot.scope, equation, spot.start)
    if place is None or (name == "sub" and place == 0):
        return None, 1.0
    number = inputs[place]
    return (number if isinstance(number, int) else None), -1.0 if name == "sub" else 1.0


def _after_transposes(spot: Spot, kernel: int, num_free: int) -> int | None:
    """Where axes are (batch, positions, neurons): directly, or after transposes."""
    outer = list(range(1 + spot.positions))
    neurons = [len(outer) + place for place in range(num_free)]
    order = outer + neurons if kernel == 1 else neurons + outer
    at = spot.at + 1
    while order != outer + neurons:
        if at + 1 == len(spot.chain):
            return None
        (equation, *rest) = spot.scope.between(spot.chain[at], spot.chain[at + 1])
        if rest or equation.primitive.name != "transpose":
            return None
        order = [order[axis] for axis in equation.params["permutation"]]
        at += 1
    return at
